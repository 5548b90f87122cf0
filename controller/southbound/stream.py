"""The stream half of P4Runtime towards one switch: arbitration, packets in and out, digests, entries that were idle too long."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import grpc
from finsy.proto import U128, p4r
from google.protobuf.message import DecodeError

from controller.dataplane.entries import EntryKey
from controller.southbound.codec import Codec, Message, octets
from controller.southbound.duplex import Duplex
from controller.southbound.errors import code_name
from controller.southbound.options import SessionOptions, host_and_port, tls_context
from controller.southbound.queues import CountingQueue
from controller.southbound.wire import CodecError, framed, tag, varint_at

_LOG = logging.getLogger(__name__)

_METHOD: Final = "/p4.v1.P4Runtime/StreamChannel"
_PROBE: Final = "/p4.v1.P4Runtime/Capabilities"
_OK: Final = 0
_PACKET: Final = tag(2)
"""The tag of a packet in a `StreamMessageRequest`, and in a `StreamMessageResponse`."""
_PAYLOAD: Final = tag(1)
_PAYLOAD_TAG: Final = _PAYLOAD[0]
_COMBINATIONS: Final = 1024
"""Different metadata of packets that are kept translated: each port has a few."""
_NOT_FOUND: Final = int(grpc.StatusCode.NOT_FOUND.value[0])


class PacketIn(NamedTuple):
    """A packet that the switch hands to the controller."""

    ingress_port: int
    reason: int
    """A `PuntReason`, or a number that this controller does not know."""
    frame: bytes
    """The Ethernet frame as it came in."""
    mtu: int = 0
    """Octets of the longest packet that could have gone on, where the reason is that this one could not; otherwise 0."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A list of digests (P4Runtime section 16.2)."""

    digest_id: int
    list_id: int
    values: tuple[bytes, ...]
    """Each a serialised `p4.v1.P4Data`."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Entries that matched nothing for as long as they were told to wait (P4Runtime section 16.4)."""

    keys: tuple[EntryKey, ...]


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
    """Translates what travels on the stream.

    Args:
        info: the program's `p4.config.v1.P4Info`.
        codec: of its entries.
    """

    def __init__(self, info: Message, codec: Codec) -> None:
        self._codec = codec
        fields = {
            header.preamble.alias: {field.name: field.id for field in header.metadata}
            for header in info.controller_packet_metadata
        }
        self._ingress_port = fields["packet_in"]["ingress_port"]
        self._reason = fields["packet_in"]["reason"]
        self._mtu = fields["packet_in"]["mtu"]
        self._egress_port = fields["packet_out"]["egress_port"]
        self._routed = fields["packet_out"]["routed"]
        self._metadata: dict[tuple[bool, int], bytes] = {}
        self._read = lru_cache(_COMBINATIONS)(self._read_metadata)

    def packet_in(self, data: bytes) -> PacketIn:
        """Return the packet of a serialised `p4.v1.StreamMessageResponse`; metadata that it lacks are 0.

        Raises:
            CodecError: it is not one.
        """
        payload, rest = _payload_and_rest(data)
        port, reason, mtu = self._read(rest)
        return PacketIn(port, reason, payload, mtu)

    def _read_metadata(self, data: bytes) -> tuple[int, int, int]:
        """Return ingress port, reason and MTU of a serialised `p4.v1.PacketIn` without its payload."""
        packet = _parsed(p4r.PacketIn, data)
        if packet.payload:
            raise CodecError("a packet has two payloads")
        values = {field.metadata_id: int.from_bytes(field.value) for field in packet.metadata}
        return values.get(self._ingress_port, 0), values.get(self._reason, 0), values.get(self._mtu, 0)

    def notice(self, message: Message) -> Digest | Idle:
        """Return what a `p4.v1.StreamMessageResponse` with a digest or an idle timeout says.

        Raises:
            CodecError: it names an entry that is not of the program.
        """
        if message.HasField("digest"):
            digest = message.digest
            return Digest(digest.digest_id, digest.list_id, tuple(data.SerializeToString() for data in digest.data))
        return Idle(tuple(map(self._codec.decode_key, message.idle_timeout_notification.table_entry)))

    def packet_out(self, frame: bytes, *, routed: bool, egress_port: int) -> bytes:
        """Return a serialised `p4.v1.StreamMessageRequest` that sends a frame: joined from what never changes, and the frame."""
        metadata = self._metadata.get((routed, egress_port))
        if metadata is None:
            packet = p4r.PacketOut()
            packet.metadata.add(metadata_id=self._egress_port, value=octets(egress_port))
            packet.metadata.add(metadata_id=self._routed, value=octets(int(routed)))
            metadata = self._metadata[routed, egress_port] = packet.SerializeToString()
        return framed(_PACKET, framed(_PAYLOAD, frame) + metadata)


