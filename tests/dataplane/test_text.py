import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Lpm, Range, Rate, Ternary
from controller.dataplane.text import format_action, format_key

ADDRESS = 0x20010DB8 << 96 | 1
SEVERAL = (
    "2/3 forward(port=1, source_mac=00:00:00:00:00:02, destination_mac=00:00:00:00:00:03, mtu=1500) or "
    "1/3 forward(port=4, source_mac=00:00:00:00:00:05, destination_mac=00:00:00:00:00:06, mtu=1500)"
)


@pytest.mark.parametrize(
    ("entry", "key", "action"),
    [
        (
            Entry(p.TUNNELS, (7, 2), p.ENCAP_IPV6, (1, ADDRESS + 1, 1460)),
            "node_id=7 bid=2",
            "encap_ipv6(home_agent_id=1, destination=2001:db8::2, mtu=1460)",
        ),
        (
            Entry(p.ROUTES, (Lpm(0x20010DB8 << 96, 32),), p.NEXT_HOP, (3,)),
            "destination=2001:db8::/32",
            "next_hop(next_hop_id=3)",
        ),
        (Entry(p.ROUTES, (None,), p.NEXT_HOP, (3,)), "any", "next_hop(next_hop_id=3)"),
        (
            Entry(
                p.FLOW_BINDINGS,
                (1, None, None, Ternary(17, 255), Range(5, 9), Range(7, 7), Ternary(4, 252), None, None, None),
                p.STEER_FLOW,
                (2,),
                9,
            ),
            "node_id=1 protocol=17 source_port=5-9 destination_port=7 traffic_class=4 & 0xfc priority=9",
            "steer_flow(bid=2)",
        ),
        (
            Entry(p.SIGNALLING, (Ternary(ADDRESS, 2**128 - 1), *(None,) * 5), p.PUNT, (1,), 100, Rate(50, 5)),
            "destination=2001:db8::1 priority=100",
            "punt(reason=1) at 50/s burst 5",
        ),
        (Entry(p.MULTICAST_GROUPS, (5,), p.COPY, (1, 2)), "group_id=5", "copy(bids=1, 2)"),
        (
            Entry(p.NEXT_HOPS, (3,), p.FORWARD, (1, 2, 3, 1500)),
            "next_hop_id=3",
            "forward(port=1, source_mac=00:00:00:00:00:02, destination_mac=00:00:00:00:00:03, mtu=1500)",
        ),
        (
            Entry(p.NEXT_HOPS, (600,), p.FORWARD, (1, 2, 3, 1500, 4, 5, 6, 1500, 1, 2, 3, 1500)),
            "next_hop_id=600",
            SEVERAL,
        ),
        (Entry(p.TUNNELS, (7, 2), "no_such_action", (1,)), "node_id=7 bid=2", "no_such_action(1,)"),
    ],
)
def test_entries_read_well(entry: Entry, key: str, action: str) -> None:
    assert (format_key(entry), format_action(entry)) == (key, action)
