"""The P4Runtime service on gRPC: streams, arbitration, pipeline configuration, writes and reads.

Everything runs on one event loop, the data path too. A write of many updates lets packets through between slices of it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NoReturn, Protocol

import grpc
import grpc.aio
from finsy.proto import p4r, p4r_grpc, rpc_status
from google.protobuf.any_pb2 import Any as AnyMessage

from testbed.softswitch import errors
from testbed.softswitch.arbitration import Arbitration, Client
from testbed.softswitch.configuration import Configuration
from testbed.softswitch.configuration import Device as Configurable
from testbed.softswitch.errors import EntityError, not_found, unimplemented

_Context = grpc.aio.ServicerContext[Any, Any]

API_VERSION = "1.5.0"
NO_PIPELINE = "No forwarding pipeline config set for this device"
"""In the words of BMv2 and Stratum: clients recognise this case by its text."""
STOPPING = "the switch is stopping"
SLICE = 64
"""Updates after which a write lets packets through."""
CHUNK = 256
"""Entities in one message of a read's answer."""
BACKLOG = 4096
"""Messages that wait for a slow client; what comes then is dropped and counted, but for the outcome of arbitration."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Device(Configurable, Protocol):
    """The part of the switch that the service works on."""

    device_id: int

    def packet_out(self, frame: bytes) -> None:
        """Inject a frame by the CPU port."""
        ...


class P4RuntimeService(p4r_grpc.P4RuntimeServicer):  # type: ignore[misc]  # the generated base class has no types
    """The service.

    Args:
        device: the switch.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._arbitration = Arbitration(device.device_id)
        self._write_lock = asyncio.Lock()
        self._closing = asyncio.Event()
        self._configuration = Configuration(device, self._write_lock)
        self.dropped = 0
        """Packets and other messages for the controller that nobody took: no primary, or a client too slow."""

    # -- packets -------------------------------------------------------------------------------------------------------

    def packet_in(self, frame: bytes) -> None:
        """Send a frame that left by the CPU port to the primary."""
        pipeline = self._device.pipeline
        message = pipeline.packet_io.to_controller(frame) if pipeline else None
        clients = self._arbitration.primaries()
        if message is None or not clients:
            self.dropped += 1
            return
        for client in clients:
            client.send(message)

    def notify(self, message: p4r.StreamMessageResponse) -> None:
        """Send a digest or an idle timeout to the primary."""
        clients = self._arbitration.primaries()
        self.dropped += not clients
        for client in clients:
            client.send(message)

    # -- stream --------------------------------------------------------------------------------------------------------

    async def StreamChannel(  # noqa: N802 - the name is gRPC's
        self, request_iterator: AsyncIterator[p4r.StreamMessageRequest], context: _Context
    ) -> None:
        """One client's stream."""
        queue: asyncio.Queue[p4r.StreamMessageResponse] = asyncio.Queue()

        def send(message: p4r.StreamMessageResponse) -> None:
            if queue.qsize() >= BACKLOG and not message.HasField("arbitration"):
                self.dropped += 1
            else:
                queue.put_nowait(message)

        client = Client(send, context.peer())
        tasks = [
            asyncio.create_task(_drain(queue, context), name=f"p4runtime stream {client.name}, out"),
            asyncio.create_task(self._receive(client, request_iterator), name=f"p4runtime stream {client.name}, in"),
            asyncio.create_task(self._closing.wait(), name=f"p4runtime stream {client.name}, end"),
        ]
        try:
            # A stream ends when the client says so, when it breaks a rule, or when the switch stops.
            await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
            if tasks[1].done():
                tasks[1].result()
            else:
                context.set_code(grpc.StatusCode.UNAVAILABLE)
                context.set_details(STOPPING)
        except EntityError as error:
            await context.abort(_CODES[error.code], str(error))
        finally:
            self._arbitration.leave(client)
            for task in tasks:
                task.cancel()

    async def _receive(self, client: Client, messages: AsyncIterator[p4r.StreamMessageRequest]) -> None:
        async for message in messages:
            if message.HasField("arbitration"):
                async with self._write_lock:  # a new primary comes in after the writes that have started
                    self._arbitration.update(client, message.arbitration)
            else:
                self._stream_message(client, message)

    def close(self) -> None:
        """End all streams and long reads: what gRPC would otherwise have to cancel."""
        self._closing.set()

    def _stream_message(self, client: Client, message: p4r.StreamMessageRequest) -> None:
        try:
            self._obey(client, message)
        except EntityError as error:
            response = p4r.StreamMessageResponse()
            response.error.canonical_code = error.code
            response.error.message = str(error)
            if message.HasField("packet"):
                response.error.packet_out.packet_out.CopyFrom(message.packet)
            elif message.HasField("digest_ack"):
                response.error.digest_list_ack.digest_list_ack.CopyFrom(message.digest_ack)
            elif message.HasField("other"):
                response.error.other.other.CopyFrom(message.other)
            client.send(response)

    def _obey(self, client: Client, message: p4r.StreamMessageRequest) -> None:
        kind = message.WhichOneof("update")
        if kind not in {"packet", "digest_ack"}:
            raise unimplemented(f"stream message {kind}")
        if not self._arbitration.client_is_primary(client):
            raise EntityError(errors.PERMISSION_DENIED, f"{kind}: only the primary may send it")
        pipeline = self._device.pipeline
        if pipeline is None:
            raise EntityError(errors.FAILED_PRECONDITION, f"{kind}: {NO_PIPELINE}")
        if kind == "packet":
            self._device.packet_out(pipeline.packet_io.from_controller(message.packet))
        else:
            pipeline.acknowledge(message.digest_ack)

    # -- unary ---------------------------------------------------------------------------------------------------------

    async def Capabilities(  # noqa: N802
        self,
        request: p4r.CapabilitiesRequest,  # noqa: ARG002 - gRPC calls it so
        context: _Context,  # noqa: ARG002 - gRPC calls it so
    ) -> p4r.CapabilitiesResponse:
        """The version of the API."""
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    async def SetForwardingPipelineConfig(  # noqa: N802
        self, request: p4r.SetForwardingPipelineConfigRequest, context: _Context
    ) -> p4r.SetForwardingPipelineConfigResponse:
        """Verify, save or commit a pipeline."""
        await self._check(request, context, writes=True)
        try:
            await self._configuration.apply(request)
        except EntityError as error:
            await _abort(context, error.code, str(error))
        return p4r.SetForwardingPipelineConfigResponse()

    async def GetForwardingPipelineConfig(  # noqa: N802
        self, request: p4r.GetForwardingPipelineConfigRequest, context: _Context
    ) -> p4r.GetForwardingPipelineConfigResponse:
        """The pipeline in force, or the parts of it that are asked for."""
        await self._check(request, context, writes=False)
        pipeline = self._configuration.current
        response = p4r.GetForwardingPipelineConfigResponse()
        if pipeline is None:
            await _abort(context, errors.FAILED_PRECONDITION, NO_PIPELINE)
        response.config.cookie.cookie = pipeline.cookie
        if request.response_type in {
            p4r.GetForwardingPipelineConfigRequest.ALL,
            p4r.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE,
        }:
            response.config.p4info.CopyFrom(pipeline.info)
        if request.response_type in {
            p4r.GetForwardingPipelineConfigRequest.ALL,
            p4r.GetForwardingPipelineConfigRequest.DEVICE_CONFIG_AND_COOKIE,
        }:
            response.config.p4_device_config = pipeline.config
        return response

    async def Write(self, request: p4r.WriteRequest, context: _Context) -> p4r.WriteResponse:  # noqa: N802
        """Apply a batch; every update is tried, and each has its own status."""
        await self._check(request, context, writes=True)
        if request.atomicity != p4r.WriteRequest.CONTINUE_ON_ERROR:
            name = p4r.WriteRequest.Atomicity.Name(request.atomicity)
            await _abort(context, errors.UNIMPLEMENTED, f"the atomicity {name}; use CONTINUE_ON_ERROR")
        if self._configuration.current is None:
            await _abort(context, errors.FAILED_PRECONDITION, NO_PIPELINE)
        # A batch that has started is finished, even when its client goes away meanwhile.
        task = asyncio.create_task(self._apply(request), name="p4runtime write")
        try:
            failures = await asyncio.shield(task)
        except EntityError as error:
            await _abort(context, error.code, str(error))
        if failures:
            await _abort_write(context, len(request.updates), failures)
        return p4r.WriteResponse()

    async def _apply(self, request: p4r.WriteRequest) -> dict[int, EntityError]:
        """Try every update of a batch; give back what failed, by position."""
        failures: dict[int, EntityError] = {}
        async with self._write_lock:
            pipeline = self._configuration.current
            if pipeline is None:
                raise AssertionError("a pipeline is replaced, never taken away")
            self._require_primary(request)  # it may have lost that while it waited for its turn
            for index, update in enumerate(request.updates):
                if index % SLICE == SLICE - 1:
                    await asyncio.sleep(0)
                try:
                    pipeline.write(update)
                except EntityError as error:
                    failures[index] = error
        return failures

    async def Read(self, request: p4r.ReadRequest, context: _Context) -> AsyncIterator[p4r.ReadResponse]:  # noqa: N802
        """Answer in messages of `CHUNK` entities, letting packets through in between."""
        await self._check(request, context, writes=False)
        pipeline = self._configuration.current
        if pipeline is None:
            await _abort(context, errors.FAILED_PRECONDITION, NO_PIPELINE)
        response = p4r.ReadResponse()
        try:
            for wanted in request.entities:
                for entity in pipeline.read(wanted):
                    response.entities.append(entity)
                    if len(response.entities) >= CHUNK:
                        yield response
                        response = p4r.ReadResponse()
                        await asyncio.sleep(0)
                        if self._closing.is_set():
                            await _abort(context, errors.UNAVAILABLE, STOPPING)
        except EntityError as error:
            await _abort(context, error.code, str(error))
        if response.entities:
            yield response

    async def _check(
        self,
        request: p4r.WriteRequest
        | p4r.ReadRequest
        | p4r.SetForwardingPipelineConfigRequest
        | p4r.GetForwardingPipelineConfigRequest,
        context: _Context,
        *,
        writes: bool,
    ) -> None:
        if request.device_id != self._device.device_id:
            await _abort(
                context, errors.NOT_FOUND, f"no device {request.device_id} here, but device {self._device.device_id}"
            )
        if writes and not isinstance(request, (p4r.ReadRequest, p4r.GetForwardingPipelineConfigRequest)):
            try:
                self._require_primary(request)
            except EntityError as error:
                await _abort(context, error.code, str(error))

    def _require_primary(self, request: p4r.WriteRequest | p4r.SetForwardingPipelineConfigRequest) -> None:
        if not self._arbitration.knows(request.role):
            raise not_found(f"no client has the role {request.role!r}")
        election = request.election_id.high << 64 | request.election_id.low
        if not election or not self._arbitration.is_primary(request.role, election):
            raise EntityError(errors.PERMISSION_DENIED, f"the election id {election} is not the primary's")


