"""What is behind the IPv6 header: extension headers, fragments, ESP, AH, signalling, tunnels in tunnels."""

from scapy.layers.inet6 import IPv6ExtHdrFragment, IPv6ExtHdrRouting
from scapy.layers.ipsec import AH, ESP

from cases.case import Case, dropped, from_cn, from_node, label, one_hop_less, reverse, to_cn, tunnelled
from controller.dataplane.entries import Entry
from controller.dataplane.pipeline import DropReason, PuntReason
from frames import (
    CN,
    CN_PORT,
    HA,
    HAO,
    HOA,
    MIP6MH_BU,
    TCP,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    PadN,
    Raw,
    exactly,
    flow,
    from_switch,
    ports,
    signalling,
    to_switch,
)

ANY_PORT = flow(2, protocol=exactly(17, 8), destination_port=ports(1, 65535))
ANY_UDP = flow(2, protocol=exactly(17, 8))


def behind(extension: object, **ids: object) -> IPv6:
    return IPv6(src=CN, dst=HOA, **ids) / extension / UDP(sport=4000, dport=5000) / Raw(b"behind")


ROUTING_2 = IPv6ExtHdrRouting(type=2, segleft=1, addresses=[HOA])
TOO_LONG = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(40))])
BEHIND_8 = behind(IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))]))
BEHIND_16 = behind(IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(12))]))
BEHIND_24 = behind(IPv6ExtHdrDestOpt(options=[HAO(hoa=CN)]))
BEHIND_RH = behind(ROUTING_2)
FIRST = IPv6(src=CN, dst=HOA) / IPv6ExtHdrFragment(id=7, m=1) / UDP(sport=4000, dport=5000, len=2000) / Raw(bytes(1192))
LATER = IPv6(src=CN, dst=HOA) / IPv6ExtHdrFragment(id=7, offset=150, nh=17) / Raw(bytes(800))
ENCRYPTED = IPv6(src=CN, dst=HOA) / ESP(spi=0x1234, seq=1, data=bytes(16))
SIGNED = IPv6(src=CN, dst=HOA) / AH(spi=0x1234, seq=1, icv=bytes(12)) / UDP()
UPDATE = IPv6(src=WIFI_COA, dst=HA) / IPv6ExtHdrDestOpt(options=[HAO(hoa=HOA)]) / MIP6MH_BU(seq=1, mhtime=60)
BELIEVE_ME = IPv6(src=CN, dst=HA) / IPv6ExtHdrDestOpt(options=[HAO(hoa=HOA)]) / UDP(sport=1, dport=2)
LIMIT = IPv6(src=WIFI_COA, dst=HA, nh=60) / Raw(bytes.fromhex("2900040104010100") + bytes(from_node()))
NESTED = IPv6(src=CN, dst=HOA) / IPv6(src="2001:db8:9::1", dst="2001:db8:9::2") / UDP(sport=1, dport=5000)
PASSING = IPv6(src=CN, dst="2001:db8:a1::99", hlim=9) / IPv6(src="2001:db8:9::1", dst=HOA) / UDP(sport=1, dport=2)
INNER_8 = IPv6(src=HOA, dst=CN, hlim=9) / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) / UDP(sport=1, dport=2)
INNER_FRAGMENT = IPv6(src=HOA, dst=CN, hlim=9) / IPv6ExtHdrFragment(id=7, offset=10, nh=17) / Raw(bytes(80))
FRAGMENTS_BEHIND = [
    IPv6(src=CN, dst=HOA)
    / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(size))])
    / IPv6ExtHdrFragment(id=7, m=1, nh=17)
    / Raw(bytes(16))
    for size in (4, 12, 20)
]
ROUTING_2_OF_TWO = IPv6ExtHdrRouting(type=2, segleft=1, addresses=[HOA, HOA])
INNER_TCP = IPv6(src=HOA, dst=CN, hlim=9) / TCP(sport=1, dport=2)


def by_2(name: str, packet: IPv6, protocol: int, sport: int, dport: int, spi: int, *entries: Entry) -> Case:
    return Case(
        name, [from_cn(packet)], [tunnelled(packet, 2, label(packet, sport, dport, protocol, spi))], entries=entries
    )


