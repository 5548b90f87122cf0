"""A P4Runtime server that keeps entries in a dict and misbehaves on demand: what a real switch does rarely, on order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from finsy.proto import U128, p4r, p4r_grpc, rpc_status
from google.protobuf.any_pb2 import Any as AnyMessage

OK, NOT_FOUND, ALREADY_EXISTS, RESOURCE_EXHAUSTED = 0, 5, 6, 8


class FakeP4Runtime(p4r_grpc.P4RuntimeServicer):  # type: ignore[misc]  # the generated base class has no types
    """One device, one client at a time that matters."""

    def __init__(self) -> None:
        self.address = ""
        self.entries: dict[bytes, Any] = {}
        self.cookie: int | None = None
        self.info: Any = None
        """The P4Info that it says it runs."""
        self.lies_about_info = False
        """Say that another program runs than the one that was pushed."""
        self.forgets = False
        """Confirm writes and do nothing."""
        self.counts: Any = None
        """What every direct counter says."""
        self.acknowledged: list[tuple[int, int]] = []
        """Digest lists: id of the digest, id of the list."""
        self.device_config = b""
        self.pushes = 0
        self.writes: list[list[tuple[int, int]]] = []
        """Of each Write: operation and table id of each update."""
        self.refuse: dict[int, int] = {}
        """Number of an update, counted over all Writes from 0, to the code with which it is refused."""
        self.details = True
        """Whether a failed Write says which updates failed."""
        self.write_gate = asyncio.Event()
        """While it is clear, Writes wait."""
        self.write_gate.set()
        self.writes_waiting = 0
        self.bids: list[int | None] = []
        self.rival: int | None = None
        """The election id of another controller."""
        self.primary_id: int | None = None
        self.packets_out: list[Any] = []
        self.also: Callable[[Any], None] = lambda _server: None
        """Adds other services to the server when it starts."""
        self.updates_seen = 0
        """Over all Writes."""
        self._streams: set[asyncio.Queue[Any]] = set()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_metadata_size", 4 << 20)])
        p4r_grpc.add_P4RuntimeServicer_to_server(self, self._server)
        self.also(self._server)
        port = self._server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    # What tests order.

    def cut(self) -> None:
        """End every stream."""
        for queue in self._streams:
            queue.put_nowait(None)

    def tell(self, *, primary: bool, vacant: bool = False, election_id: int = 0) -> None:
        """Send an arbitration message to every client."""
        for queue in self._streams:
            queue.put_nowait(self._arbitration(OK if primary else NOT_FOUND if vacant else ALREADY_EXISTS, election_id))

    def packet_in(self, packet: Any) -> None:
        """Hand a packet to every client."""
        self.say(p4r.StreamMessageResponse(packet=packet))

    def say(self, message: Any) -> None:
        """Send a message to every client."""
        for queue in self._streams:
            queue.put_nowait(message)

    # What clients call.

    async def StreamChannel(self, request_iterator: AsyncIterator[Any], context: Any) -> None:  # noqa: N802
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._streams.add(queue)
        reader = asyncio.create_task(self._requests(request_iterator, queue))
        try:
            while (message := await queue.get()) is not None:
                if isinstance(message, str):
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
                await context.write(message)
        finally:
            self._streams.discard(queue)
            reader.cancel()

    async def _requests(self, requests: AsyncIterator[Any], queue: asyncio.Queue[Any]) -> None:
        async for message in requests:
            if message.WhichOneof("update") == "packet":
                self.packets_out.append(message.packet)
                continue
            if message.WhichOneof("update") == "digest_ack":
                self.acknowledged.append((message.digest_ack.digest_id, message.digest_ack.list_id))
                continue
            bid = U128.decode(message.arbitration.election_id) if message.arbitration.HasField("election_id") else None
            self.bids.append(bid)
            if bid is not None and bid == self.rival:
                queue.put_nowait(f"election id {bid} is taken")
            elif bid is not None and bid > (self.rival or 0):
                self.primary_id = bid
                queue.put_nowait(self._arbitration(OK, bid))
            else:
                queue.put_nowait(self._arbitration(ALREADY_EXISTS if self.rival else NOT_FOUND, self.rival or 0))

    @staticmethod
    def _arbitration(code: int, election_id: int) -> Any:
        message = p4r.StreamMessageResponse()
        message.arbitration.device_id = 1
        message.arbitration.status.code = code
        message.arbitration.election_id.CopyFrom(U128.encode(election_id))
        return message

    async def GetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002  gRPC's signature
        response = p4r.GetForwardingPipelineConfigResponse()
        if self.cookie is None:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no pipeline")
        response.config.cookie.cookie = self.cookie
        if self.info is not None and not self.lies_about_info:
            response.config.p4info.CopyFrom(self.info)
        return response

    async def SetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002  gRPC's signature
        self.pushes += 1
        self.cookie = request.config.cookie.cookie
        self.info = request.config.p4info
        self.device_config = request.config.p4_device_config
        self.entries.clear()
        return p4r.SetForwardingPipelineConfigResponse()

    async def Write(self, request: Any, context: Any) -> Any:  # noqa: N802
        if U128.decode(request.election_id) != self.primary_id:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")
        self.writes_waiting += 1
        try:
            await self.write_gate.wait()
        finally:
            self.writes_waiting -= 1
        self.writes.append([(update.type, update.entity.table_entry.table_id) for update in request.updates])
        codes = [self._write(update) for update in request.updates]
        if any(codes):
            if self.details:
                status = rpc_status.Status(code=2, message="some failed")
                for code in codes:
                    detail = AnyMessage()
                    detail.Pack(p4r.Error(canonical_code=code, message="as ordered" if code else ""))
                    status.details.append(detail)
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            await context.abort(grpc.StatusCode.UNKNOWN, "some failed")
        return p4r.WriteResponse()

    def _write(self, update: Any) -> int:
        number, self.updates_seen = self.updates_seen, self.updates_seen + 1
        if number in self.refuse:
            return self.refuse[number]
        if self.forgets:
            return OK
        entry = update.entity.table_entry
        key = self._key(entry)
        exists = key in self.entries
        if update.type == p4r.Update.INSERT and exists:
            return ALREADY_EXISTS
        if update.type != p4r.Update.INSERT and not exists:
            return NOT_FOUND
        if update.type == p4r.Update.DELETE:
            del self.entries[key]
        else:
            self.entries[key] = p4r.TableEntry.FromString(entry.SerializeToString())
        return OK

    @staticmethod
    def _key(entry: Any) -> bytes:
        key = p4r.TableEntry(table_id=entry.table_id, match=entry.match, priority=entry.priority)
        return bytes(key.SerializeToString(deterministic=True))

    async def Read(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802, ARG002  gRPC's signature
        wanted = {entity.table_entry.table_id for entity in request.entities}
        response = p4r.ReadResponse()
        for entry in self.entries.values():
            if entry.table_id in wanted:
                found = response.entities.add().table_entry
                found.CopyFrom(entry)
                if self.counts is not None:
                    found.counter_data.CopyFrom(self.counts)
        yield response