async def _drain(queue: asyncio.Queue[p4r.StreamMessageResponse], context: _Context) -> None:
    """Write what is queued until the stream ends, from whichever side."""
    with contextlib.suppress(grpc.aio.UsageError, grpc.aio.InternalError, asyncio.InvalidStateError):
        while True:
            await context.write(await queue.get())


async def _abort(context: _Context, code: int, message: str) -> NoReturn:
    await context.abort(_CODES[code], message)
    raise AssertionError(message)


async def _abort_write(context: _Context, count: int, failures: dict[int, EntityError]) -> NoReturn:
    """One p4.v1.Error for each update, in order, packed into the status details."""
    status = rpc_status.Status(code=errors.UNKNOWN, message="Write failure.")
    fine = AnyMessage()
    fine.Pack(p4r.Error(canonical_code=errors.OK))
    for index in range(count):
        failure = failures.get(index)
        if failure is None:
            status.details.append(fine)
        else:
            status.details.add().Pack(p4r.Error(canonical_code=failure.code, message=str(failure), space="softswitch"))
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await _abort(context, errors.UNKNOWN, status.message)


def make_server(service: P4RuntimeService) -> grpc.aio.Server:
    """A server for the service, neither bound nor started."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", 256 << 20),
            ("grpc.max_send_message_length", 256 << 20),
            ("grpc.max_metadata_size", 4 << 20),
            ("grpc.absolute_max_metadata_size", 4 << 20),
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ]
    )
    p4r_grpc.add_P4RuntimeServicer_to_server(service, server)
    return server
