"""Captures every packet at every port of a switch, and checks the checksums of what it sees on the way."""

from pathlib import Path

from testbed.packets import (
    DESTINATION_OPTIONS,
    ETHERTYPE_IPV6,
    IPV6,
    MOBILITY,
    ROUTING,
    UDP,
    mobility_checksum_ok,
    mobility_header,
    parse_udp,
    valid_ipv6,
)
from testbed.pcap import PcapWriter

_WITH_MOBILITY = frozenset({DESTINATION_OPTIONS, ROUTING, MOBILITY})


class Capture:
    """A capture of one switch.

    Args:
        path: the capture file.
    """

    def __init__(self, path: Path) -> None:
        self.mobility = 0
        """Mobility Headers seen."""
        self.tunnelled = 0
        """IPv6 packets in IPv6 packets seen."""
        self.datagrams = 0
        """UDP datagrams seen, in tunnels or not."""
        self.wrong_checksums = 0
        """Mobility Headers and UDP datagrams with a wrong checksum."""
        self._writer = PcapWriter(path)

    @property
    def packets(self) -> int:
        """Frames seen."""
        return self._writer.packets

    def take(self, port: str, frame: bytes, *, outbound: bool) -> None:
        """Note one frame at a port; `outbound` is as the switch sees it."""
        self._writer.write(port, frame, outbound=outbound)
        packet = valid_ipv6(frame[14:]) if frame[12:14] == ETHERTYPE_IPV6 else None
        if packet is None:
            return
        if packet[6] == IPV6:
            self.tunnelled += 1
            inner = valid_ipv6(packet[40:])
            if inner is None:
                return
            packet = inner
        if packet[6] == UDP:
            self.datagrams += 1
            self.wrong_checksums += parse_udp(packet) is None
        elif packet[6] in _WITH_MOBILITY and mobility_header(packet) is not None:
            self.mobility += 1
            self.wrong_checksums += not mobility_checksum_ok(packet)

    def close(self) -> None:
        """Write out and close the file."""
        self._writer.close()
