"""Routing, lengths, limits, and what is told to the source of a packet that goes no further."""

from scapy.layers.l2 import ARP, Dot1Q, Ether

from cases.case import Case, dropped, from_cn, from_node, label, one_hop_less, reverse, to_cn, tunnelled
from controller.dataplane.entries import Entry, Lpm, Rate
from controller.dataplane.pipeline import DropReason, PuntReason
from frames import (
    CN,
    CN_MAC,
    CN_PORT,
    HOA,
    NODE,
    SWITCH_MAC,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    IPv6,
    Raw,
    exactly,
    from_switch,
    mac,
    number,
    signalling,
    to_switch,
    tunnel,
    udp_to_node,
)

GENEROUS = Rate(1_000_000, 100_000)
WATCHED = [
    Entry("punt_policers", (int(reason),), "police", rate=GENEROUS)
    for reason in (PuntReason.HOP_LIMIT, PuntReason.TOO_BIG, PuntReason.UNREACHABLE)
]


def routed(**header: object) -> IPv6:
    return IPv6(**{"src": CN, "dst": "2001:db8:a1::99", "hlim": 20, **header}) / UDP(sport=1, dport=2) / Raw(b"data")


def narrow(mtu: int) -> Entry:
    return Entry("next_hops", (WIFI_PORT,), "forward", (WIFI_PORT, mac(SWITCH_MAC), mac(WIFI_MAC), mtu))


def tagged(packet: IPv6, source: str, destination: str) -> bytes:
    return bytes(Ether(dst=destination, src=source) / Dot1Q(vlan=100, prio=5) / packet)


LONG = udp_to_node(1360)  # 1408 octets, 1448 in a tunnel
EXPIRED = routed(hlim=1)
LOST = routed(dst="2001:db8:dead::1")
ROUTED = routed()
UNLABELLED = udp_to_node(sport=4738, dport=103)
assert label(UNLABELLED, 4738, 103) == 1, "its hash is 0, and 0 means that there is no label (RFC 6437 section 3)"
BEHIND = IPv6(src=CN, dst="2001:db8:77:1::5", hlim=9) / UDP(sport=1, dport=2)
FROM_BEHIND = from_node(src="2001:db8:77::abc")
HELLO = bytes(
    Ether(dst="01:80:c2:00:00:0e", src=CN_MAC, type=0x88CC) / Raw(bytes.fromhex("02020761040207310602000100 00"))
)
LINKED = [
    Entry("link_ports", (CN_PORT,), "expect"),
    Entry("punt_policers", (int(PuntReason.LINK_DISCOVERY),), "police", rate=Rate(1000, 1000)),
]