def _payload_and_rest(data: bytes) -> tuple[bytes, bytes]:
    """Return the payload of the packet in a serialised `p4.v1.StreamMessageResponse`, and the packet without it, serialised."""
    try:
        size, at = varint_at(data, 1)
        if data[at] == _PAYLOAD_TAG and at + size == len(data):
            length, start = varint_at(data, at + 1)
            if start + length <= len(data):
                # What serialisers write: nothing but the packet, and its payload first.
                return data[start : start + length], data[start + length :]
    except IndexError:
        pass
    message = _parsed(p4r.StreamMessageResponse, data)
    if not message.HasField("packet"):
        raise CodecError("a message on the stream holds a packet, and something else in its place")
    packet = message.packet
    payload = packet.payload
    packet.ClearField("payload")
    return payload, packet.SerializeToString()


def _parsed(kind: Any, data: bytes) -> Any:  # noqa: ANN401  messages are untyped
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise CodecError(f"{data[:32].hex()}... is no {kind.DESCRIPTOR.name}") from error


class Stream:
    """One stream. Its `run` must be held in a task; all else waits for what that task brings.

    Args:
        options: of the switch, with its address, role and the messages that may wait: to be sent, and digests and idle timeouts to be
            handled.
        on_packet: called at once with each `p4.v1.StreamMessageResponse` that has a packet, serialised.
        on_arbitration: called at once with what the switch says about who is primary.

    Raises:
        OSError: a TLS file cannot be read.
    """

    def __init__(
        self,
        options: SessionOptions,
        on_packet: Callable[[bytes], None] = lambda _: None,
        on_arbitration: Callable[[Arbitration], None] = lambda _: None,
    ) -> None:
        self.notices: CountingQueue[Message] = CountingQueue(options.packet_backlog)
        """Each a `p4.v1.StreamMessageResponse` with a digest or an idle timeout."""
        self.errors = 0
        """Messages of ours that the switch could not carry out."""
        self.latest = Arbitration(primary=False, vacant=True, election_id=0)
        """What the switch said last about who is primary."""
        self._options = options
        self._on_packet = on_packet
        self._on_arbitration = on_arbitration
        self._unsent = 0
        self._news = asyncio.Event()
        host, port = host_and_port(options.address)
        tls = None if options.tls is None else tls_context(options.tls)
        self._duplex = Duplex(host, port, _METHOD, _PROBE, self._take, tls=tls)

    @property
    def waiting(self) -> int:
        """Messages of either direction that wait in a queue now."""
        return len(self.notices) + self._duplex.waiting

    @property
    def dropped(self) -> int:
        """Messages of either direction that found their queue full."""
        return self.notices.dropped + self._unsent

    async def run(self) -> None:
        """Read and write until the stream ends, which is always an error.

        Raises:
            ConnectionLostError: it ended.
            CodecError: the switch sent what is no message of P4Runtime.
            Exception: what `fail` was given.
        """
        await self._duplex.run()

    def fail(self, error: Exception) -> None:
        """End the stream because of something that was seen elsewhere."""
        self._duplex.end(error)

    def send(self, message: bytes) -> bool:
        """Send a serialised `p4.v1.StreamMessageRequest`; False: too many wait already, and it is dropped and counted."""
        if self._duplex.waiting >= self._options.packet_backlog:
            self._unsent += 1
            return False
        self._duplex.send(message)
        return True

    def bid(self, election_id: int | None) -> None:
        """Ask to be primary with an id; None: only to be told who is."""
        message = p4r.StreamMessageRequest()
        message.arbitration.device_id = self._options.device_id
        if self._options.role:
            message.arbitration.role.name = self._options.role
        if election_id is not None:
            message.arbitration.election_id.CopyFrom(U128.encode(election_id))
        self._duplex.send(message.SerializeToString())

    async def news(self) -> Arbitration:
        """Wait until the switch says who is primary; of several messages that came meanwhile the last counts."""
        await self._news.wait()
        self._news.clear()
        return self.latest

    def acknowledge(self, digest: Digest) -> None:
        """Tell the switch that a list of digests has arrived: it may send those again that it held back."""
        message = p4r.StreamMessageRequest()
        message.digest_ack.digest_id, message.digest_ack.list_id = digest.digest_id, digest.list_id
        self.send(message.SerializeToString())

    def _take(self, data: bytes) -> None:
        if data.startswith(_PACKET):
            self._on_packet(data)  # most of what comes: it is not taken apart here
            return
        message = _parsed(p4r.StreamMessageResponse, data)
        kind = message.WhichOneof("update")
        if kind == "packet":
            self._on_packet(data)
        elif kind == "arbitration":
            self._arbitrated(message.arbitration)
        elif kind in {"digest", "idle_timeout_notification"}:
            self.notices.offer(message)
        elif kind == "error":
            # P4Runtime section 16.3: about one message that we sent, such as a packet that cannot go out.
            self.errors += 1
            _LOG.warning("%s %s", code_name(message.error.canonical_code), message.error.message)

    def _arbitrated(self, message: Message) -> None:
        code = message.status.code
        election_id = U128.decode(message.election_id) if message.HasField("election_id") else 0
        self.latest = Arbitration(primary=code == _OK, vacant=code == _NOT_FOUND, election_id=election_id)
        self._on_arbitration(self.latest)
        self._news.set()
