"""Packets between switch and controller: P4Runtime metadata, to and from the program's controller headers."""

from finsy.proto import p4r

from testbed.softswitch.bytestrings import decode, encode
from testbed.softswitch.errors import invalid
from testbed.softswitch.schema import Param


class PacketIo:
    """Converts for one pipeline.

    Args:
        packet_in: fields of the header before a packet to the controller.
        packet_out: fields of the header before a packet from the controller.
    """

    def __init__(self, packet_in: tuple[Param, ...], packet_out: tuple[Param, ...]) -> None:
        self._in = packet_in
        self._in_bits = sum(param.width for param in packet_in)
        self._out = packet_out
        self._out_bits = sum(param.width for param in packet_out)

    def to_controller(self, frame: bytes) -> p4r.StreamMessageResponse | None:
        """What left by the CPU port as a PacketIn; None when it is too short to hold the header."""
        size = self._in_bits // 8
        if len(frame) < size:
            return None
        message = p4r.StreamMessageResponse()
        packet = message.packet
        packet.payload = frame[size:]
        header, rest = int.from_bytes(frame[:size]), self._in_bits
        for param in self._in:
            rest -= param.width
            packet.metadata.add(metadata_id=param.id, value=encode(header >> rest & (1 << param.width) - 1))
        return message

    def from_controller(self, packet: p4r.PacketOut) -> bytes:
        """A PacketOut as it enters by the CPU port.

        Raises:
            EntityError: metadata that the program does not know, that is missing, or that does not fit.
        """
        given = {item.metadata_id: item.value for item in packet.metadata}
        header = 0
        for param in self._out:
            if param.id not in given:
                raise invalid(f"packet-out: the metadata {param.name} is missing")
            header = header << param.width | decode(
                given.pop(param.id), param.width, f"packet-out, metadata {param.name}"
            )
        if given:
            raise invalid(f"packet-out: no metadata with id {min(given)}")
        payload: bytes = packet.payload
        return header.to_bytes(self._out_bits // 8) + payload
