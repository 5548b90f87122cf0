"""Malformed and hostile packets: each dropped with its reason, and the switch goes on."""

from cases.case import Case, dropped, from_cn, from_node, label, one_hop_less, reverse, to_cn, tunnelled
from controller.dataplane.pipeline import DropReason
from frames import (
    CELLULAR_COA,
    CN,
    HA,
    HOA,
    OTHER_COA,
    OTHER_HOA,
    TCP,
    UDP,
    WIFI_COA,
    WIFI_MAC,
    WIFI_PORT,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    PadN,
    Raw,
    to_switch,
)


def packet(**header: object) -> IPv6:
    return IPv6(**{"src": CN, "dst": HOA, **header}) / UDP(sport=4000, dport=5000) / Raw(bytes(8))


def nested(depth: int, inner: IPv6) -> IPv6:
    for _ in range(depth):
        inner = IPv6(src=WIFI_COA, dst=HA) / inner
    return inner


def chain(length: int, **header: object) -> IPv6:
    whole = IPv6(**{"src": CN, "dst": HA, **header})
    for _ in range(length):
        whole /= IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    return whole / UDP(sport=1, dport=2)


def passed(name: str, packets: list[IPv6], protocol: int) -> Case:
    """To the node: whatever is in them, they are its own affair."""
    out = [tunnelled(packet, 1, label(packet, protocol=protocol)) for packet in packets]
    return Case(name, [from_cn(packet) for packet in packets], out)


CHAINS = [chain(length, dst=HOA, hlim=20) for length in (2, 3, 10, 100)]
# Of each kind that the parser tells apart inside of a tunnel, by the number of its next header.
INNER_UPPER = [
    IPv6(src=HOA, dst=CN, hlim=33, nh=kind) / Raw(bytes.fromhex("3b00010203040506") + bytes(16))
    for kind in (6, 17, 43, 50, 51, 58, 59, 132, 135, 136)
]
INNER_CHAINS = [chain(length, src=HOA, dst=CN, hlim=33) for length in (2, 3, 10, 100)]
STRANGE_TUNNELS = [IPv6(src=CN, dst=HOA, hlim=20) / nested(depth, packet()) for depth in (1, 2, 10)]

WHOLE = to_switch(packet())
TUNNEL = to_switch(IPv6(src=WIFI_COA, dst=HA) / from_node(), WIFI_MAC)
SHORT_UPPER = [
    to_switch(IPv6(src=CN, dst=HOA, nh=kind) / Raw(b"\x00")) for kind in (6, 17, 50, 51, 132, 135, 136, 0, 43, 44, 60)
]

CASES = [
    dropped(
        "truncated anywhere in the headers", DropReason.MALFORMED, *((1, WHOLE[:length]) for length in range(14, 54))
    ),
    dropped(
        "truncated in the payload", DropReason.MALFORMED, *((1, WHOLE[:length]) for length in range(54, len(WHOLE)))
    ),
    dropped(
        "truncated in the tunnel", DropReason.MALFORMED, *((1, TUNNEL[:length]) for length in range(54, len(TUNNEL), 3))
    ),
    dropped("no room for what the header promises", DropReason.MALFORMED, *((1, frame) for frame in SHORT_UPPER)),
    dropped("a payload length that lies", DropReason.MALFORMED, from_cn(packet(plen=17)), from_cn(packet(plen=65535))),
    dropped("versions", DropReason.MALFORMED, *(from_cn(packet(version=version)) for version in (0, 4, 5, 7, 15))),
    dropped("a multicast source", DropReason.MALFORMED, from_cn(packet(src="ff02::1")), from_cn(packet(src="ff0e::1"))),
    dropped("hop limit 0", DropReason.HOP_LIMIT, from_cn(packet(hlim=0)), from_cn(packet(hlim=1))),
    dropped(
        "nothing inside", DropReason.MALFORMED, (WIFI_PORT, to_switch(IPv6(src=WIFI_COA, dst=HA, nh=41), WIFI_MAC))
    ),
    dropped(
        "an inner length that lies", DropReason.MALFORMED, reverse(from_node(plen=200)), reverse(from_node(plen=65535))
    ),
    dropped("an inner version", DropReason.MALFORMED, reverse(from_node(version=4)), reverse(from_node(version=0))),
    dropped("an inner multicast source", DropReason.MALFORMED, reverse(from_node(src="ff02::1"))),
    dropped("an inner hop limit", DropReason.HOP_LIMIT, reverse(from_node(hlim=0)), reverse(from_node(hlim=1))),
    dropped(
        "an outer source that nobody has", DropReason.UNREGISTERED_OUTER_SOURCE, reverse(from_node(), "2001:db8:a1::66")
    ),
    dropped(
        "a forged inner source",
        DropReason.FORGED_INNER_SOURCE,
        reverse(from_node(src=OTHER_HOA)),
        reverse(from_node(), OTHER_COA),
        reverse(from_node(src=CN)),
        reverse(from_node(src="2001:db8:78::1"), CELLULAR_COA),
        reverse(from_node(src=HA)),
        reverse(from_node(src="::")),
    ),
    dropped(
        "tunnels in tunnels to us",
        DropReason.FORGED_INNER_SOURCE,
        *((WIFI_PORT, to_switch(nested(depth, from_node()), WIFI_MAC)) for depth in (2, 3, 30)),
    ),
    dropped(
        "ten extension headers", DropReason.SIGNALLING_DENIED, *(from_cn(chain(length)) for length in (2, 3, 10, 100))
    ),
    passed("ten extension headers to a node", CHAINS, 60),
    passed("tunnels in tunnels to a node", STRANGE_TUNNELS, 41),
    Case(
        "ten extension headers out of a tunnel",
        [reverse(inner) for inner in INNER_CHAINS],
        [to_cn(one_hop_less(inner)) for inner in INNER_CHAINS],
    ),
    Case(
        "every upper layer out of a tunnel",
        [reverse(inner) for inner in INNER_UPPER],
        [to_cn(one_hop_less(inner)) for inner in INNER_UPPER],
    ),
    dropped(
        "a tunnel's multicast source",
        DropReason.MALFORMED,
        reverse(from_node(), "ff02::1"),
        reverse(from_node(), "ff0e::1"),
    ),
    dropped(
        "a tunnel's length that lies",
        DropReason.MALFORMED,
        reverse(from_node(), plen=3),
        reverse(from_node(), plen=65535),
    ),
    dropped("a tunnel's version", DropReason.MALFORMED, reverse(from_node(), version=4)),
    dropped(
        "truncated in ten extension headers",
        DropReason.MALFORMED,
        *((1, to_switch(CHAINS[2])[:length]) for length in range(54, 54 + 80, 7)),
    ),
    Case(
        "a tunnel whose hop limit was used up on its way to us has arrived",
        [reverse(from_node(), hlim=0)],
        [to_cn(from_node(hlim=32))],
    ),
    dropped(
        "an extension header that says it is longer than the packet",
        DropReason.SIGNALLING_DENIED,
        from_cn(IPv6(src=CN, dst=HA) / IPv6ExtHdrHopByHop(len=255) / TCP()),
    ),
    dropped("noise", DropReason.NOT_IP, *((1, bytes([value]) * 200) for value in (0, 1, 0x33, 0x86, 0xFE))),
    Case("empty payloads", [from_cn(IPv6(src=CN, dst=HA, nh=59))], drops={DropReason.SIGNALLING_DENIED: 1}),
]
