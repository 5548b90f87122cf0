"""The stream half of P4Runtime towards one switch: arbitration, and packets in and out."""

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import grpc.aio
from finsy.proto import U128, p4r

from controller.southbound.codec import Message, octets
from controller.southbound.errors import ConnectionLostError, code_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG = logging.getLogger(__name__)

_OK: Final = 0
_NOT_FOUND: Final = int(grpc.StatusCode.NOT_FOUND.value[0])


class PacketIn(NamedTuple):
    """A packet that the switch hands to the controller."""

    ingress_port: int
    reason: int
    """A `PuntReason`, or a number that this controller does not know."""
    frame: bytes
    """The Ethernet frame as it came in."""


@dataclass(frozen=True, slots=True)
class Arbitration:
    """What the switch says about who is primary."""

    primary: bool
    """This session is."""
    vacant: bool
    """Nobody is."""
    election_id: int
    """The highest that the switch has seen, 0 if it says none."""


class StreamCodec:
    """Translates packets and their metadata.

    Args:
        info: the program's `p4.config.v1.P4Info`.
    """

    def __init__(self, info: Message) -> None:
        fields = {
            header.preamble.alias: {field.name: field.id for field in header.metadata}
            for header in info.controller_packet_metadata
        }
        self._ingress_port = fields["packet_in"]["ingress_port"]
        self._reason = fields["packet_in"]["reason"]
        self._egress_port = fields["packet_out"]["egress_port"]
        self._routed = fields["packet_out"]["routed"]

    def packet_in(self, message: Message) -> PacketIn:
        """Return the packet of a `p4.v1.PacketIn`; metadata that it lacks are 0."""
        values = {field.metadata_id: int.from_bytes(field.value) for field in message.metadata}
        return PacketIn(values.get(self._ingress_port, 0), values.get(self._reason, 0), message.payload)

    def packet_out(self, frame: bytes, *, routed: bool, egress_port: int) -> Message:
        """Return a `p4.v1.StreamMessageRequest` that sends a frame."""
        message = p4r.StreamMessageRequest()
        packet = message.packet
        packet.payload = frame
        packet.metadata.add(metadata_id=self._egress_port, value=octets(egress_port))
        packet.metadata.add(metadata_id=self._routed, value=octets(int(routed)))
        return message


class Stream:
    """One open stream. Its `run` must be held in a task; all else waits for what that task brings.

    Args:
        call: an open `StreamChannel`.
        device_id: of the switch.
        role: the arbitration role.
        backlog: packets that may wait in each direction.
    """

    def __init__(self, call: Any, device_id: int, role: str, backlog: int) -> None:  # noqa: ANN401  grpc's calls are untyped
        self.packets: asyncio.Queue[Message] = asyncio.Queue(backlog)
        """Each a `p4.v1.PacketIn`."""
        self.dropped = 0
        """Packets from the switch that found the queue full."""
        self.errors = 0
        """Messages of ours that the switch could not carry out."""
        self.latest = Arbitration(primary=False, vacant=True, election_id=0)
        """What the switch said last about who is primary."""
        self._call = call
        self._device_id = device_id
        self._role = role
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue(backlog)
        self._news: asyncio.Queue[Arbitration] = asyncio.Queue()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Read and write until the stream ends, which is always an error.

        Raises:
            ConnectionLostError: it ended, or `fail` was called.
        """
        tasks: Iterable[asyncio.Future[Any]] = (
            asyncio.ensure_future(self._read()),
            asyncio.ensure_future(self._write()),
            self._broken,
        )
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = None if task.cancelled() else task.exception()
                if isinstance(error, grpc.aio.AioRpcError):
                    raise ConnectionLostError(f"the stream ended: {error.code().name} {error.details()}") from error
                # grpc's own word for a stream that is over is no more than that.
                if error is not None and not isinstance(error, (grpc.aio.UsageError, asyncio.InvalidStateError)):
                    raise error
        finally:
            for task in tasks:
                task.cancel()
            self._call.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise ConnectionLostError("the switch closed the stream")

    def fail(self, error: Exception) -> None:
        """End the stream because of something that was seen elsewhere."""
        if not self._broken.done():
            self._broken.set_exception(error)

    async def bid(self, election_id: int | None) -> None:
        """Ask to be primary with an id; None: only to be told who is."""
        message = p4r.StreamMessageRequest()
        message.arbitration.device_id = self._device_id
        if self._role:
            message.arbitration.role.name = self._role
        if election_id is not None:
            message.arbitration.election_id.CopyFrom(U128.encode(election_id))
        await self._outgoing.put(message)

    async def news(self) -> Arbitration:
        """Wait for the next arbitration message of the switch."""
        return await self._news.get()

    def send(self, message: Message) -> bool:
        """Queue a message; False: the queue is full and it was dropped."""
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True

    async def _write(self) -> None:
        while True:
            await self._call.write(await self._outgoing.get())

    async def _read(self) -> None:
        async for message in self._call:
            kind = message.WhichOneof("update")
            if kind == "packet":
                try:
                    self.packets.put_nowait(message.packet)
                except asyncio.QueueFull:
                    self.dropped += 1
            elif kind == "arbitration":
                self._arbitrated(message.arbitration)
            elif kind == "error":
                # P4Runtime section 16.3: about one message that we sent, such as a packet that cannot go out.
                self.errors += 1
                _LOG.warning("%s %s", code_name(message.error.canonical_code), message.error.message)

    def _arbitrated(self, message: Message) -> None:
        code = message.status.code
        election_id = U128.decode(message.election_id) if message.HasField("election_id") else 0
        self.latest = Arbitration(primary=code == _OK, vacant=code == _NOT_FOUND, election_id=election_id)
        self._news.put_nowait(self.latest)