CASES = [
    *(
        by_2(f"a fragment behind an extension header of {8 + 8 * size} octets", packet, 17, 0, 0, 0, ANY_UDP)
        for size, packet in enumerate(FRAGMENTS_BEHIND)
    ),
    *(
        Case(
            f"mark {inner}{outer}",
            [reverse(from_node(tc=4 | inner), tc=outer)],
            [to_cn(from_node(tc=4 | after, hlim=32))],
        )
        for inner, outer, after in ((0, 0, 0), (2, 3, 3), (2, 1, 1), (1, 3, 3), (1, 2, 1), (3, 0, 3))
    ),
    dropped("a mark that is not allowed inside", DropReason.ECN, reverse(from_node(tc=4), tc=3)),
    Case("a fragment from a node", [reverse(INNER_FRAGMENT)], [to_cn(one_hop_less(INNER_FRAGMENT))]),
    by_2("ports behind an extension header of 8 octets", BEHIND_8, 17, 4000, 5000, 0, ANY_PORT),
    by_2("of 16 octets", BEHIND_16, 17, 4000, 5000, 0, ANY_PORT),
    by_2("of 24 octets, a Home Address option", BEHIND_24, 17, 4000, 5000, 0, ANY_PORT),
    by_2("a type 2 routing header", BEHIND_RH, 17, 4000, 5000, 0, ANY_PORT),
    by_2(
        "an extension header that is too long keeps its number",
        behind(TOO_LONG),
        60,
        0,
        0,
        0,
        flow(2, protocol=exactly(60, 8)),
    ),
    by_2("a routing header too", behind(ROUTING_2_OF_TWO), 43, 0, 0, 0, flow(2, protocol=exactly(43, 8))),
    by_2("a first fragment is known by its protocol", FIRST, 17, 0, 0, 0, ANY_UDP),
    by_2("and so is a later one", LATER, 17, 0, 0, 0, ANY_UDP),
    Case(
        "fragments have no ports",
        [from_cn(FIRST), from_cn(LATER)],
        [tunnelled(FIRST, 1, label(FIRST, protocol=17)), tunnelled(LATER, 1, label(LATER, protocol=17))],
        entries=[ANY_PORT],
    ),
    by_2("ESP is known by its SPI", ENCRYPTED, 50, 0, 0, 0x1234, flow(2, spi=exactly(0x1234, 32))),
    by_2("AH too", SIGNED, 51, 0, 0, 0x1234, flow(2, spi=exactly(0x1234, 32))),
    Case(
        "ESP has no ports",
        [from_cn(ENCRYPTED)],
        [tunnelled(ENCRYPTED, 1, label(ENCRYPTED, protocol=50, spi=0x1234))],
        entries=[ANY_PORT],
    ),
    Case(
        "an IPv6 flow binding takes IPv6",
        [from_cn(BEHIND_8)],
        [tunnelled(BEHIND_8, 2, label(BEHIND_8, 4000, 5000))],
        entries=[flow(2, ipv4=exactly(0, 1)), flow(1, 9, ipv4=exactly(1, 1))],
    ),
    by_2(
        "a tunnel inside has no ports",
        NESTED,
        41,
        0,
        0,
        0,
        flow(2, protocol=exactly(41, 8), destination_port=ports(0, 0)),
    ),
    Case(
        "a tunnel that only passes through is routed",
        [from_cn(PASSING)],
        [(WIFI_PORT, from_switch(one_hop_less(PASSING), WIFI_MAC))],
    ),
    Case(
        "a Binding Update",
        [(WIFI_PORT, to_switch(UPDATE, WIFI_MAC))],
        punted=[(WIFI_PORT, PuntReason.MOBILITY_HEADER, to_switch(UPDATE, WIFI_MAC))],
    ),
    Case(
        "an echo request to the home agent",
        [from_cn(IPv6(src=CN, dst=HA, hlim=1) / ICMPv6EchoRequest(data=b"ping"))],
        punted=[
            (CN_PORT, PuntReason.ICMPV6, to_switch(IPv6(src=CN, dst=HA, hlim=1) / ICMPv6EchoRequest(data=b"ping")))
        ],
    ),
    Case(
        "a Home Address option to the home agent is the controller's business",
        [from_cn(BELIEVE_ME)],
        punted=[(CN_PORT, PuntReason.HOME_ADDRESS, to_switch(BELIEVE_ME))],
        entries=[signalling("punt", (7,), 70, home_address_option=exactly(1, 1))],
    ),
    dropped(
        "without the option it is not",
        DropReason.SIGNALLING_DENIED,
        from_cn(IPv6(src=CN, dst=HA) / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(20))]) / UDP(sport=1, dport=2)),
        entries=[signalling("punt", (7,), 70, home_address_option=exactly(1, 1))],
    ),
    Case("an encapsulation limit is taken off", [(WIFI_PORT, to_switch(LIMIT, WIFI_MAC))], [to_cn(from_node(hlim=32))]),
    Case("an extension header stays inside", [reverse(INNER_8)], [to_cn(one_hop_less(INNER_8))]),
    Case("TCP comes out", [reverse(INNER_TCP)], [to_cn(one_hop_less(INNER_TCP))]),
    dropped(
        "an outer header with a fragment header is not taken off",
        DropReason.SIGNALLING_DENIED,
        reverse(IPv6ExtHdrFragment(nh=41) / from_node()),
    ),
]
