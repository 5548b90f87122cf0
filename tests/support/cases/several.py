"""One packet to several BIDs, or to one of several; what stands in for flow bindings."""

from cases.case import Case, dropped, from_cn, from_node, label, one_hop_less, reverse, tunnelled
from cases.forwarding import WATCHED
from controller.dataplane.entries import Entry
from controller.dataplane.pipeline import BUCKETS, DropReason, PuntReason
from frames import (
    CELLULAR_COA,
    CN,
    CN_PORT,
    HOA,
    HOME_MAC,
    HOME_PORT,
    NODE,
    SWITCH_MAC,
    UDP,
    WIFI_COA,
    IPv6,
    Raw,
    from_switch,
    mac,
    to_switch,
    tunnel,
    udp_to_node,
)

GROUP = Entry("multicast_groups", (5,), "copy", (1, 2))
COPY_ALL = Entry("flow_bindings", (NODE, *[None] * 9), "replicate_flow", (5,), 10)
DEFAULT_COPY = Entry("default_binding", (NODE,), "replicate", (5,))
PACKET = udp_to_node(tc=0xB9)
LABEL = label(PACKET, 4000, 5000)
BOTH = [tunnelled(PACKET, bid, LABEL) for bid in (1, 2)]
LENGTH = len(to_switch(PACKET))
EVEN_ODD = [Entry("balancers", (9, bucket), "choose", (1 + bucket % 2,)) for bucket in range(BUCKETS)]
BALANCE_ALL = Entry("flow_bindings", (NODE, *[None] * 9), "balance_flow", (9,), 10)
DEFAULT_BALANCE = Entry("default_binding", (NODE,), "balance", (9,))
FLOWS = [udp_to_node(sport=sport) for sport in range(4000, 4012)]


def balanced(packet: IPv6) -> tuple[int, bytes]:
    flow_label = label(packet, packet[UDP].sport, 5000)
    return tunnelled(packet, 1 + flow_label % BUCKETS % 2, flow_label)


def at_home(mtu: int = 65535) -> Entry:
    del mtu
    return Entry("tunnels", (NODE, 2), "home_link", (HOME_PORT, mac(SWITCH_MAC), mac(HOME_MAC)))


FROM_OTHER = from_node(src="2001:db8:0:1::200", dst=HOA)

CASES = [
    Case(
        "a flow is copied to two BIDs, each counted",
        [from_cn(PACKET)],
        BOTH,
        entries=[GROUP, COPY_ALL],
        counters={("tunnels", (NODE, 1)): (1, LENGTH), ("tunnels", (NODE, 2)): (1, LENGTH)},
    ),
    Case("everything is copied by default", [from_cn(PACKET)], BOTH, entries=[GROUP, DEFAULT_COPY]),
    Case(
        "a copy goes where its tunnel is now",
        [from_cn(PACKET)],
        [tunnelled(PACKET, 2, LABEL)] * 2,
        entries=[GROUP, COPY_ALL, tunnel(1, CELLULAR_COA)],
    ),
    Case(
        "one copy over the home link",
        [from_cn(PACKET)],
        [tunnelled(PACKET, 1, LABEL), (HOME_PORT, from_switch(one_hop_less(PACKET), HOME_MAC))],
        entries=[GROUP, COPY_ALL, at_home()],
    ),
    Case(
        "what is too long for one tunnel still goes by the other",
        [from_cn(PACKET)],
        [tunnelled(PACKET, 2, LABEL)],
        drops={DropReason.TOO_BIG: 1},
        entries=[GROUP, COPY_ALL, tunnel(1, WIFI_COA, mtu=63)],
    ),
    Case(
        "the copy for a BID without tunnel is dropped",
        [from_cn(PACKET)],
        [tunnelled(PACKET, 2, LABEL)],
        drops={DropReason.NO_TUNNEL: 1},
        entries=[GROUP, COPY_ALL],
        without=[tunnel(1, WIFI_COA)],
    ),
    Case(
        "a packet from one node's tunnel is copied to another",
        [reverse(FROM_OTHER, "2001:db8:a1::2")],
        [tunnelled(FROM_OTHER, bid, label(FROM_OTHER, 5000, 4000)) for bid in (1, 2)],
        entries=[GROUP, COPY_ALL],
    ),
    Case(
        "flows are spread, and stay where they are",
        [from_cn(one) for one in FLOWS * 2],
        [balanced(one) for one in FLOWS * 2],
        entries=[*EVEN_ODD, BALANCE_ALL],
    ),
    Case(
        "by default too",
        [from_cn(one) for one in FLOWS],
        [balanced(one) for one in FLOWS],
        entries=[*EVEN_ODD, DEFAULT_BALANCE],
    ),
    dropped("a spread without buckets", DropReason.NO_TUNNEL, from_cn(PACKET), entries=[BALANCE_ALL]),
    Case(
        "the flow label of a packet does not move its flow",
        [from_cn(udp_to_node(fl=1)), from_cn(udp_to_node(fl=2))],
        [balanced(udp_to_node(fl=1)), balanced(udp_to_node(fl=2))],
        entries=[*EVEN_ODD, BALANCE_ALL],
    ),
    dropped(
        "everything is dropped by default",
        DropReason.POLICY,
        from_cn(PACKET),
        entries=[Entry("default_binding", (NODE,), "discard")],
    ),
    dropped(
        "a flow is dropped",
        DropReason.POLICY,
        from_cn(PACKET),
        entries=[Entry("flow_bindings", (NODE, *[None] * 9), "drop_flow", (), 5)],
    ),
    dropped(
        "no default binding",
        DropReason.NO_BINDING,
        from_cn(PACKET),
        without=[Entry("default_binding", (NODE,), "steer")],
    ),
    Case(
        "over the home link",
        [from_cn(PACKET)],
        [(HOME_PORT, from_switch(one_hop_less(PACKET), HOME_MAC))],
        entries=[at_home(), Entry("default_binding", (NODE,), "steer", (2,))],
        counters={("tunnels", (NODE, 2)): (1, LENGTH)},
    ),
    Case(
        "a flow binding",
        [from_cn(PACKET)],
        [tunnelled(PACKET, 2, LABEL)],
        entries=[Entry("flow_bindings", (NODE, *[None] * 9), "steer_flow", (2,), 5)],
    ),
    Case(
        "hop limit used up before it is copied",
        [from_cn(IPv6(src=CN, dst=HOA, hlim=1) / Raw(b"x"))],
        punted=[(CN_PORT, PuntReason.HOP_LIMIT, to_switch(IPv6(src=CN, dst=HOA, hlim=1) / Raw(b"x")))],
        entries=[GROUP, COPY_ALL, *WATCHED],
    ),
]
