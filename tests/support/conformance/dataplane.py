"""The data plane of the conformance suite: our compiled program in the embedded switch, with the entries of a home agent's records."""

from typing import Final

import frames
from conformance.harness import Bed
from conformance.packets import IPV6, Seen, ip, ipv6, parse
from controller.dataplane.ids import Ids
from controller.dataplane.pipeline import DropReason
from controller.dataplane.planner import node_entries, shared
from rig import Rig

WIFI: Final = ip(frames.WIFI_COA)
CELLULAR: Final = ip(frames.CELLULAR_COA)
CN: Final = ip(frames.CN)
HA: Final = ip(frames.HA)
CN_PORT: Final = frames.CN_PORT
HOME_PORT: Final = frames.HOME_PORT
WIFI_PORT: Final = frames.WIFI_PORT
CELLULAR_PORT: Final = frames.CELLULAR_PORT
_ETHERNET: Final = bytes.fromhex(frames.SWITCH_MAC.replace(":", "")) + bytes.fromhex("020000000aaa86dd")


class Switch:
    """A switch that carries what a home agent has in force."""

    def __init__(self, rig: Rig, bed: Bed) -> None:
        self._rig = rig
        rig.install(frames.static_entries())
        ids = Ids()
        for record in bed.engine.records():
            ids.nodes.hold(record.home_address, record.home_address)
            for thing in shared(record):
                ids.hold(thing, record.home_address)
            rig.install(node_entries(record, ids).values())

    def send(self, port: int, packet: bytes) -> list[tuple[int, Seen]]:
        """Put an IPv6 packet into a port; return what came out: port and packet."""
        return [(number, parse(frame[14:])) for number, frame in self._rig.send(port, _ETHERNET + packet)]

    def drops(self) -> set[DropReason]:
        """Return why packets were dropped so far."""
        return set(self._rig.drops())


def tunnelled(inner: bytes, source: bytes = WIFI, *, ecn: int = 0) -> bytes:
    """Return a packet in the reverse tunnel from a care-of address."""
    packet = ipv6(source, HA, IPV6, inner)
    return packet[:1] + bytes((packet[1] | ecn << 4,)) + packet[2:]
