"""A node's IPv4 home address: its packets go where those of the home address go, inside of the same tunnels."""

from typing import Any

from scapy.layers.inet import ICMP, IP, IPOption_NOP

from cases.case import CARE_OF, Case, dropped, label_of
from cases.forwarding import WATCHED
from cases.several import COPY_ALL, GROUP
from controller.dataplane.entries import Ternary
from controller.dataplane.pipeline import DropReason, PuntReason
from frames import (
    CN_IPV4,
    CN_MAC,
    CN_PORT,
    HA,
    HOME_IPV4,
    TCP,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    IPv6,
    Raw,
    exactly,
    flow,
    from_switch,
    mapped,
    ports,
    to_switch,
)


def down(**header: Any) -> Any:
    return (
        IP(**{"src": CN_IPV4, "dst": HOME_IPV4, "ttl": 20, "id": 7, **header})
        / UDP(sport=4000, dport=5000)
        / Raw(b"old")
    )


def up(**header: Any) -> Any:
    return IP(**{"src": HOME_IPV4, "dst": CN_IPV4, "ttl": 20, **header}) / UDP(sport=5000, dport=4000) / Raw(b"older")


def later(packet: Any) -> Any:
    after = packet.copy()
    after.ttl -= 1
    return after


def tunnelled(packet: Any, bid: int, sport: int = 4000, dport: int = 5000, protocol: int = 17) -> tuple[int, bytes]:
    care_of, port, station = CARE_OF[bid]
    addresses = mapped(packet.src).to_bytes(16) + mapped(packet.dst).to_bytes(16)
    flow_label = label_of(addresses, sport, dport, protocol, 0)
    return port, from_switch(
        IPv6(src=HA, dst=care_of, hlim=64, nh=4, tc=packet.tos, fl=flow_label) / later(packet), station
    )


def reverse(inner: Any, care_of: str = WIFI_COA, **outer: Any) -> tuple[int, bytes]:
    return WIFI_PORT, to_switch(IPv6(**{"src": care_of, "dst": HA, "nh": 4, **outer}) / inner, WIFI_MAC)


def from_cn(packet: Any) -> tuple[int, bytes]:
    return CN_PORT, to_switch(packet)


def to_cn(packet: Any) -> tuple[int, bytes]:
    return CN_PORT, from_switch(packet, CN_MAC)


FRAGMENT = IP(src=CN_IPV4, dst=HOME_IPV4, flags="MF", proto=17) / Raw(bytes(64))
UP_FRAGMENT = IP(src=HOME_IPV4, dst=CN_IPV4, ttl=20, frag=10, proto=17) / Raw(bytes(64))
LIMIT = IPv6(src=WIFI_COA, dst=HA, nh=60) / Raw(bytes.fromhex("0400040104010100") + bytes(up()))
ONLY_IPV4 = Ternary(0xFFFF << 32, (2**96 - 1) << 32)

DOWN, UP = down(), up()


def on_vlan(frame: bytes) -> bytes:
    return frame[:12] + b"\x81\x00\x00\x64" + frame[12:]


CASES = [
    Case(
        "down the tunnel on a VLAN",
        [(CN_PORT, on_vlan(to_switch(DOWN)))],
        [(WIFI_PORT, on_vlan(tunnelled(DOWN, 1)[1]))],
    ),
    Case("up the tunnel on a VLAN", [(WIFI_PORT, on_vlan(reverse(UP)[1]))], [(CN_PORT, on_vlan(to_cn(up(ttl=19))[1]))]),
    Case("down the tunnel", [from_cn(down(tos=0xB9))], [tunnelled(down(tos=0xB9), 1)]),
    Case("up the tunnel", [reverse(up())], [to_cn(up(ttl=19))]),
    Case(
        "down two tunnels",
        [from_cn(down())],
        [tunnelled(down(), 1), tunnelled(down(), 2)],
        entries=[GROUP, COPY_ALL],
    ),
    Case("an encapsulation limit is taken off", [(WIFI_PORT, to_switch(LIMIT, WIFI_MAC))], [to_cn(up(ttl=19))]),
    Case("a fragment up the tunnel", [reverse(UP_FRAGMENT)], [to_cn(later(UP_FRAGMENT))]),
    Case(
        "a flow binding by ports",
        [from_cn(down())],
        [tunnelled(down(), 2)],
        entries=[flow(2, destination_port=ports(5000, 5000))],
    ),
    Case(
        "a flow binding for IPv4",
        [from_cn(down())],
        [tunnelled(down(), 2)],
        entries=[flow(2, ipv4=exactly(1, 1), source=ONLY_IPV4)],
    ),
    Case("none for IPv6", [from_cn(down())], [tunnelled(down(), 1)], entries=[flow(2, ipv4=exactly(0, 1))]),
    Case(
        "a fragment has no ports",
        [from_cn(FRAGMENT)],
        [tunnelled(FRAGMENT, 1, 0, 0)],
        entries=[flow(2, destination_port=ports(1, 65535))],
    ),
    Case(
        "TCP",
        [from_cn(IP(src=CN_IPV4, dst=HOME_IPV4, ttl=9) / TCP(sport=1, dport=2))],
        [tunnelled(IP(src=CN_IPV4, dst=HOME_IPV4, ttl=9) / TCP(sport=1, dport=2), 1, 1, 2, 6)],
    ),
    Case(
        "routed to an IPv4 host",
        [(WIFI_PORT, to_switch(IP(src="203.0.113.1", dst=CN_IPV4, ttl=3) / ICMP(), WIFI_MAC))],
        [to_cn(IP(src="203.0.113.1", dst=CN_IPV4, ttl=2) / ICMP())],
    ),
    Case(
        "time to live is used up",
        [from_cn(down(ttl=1))],
        punted=[(CN_PORT, PuntReason.HOP_LIMIT, to_switch(down(ttl=1)))],
        entries=WATCHED,
    ),
    *(
        Case(f"mark {inner}{outer}", [reverse(up(tos=4 | inner), tc=outer)], [to_cn(up(tos=4 | after, ttl=19))])
        for inner, outer, after in ((0, 0, 0), (0, 2, 0), (2, 3, 3), (2, 1, 1), (1, 3, 3), (1, 2, 1), (3, 0, 3))
    ),
    dropped("a mark that is not allowed inside", DropReason.ECN, reverse(up(tos=4), tc=3)),
    dropped("another's IPv4 address", DropReason.FORGED_INNER_SOURCE, reverse(up(src="192.0.2.101"))),
    dropped("no route", DropReason.NO_ROUTE, reverse(up(dst="203.0.113.9"))),
    dropped("a wrong checksum", DropReason.MALFORMED, from_cn(down(chksum=1)), reverse(up(chksum=1))),
    dropped(
        "a length that lies",
        DropReason.MALFORMED,
        from_cn(down(len=2000)),
        from_cn(down(len=19)),
        reverse(up(len=2000)),
    ),
    dropped("another version", DropReason.MALFORMED, from_cn(down(version=5)), reverse(up(version=6))),
    dropped("a multicast source", DropReason.MALFORMED, from_cn(down(src="224.0.0.1")), reverse(up(src="224.0.0.1"))),
    dropped("options", DropReason.NOT_IP, from_cn(down(options=[IPOption_NOP()] * 4))),
    dropped("options inside of a tunnel", DropReason.MALFORMED, reverse(up(options=[IPOption_NOP()] * 4))),
    dropped("a multicast group", DropReason.NO_ROUTE, from_cn(down(dst="224.0.0.1"))),
]
