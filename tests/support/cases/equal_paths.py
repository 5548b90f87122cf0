"""Several next hops of equal cost: which of them a packet takes.

The hash of a path is over 14 bits of the flow's hash (those that choose no bucket of a balanced flow), the flow label of the packet
that is forwarded, and the station address that it came to.
"""

import zlib
from typing import Any

from scapy.layers.inet import IP, UDP

from cases.case import Case, from_cn, from_node, label, label_of, one_hop_less, reverse, tunnelled
from cases.forwarding import WATCHED, routed
from cases.ipv4 import down, later
from cases.several import DEFAULT_BALANCE, EVEN_ODD
from controller.dataplane.entries import Entry
from controller.dataplane.pipeline import BUCKETS, PuntReason
from frames import (
    CELLULAR_MAC,
    CELLULAR_PORT,
    CN,
    CN_IPV4,
    CN_MAC,
    CN_PORT,
    HA,
    HOME_MAC,
    HOME_PORT,
    SWITCH_MAC,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    IPv6,
    Raw,
    from_switch,
    mac,
    mapped,
    prefix,
    udp_to_node,
)

ACCESS = ((WIFI_PORT, WIFI_MAC), (CELLULAR_PORT, CELLULAR_MAC), (HOME_PORT, HOME_MAC))
BACK = ((CN_PORT, CN_MAC), (HOME_PORT, HOME_MAC))
SET, SET_BACK = 600, 601


def several(number: int, *hops: tuple[int, str], mtus: dict[int, int] | None = None) -> Entry:
    """Return next hops that share a number, as many times as they are named."""
    params = ((port, mac(SWITCH_MAC), mac(station), (mtus or {}).get(port, 65535)) for port, station in hops)
    return Entry("next_hops", (number,), "forward", tuple(value for one in params for value in one))


def route(network: str, number: int) -> Entry:
    return Entry("routes", (prefix(network),), "next_hop", (number,))


def taken(hops: tuple[tuple[int, str], ...], flow_hash: int, flow_label: int = 0) -> tuple[int, str]:
    """Return the next hop that a packet takes."""
    bits = (flow_hash >> 6) << 68 | flow_label << 48 | mac(SWITCH_MAC)
    return hops[zlib.crc32((bits << 6).to_bytes(11)) % len(hops)]


def sent(packet: Any, hop: tuple[int, str]) -> tuple[int, bytes]:
    port, station = hop
    return port, from_switch(packet, station)


def encapsulated(packet: Any, bid: int, flow_hash: int) -> tuple[int, bytes]:
    """Return a packet to the node as it leaves, by one of its bindings and one of the paths there."""
    frame = tunnelled(packet, bid, flow_hash)[1]
    return sent(IPv6(frame[14:]), taken(ACCESS, flow_hash, packet.fl))


def hash_of(packet: Any) -> int:
    return label(packet, packet[UDP].sport, packet[UDP].dport)


def spread(frames: list[tuple[int, bytes]], paths: int) -> list[tuple[int, bytes]]:
    """Return frames, of which there are some on every path: else a case would show nothing."""
    assert len({port for port, _ in frames}) == paths
    return frames


FLOWS = [routed(fl=fl) for fl in range(1, 13)]
PORTS = [IPv6(src=CN, dst="2001:db8:a1::99", hlim=20) / UDP(sport=sport, dport=7) / Raw(b"x") for sport in range(12)]
DOWN = [udp_to_node(sport=sport, fl=3) for sport in range(4000, 4016)]
UP = [from_node(dst=CN) / Raw(bytes([number])) for number in range(1)]
for number in range(1, 12):
    packet = from_node()
    packet[UDP].sport = 6000 + number
    UP.append(packet)
# As another home agent's tunnel: all that tells its flows apart is the label (RFC 6438 section 3).
PASSING = [
    IPv6(src="2001:db8:9::1", dst="2001:db8:a1::5", nh=41, fl=fl, hlim=9) / IPv6(src=CN, dst="2001:db8:9::2") / UDP()
    for fl in range(100, 112)
]
IPV4 = [IP(src=CN_IPV4, dst="203.0.113.5", ttl=9) / UDP(sport=sport, dport=9) / Raw(b"x") for sport in range(12)]
IPV4_ROUTE = Entry(
    "routes", (prefix("2001:db8:a1::/64")._replace(value=mapped("203.0.113.0"), length=120),), "next_hop", (SET,)
)
ONE_BUCKET = [packet for packet in (udp_to_node(sport=s) for s in range(3000)) if hash_of(packet) % BUCKETS == 6][:12]
NARROW = next(packet for packet in FLOWS if taken(ACCESS, hash_of(packet), packet.fl)[0] == CELLULAR_PORT)
WIDE = next(packet for packet in FLOWS if taken(ACCESS, hash_of(packet), packet.fl)[0] == WIFI_PORT)


