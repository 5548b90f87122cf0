"""An embedded switch that can be made to fail, and the wire to it, which can be cut."""

import asyncio
import contextlib
from collections.abc import Callable
from random import Random
from typing import Any

import grpc
import grpc.aio
from finsy.proto import p4r, p4r_grpc

from testbed.settings import free_port
from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError
from testbed.softswitch.pipeline import ForwardingPipeline
from testbed.softswitch.ports import WirePort
from testbed.softswitch.switch import SoftSwitch


class FaultySwitch(SoftSwitch):
    """Refuses, dawdles and answers out of order, on order.

    Args:
        random: decides what is drawn.
        device_id: of the switch.
    """

    def __init__(self, random: Random, device_id: int) -> None:
        super().__init__(device_id)
        self._random = random
        self.refusing = 0.0
        """Share of updates that are refused."""
        self.refuses: Callable[[Any], bool] = lambda _update: False
        """Says which updates, as `p4.v1.Update`, are refused beside those."""
        self.delay = 0.0
        """Longest time, in seconds, that a Write waits before it is carried out, and again before it is answered."""

    def commit(self, pipeline: ForwardingPipeline) -> None:
        write = pipeline.write

        def perhaps(update: Any) -> None:
            if self._random.random() < self.refusing or self.refuses(update):
                raise EntityError(errors.RESOURCE_EXHAUSTED, "as ordered")
            write(update)

        pipeline.write = perhaps  # type: ignore[method-assign]  # only this switch's
        super().commit(pipeline)

    async def start(self, *arguments: Any, **options: Any) -> str:
        address = await super().start(*arguments, **options)
        assert self._service is not None
        apply = self._service._apply

        async def slowly(request: Any) -> Any:
            if self.delay:
                await asyncio.sleep(self._random.uniform(0, self.delay))
            outcome = await apply(request)
            if self.delay:
                await asyncio.sleep(self._random.uniform(0, self.delay))
            return outcome

        self._service._apply = slowly  # type: ignore[method-assign]
        return address


class Wire:
    """A TCP relay in front of a switch, which can be cut, also in the middle of what it carries."""

    def __init__(self, to: int) -> None:
        self.address = ""
        self._to = to
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Future[None]] = set()
        self._left: int | None = None
        self._thawed = asyncio.Event()
        self._thawed.set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        pumps = list(self._pumps)
        self.cut()
        await asyncio.gather(*pumps, return_exceptions=True)

    def cut(self) -> None:
        """End every connection now."""
        for pump in self._pumps:
            pump.cancel()

    def freeze(self) -> None:
        """Carry nothing from now on, and leave every connection open: what a firewall does that has forgotten them."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Carry everything again."""
        self._thawed.set()

    def cut_after(self, octets: int) -> None:
        """End every connection once so many more octets went to the switch."""
        self._left = octets

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.ensure_future(self._pump(reader, there[1], self._count)),
            asyncio.ensure_future(self._pump(there[0], writer, len)),
        ]
        # They are what is cancelled, not this: asyncio's servers report a handler that was.
        self._pumps.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._pumps.difference_update(ways)
        for one in (writer, there[1]):
            one.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, let: Callable[[bytes], int]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._thawed.wait()
                count = let(data)
                writer.write(data[:count])
                await writer.drain()
                if count < len(data):
                    return

    def _count(self, data: bytes) -> int:
        """Return how much of it goes through."""
        if self._left is None:
            return len(data)
        count = min(self._left, len(data))
        self._left = None if count < len(data) else self._left - count
        return count


class Machine:
    """A switch that can be switched off and on again, with its wire and its ports.

    Args:
        ports: numbers of its ports.
        out: takes what leaves by them.
        random: of its faults.
        device_id: of the switch.
    """

    def __init__(self, ports: list[int], out: Callable[[int, bytes], None], random: Random, device_id: int) -> None:
        self._ports, self._out, self._random, self._device_id = ports, out, random, device_id
        self._port = free_port()
        self.wire = Wire(self._port)
        self.switch = FaultySwitch(random, device_id)
        self.wires: dict[int, WirePort] = {}

    @property
    def direct(self) -> str:
        """The address behind the wire."""
        return f"127.0.0.1:{self._port}"

    async def on(self) -> None:
        """Start, empty."""
        self.switch = FaultySwitch(self._random, self._device_id)
        self.wires = {number: WirePort(lambda frame, number=number: self._out(number, frame)) for number in self._ports}  # type: ignore[misc]
        for number, port in self.wires.items():
            self.switch.add_port(number, port)
        await self.switch.start(self.direct)

    async def off(self) -> None:
        """Die."""
        self.wire.cut()
        await self.switch.stop()
        self.switch.pipeline = None


class Rival:
    """Another controller, with a stub and nothing else.

    Args:
        address: of the switch.
        election_id: its bid.
        device_id: of the switch.
    """

    def __init__(self, address: str, election_id: int, device_id: int) -> None:
        self._device_id = device_id
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._id = p4r.Uint128(low=election_id)

    async def bid(self) -> bool:
        """Bid, and tell whether it is primary."""
        self._stream = self._stub.StreamChannel()
        message = p4r.StreamMessageRequest()
        message.arbitration.device_id = self._device_id
        message.arbitration.election_id.CopyFrom(self._id)
        await self._stream.write(message)
        return bool((await self._stream.read()).arbitration.status.code == 0)

    async def write(self, updates: list[Any]) -> bool:
        """Write, and tell whether the switch took it all."""
        try:
            await self._stub.Write(p4r.WriteRequest(device_id=self._device_id, election_id=self._id, updates=updates))
        except grpc.aio.AioRpcError:
            return False
        return True

    async def entries(self) -> list[Any]:
        """Return every table entry."""
        request = p4r.ReadRequest(device_id=self._device_id, entities=[p4r.Entity(table_entry=p4r.TableEntry())])
        return [entity.table_entry async for response in self._stub.Read(request) for entity in response.entities]

    async def leave(self) -> None:
        """Go."""
        self._stream.cancel()
        await self._channel.close(None)