CASES = [
    Case("a packet is routed", [from_cn(ROUTED)], [(WIFI_PORT, from_switch(one_hop_less(ROUTED), WIFI_MAC))]),
    Case(
        "its hop limit is used up",
        [from_cn(EXPIRED)],
        punted=[(CN_PORT, PuntReason.HOP_LIMIT, to_switch(EXPIRED))],
        entries=WATCHED,
        counters={("punt_policers", (int(PuntReason.HOP_LIMIT),)): (1, len(to_switch(EXPIRED)))},
    ),
    dropped("its hop limit is used up, and nobody wants to know", DropReason.HOP_LIMIT, from_cn(EXPIRED)),
    Case(
        "there is no route",
        [from_cn(LOST)],
        punted=[(CN_PORT, PuntReason.UNREACHABLE, to_switch(LOST))],
        entries=WATCHED,
    ),
    Case(
        "a prefix is said to be unreachable",
        [from_cn(LOST)],
        punted=[(CN_PORT, PuntReason.UNREACHABLE, to_switch(LOST))],
        entries=[*WATCHED, Entry("routes", (Lpm(number("2001:db8:dead::"), 48),), "refuse_unrouted")],
    ),
    dropped(
        "the next hop is missing",
        DropReason.NO_ROUTE,
        from_cn(LOST),
        entries=[Entry("routes", (None,), "next_hop", (99,))],
    ),
    Case(
        "it is as long as the link allows",
        [from_cn(LONG)],
        [tunnelled(LONG, 1, label(LONG, 4000, 5000))],
        entries=[*WATCHED, narrow(1448), tunnel(1, WIFI_COA, mtu=1408)],
    ),
    Case(
        "it is longer than the tunnel allows",
        [from_cn(LONG)],
        punted=[(CN_PORT, PuntReason.TOO_BIG, bytes(Ether(dst=WIFI_MAC, src=SWITCH_MAC) / LONG))],
        entries=[*WATCHED, tunnel(1, WIFI_COA, mtu=1407)],
        mtus=[1407],
    ),
    Case(
        "it is longer in its tunnel than the link allows",
        [from_cn(LONG)],
        punted=[(CN_PORT, PuntReason.TOO_BIG, bytes(Ether(dst=WIFI_MAC, src=SWITCH_MAC) / LONG))],
        entries=[*WATCHED, narrow(1447)],
        mtus=[1407],
    ),
    Case(
        "it is longer than the link allows, without a tunnel",
        [from_cn(ROUTED)],
        punted=[(CN_PORT, PuntReason.TOO_BIG, bytes(Ether(dst=WIFI_MAC, src=SWITCH_MAC) / ROUTED))],
        entries=[*WATCHED, narrow(len(ROUTED) - 1)],
        mtus=[len(ROUTED) - 1],
    ),
    dropped("too long, and nobody wants to know", DropReason.TOO_BIG, from_cn(LONG), entries=[narrow(1447)]),
    Case(
        "reports beyond their rate",
        [from_cn(EXPIRED)] * 4,
        punted=[(CN_PORT, PuntReason.HOP_LIMIT, to_switch(EXPIRED))],
        drops={DropReason.REPORT_RATE: 3},
        entries=[Entry("punt_policers", (int(PuntReason.HOP_LIMIT),), "police", rate=Rate(1, 1))],
    ),
    Case(
        "a binding has a rate",
        [from_cn(LONG)] * 4,
        [tunnelled(LONG, 1, label(LONG, 4000, 5000))],
        drops={DropReason.TUNNEL_RATE: 3},
        entries=[Entry("tunnel_rates", (NODE, 1), "limit", rate=Rate(1, 1500))],
        counters={("tunnels", (NODE, 1)): (1, len(to_switch(LONG)))},
    ),
    Case(
        "a VLAN tag passes",
        [(CN_PORT, tagged(ROUTED, CN_MAC, SWITCH_MAC))],
        [(WIFI_PORT, tagged(one_hop_less(ROUTED), SWITCH_MAC, WIFI_MAC))],
    ),
    Case(
        "a VLAN tag stays in front of the tunnel",
        [(CN_PORT, tagged(udp_to_node(), CN_MAC, SWITCH_MAC))],
        [
            (
                WIFI_PORT,
                bytes(Ether(dst=WIFI_MAC, src=SWITCH_MAC) / Dot1Q(vlan=100, prio=5, type=0x86DD))
                + tunnelled(udp_to_node(), 1, label(udp_to_node(), 4000, 5000))[1][14:],
            )
        ],
    ),
    dropped("a tag before nothing that we know", DropReason.NOT_IP, (CN_PORT, tagged(ARP(), CN_MAC, SWITCH_MAC))),
    dropped("no IP packet", DropReason.NOT_IP, (CN_PORT, bytes(Ether(dst=SWITCH_MAC, src=CN_MAC) / ARP()))),
    Case(
        "a frame of link discovery from another switch",
        [(CN_PORT, HELLO)],
        punted=[(CN_PORT, PuntReason.LINK_DISCOVERY, HELLO)],
        entries=LINKED,
        counters={("punt_policers", (int(PuntReason.LINK_DISCOVERY),)): (1, len(HELLO))},
    ),
    dropped("a frame of link discovery from a host", DropReason.NOT_IP, (WIFI_PORT, HELLO), entries=LINKED),
    dropped("a frame of link discovery at no rate", DropReason.NOT_IP, (CN_PORT, HELLO), entries=LINKED[:1]),
    dropped(
        "a frame of link discovery with a tag",
        DropReason.NOT_IP,
        (CN_PORT, HELLO[:12] + b"\x81\0\0\1" + HELLO[12:]),
        entries=LINKED,
    ),
    dropped("for another station", DropReason.NOT_FOR_US, (CN_PORT, bytes(Ether(dst=CN_MAC, src=CN_MAC) / ROUTED))),
    dropped(
        "to the home agent, but nothing that it serves",
        DropReason.SIGNALLING_DENIED,
        from_cn(IPv6(src=CN, dst="2001:db8:0:1::1") / UDP(sport=1, dport=7)),
        from_cn(IPv6(src=CN, dst="2001:db8:0:1::1") / UDP(sport=1, dport=9)),
    ),
    dropped(
        "multicast and link-local",
        DropReason.SCOPE,
        from_cn(routed(dst="ff0e::1")),
        from_cn(routed(dst="fe80::1")),
        from_cn(routed(src="fe80::1")),
        reverse(from_node(dst="ff02::1")),
    ),
    Case(
        "signalling beyond its rate",
        [from_cn(IPv6(src=CN, dst="2001:db8:0:1::1") / UDP(sport=1, dport=53))] * 3,
        punted=[(CN_PORT, PuntReason.ICMPV6, to_switch(IPv6(src=CN, dst="2001:db8:0:1::1") / UDP(sport=1, dport=53)))],
        drops={DropReason.SIGNALLING_RATE: 2},
        entries=[
            Entry(
                **{
                    **{
                        name: getattr(signalling("punt", (3,), 95, udp_port=exactly(53, 16)), name)
                        for name in ("table", "match", "action", "params", "priority")
                    },
                    "rate": Rate(1, 1),
                }
            )
        ],
    ),
    Case(
        "through one tunnel in, to the correspondent out",
        [reverse(from_node())],
        [to_cn(from_node(hlim=32))],
        counters={("source_bindings", (21, NODE)): (1, len(reverse(from_node())[1]))},
    ),
    Case("a hash of 0", [from_cn(UNLABELLED)], [tunnelled(UNLABELLED, 1, 1)]),
    Case("to a mobile network", [from_cn(BEHIND)], [tunnelled(BEHIND, 1, label(BEHIND, 1, 2))]),
    Case("from a mobile network", [reverse(FROM_BEHIND)], [to_cn(one_hop_less(FROM_BEHIND))]),
    dropped(
        "no tunnel source",
        DropReason.NO_TUNNEL,
        from_cn(udp_to_node()),
        without=[Entry("tunnel_sources", (1,), "tunnel_source")],
    ),
    dropped(
        "the tunnel drops",
        DropReason.POLICY,
        from_cn(udp_to_node()),
        entries=[Entry("tunnels", (NODE, 1), "drop_tunnel")],
    ),
    Case(
        "home address",
        [from_cn(IPv6(src=CN, dst=HOA, hlim=2) / Raw(b"x"))],
        [tunnelled(IPv6(src=CN, dst=HOA, hlim=2) / Raw(b"x"), 1, label(IPv6(src=CN, dst=HOA), protocol=59))],
    ),
]