def ipv4_hash(packet: Any) -> int:
    addresses = mapped(packet.src).to_bytes(16) + mapped(packet.dst).to_bytes(16)
    return label_of(addresses, packet[UDP].sport, packet[UDP].dport, 17, 0)


TO_ACCESS = [several(SET, *ACCESS), route("2001:db8:a1::/64", SET), route("2001:db8:a2::/64", SET)]

CASES = [
    Case(
        "flows are spread over equal paths by their ports",
        [from_cn(packet) for packet in PORTS] * 2,
        spread([sent(one_hop_less(packet), taken(ACCESS, hash_of(packet))) for packet in PORTS] * 2, 3),
        entries=TO_ACCESS,
    ),
    Case(
        "and by their flow labels",
        [from_cn(packet) for packet in FLOWS],
        spread([sent(one_hop_less(one), taken(ACCESS, hash_of(one), one.fl)) for one in FLOWS], 3),
        entries=TO_ACCESS,
    ),
    Case(
        "a next hop that is there twice has twice the flows",
        [from_cn(packet) for packet in PORTS],
        [sent(one_hop_less(packet), taken((*ACCESS, ACCESS[0]), hash_of(packet))) for packet in PORTS],
        entries=[several(SET, *ACCESS, ACCESS[0]), route("2001:db8:a1::/64", SET)],
    ),
    Case(
        "one of a set",
        [from_cn(PORTS[0])],
        [sent(one_hop_less(PORTS[0]), ACCESS[1])],
        entries=[several(SET, ACCESS[1]), route("2001:db8:a1::/64", SET)],
    ),
    Case(
        "flows in a tunnel that begins here are told apart by what they are inside",
        [from_cn(packet) for packet in DOWN],
        spread([encapsulated(packet, 1, hash_of(packet)) for packet in DOWN], 3),
        entries=TO_ACCESS,
    ),
    Case(
        "flows out of a tunnel that ends here",
        [reverse(packet) for packet in UP],
        spread([sent(one_hop_less(packet), taken(BACK, hash_of(packet))) for packet in UP], 2),
        entries=[several(SET_BACK, *BACK), route("2001:db8:c::/64", SET_BACK)],
    ),
    Case(
        "flows in a tunnel that passes",
        [from_cn(packet) for packet in PASSING],
        spread(
            [sent(one_hop_less(one), taken(ACCESS, label(one, protocol=41), one.fl)) for one in PASSING],
            3,
        ),
        entries=TO_ACCESS,
    ),
    Case(
        "IPv4 flows",
        [from_cn(packet) for packet in IPV4],
        spread([sent(later(packet), taken(ACCESS, ipv4_hash(packet))) for packet in IPV4], 3),
        entries=[*TO_ACCESS, IPV4_ROUTE],
    ),
    Case(
        "IPv4 flows in a tunnel",
        [from_cn(down())],
        [
            sent(
                IPv6(src=HA, dst=WIFI_COA, hlim=64, nh=4, fl=ipv4_hash(down())) / later(down()),
                taken(ACCESS, ipv4_hash(down())),
            )
        ],
        entries=TO_ACCESS,
    ),
    Case(
        "the choice of a BID is not the choice of a path",
        [from_cn(packet) for packet in ONE_BUCKET],
        spread([encapsulated(packet, 1, hash_of(packet)) for packet in ONE_BUCKET], 3),
        entries=[*TO_ACCESS, *EVEN_ODD, DEFAULT_BALANCE],
    ),
    Case(
        "it is longer than the link of its path allows",
        [from_cn(NARROW), from_cn(WIDE)],
        [sent(one_hop_less(WIDE), ACCESS[0])],
        punted=[(CN_PORT, PuntReason.TOO_BIG, from_switch(NARROW, CELLULAR_MAC))],
        entries=[
            *WATCHED,
            several(SET, *ACCESS, mtus={CELLULAR_PORT: len(NARROW) - 1}),
            route("2001:db8:a1::/64", SET),
        ],
        mtus=[len(NARROW) - 1],
    ),
]
