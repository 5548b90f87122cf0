"""Addresses, frames and table entries of the packet tests. Frames come from scapy, never from the project's own encoder."""

from ipaddress import IPv4Address
from typing import Any

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    HAO,
    MIP6MH_BU,
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from controller.dataplane.entries import Entry, Lpm, Range, Ternary
from controller.mobility.address import parse_address

__all__ = [
    "HAO",
    "MIP6MH_BU",
    "TCP",
    "UDP",
    "ICMPv6EchoRequest",
    "IPv6",
    "IPv6ExtHdrDestOpt",
    "IPv6ExtHdrHopByHop",
    "PadN",
    "Raw",
]

SWITCH_MAC = "02:00:00:00:00:fe"
CN_PORT, HOME_PORT, WIFI_PORT, CELLULAR_PORT = 2, 1, 3, 4
CN_MAC, HOME_MAC = "02:00:00:00:02:01", "02:00:00:00:01:01"
WIFI_MAC, CELLULAR_MAC = "02:00:00:00:03:01", "02:00:00:00:04:01"

HA = "2001:db8:0:1::1"
HOA = "2001:db8:0:1::100"
OTHER_HOA = "2001:db8:0:1::200"
CN = "2001:db8:c::10"
WIFI_COA = "2001:db8:a1::1"
CELLULAR_COA = "2001:db8:a2::1"
OTHER_COA = "2001:db8:a1::2"
HOME_IPV4, CN_IPV4 = "192.0.2.100", "198.51.100.10"
MOBILE_NETWORK = "2001:db8:77::/48"
NODE, OTHER_NODE = 7, 8
HA_ID = 1
WIFI_PATH, CELLULAR_PATH, OTHER_PATH = 21, 22, 23


def number(address: str) -> int:
    return int.from_bytes(parse_address(address))


def mac(text: str) -> int:
    return int(text.replace(":", ""), 16)


def mapped(address: str) -> int:
    """Return an IPv4 address as the tables hold it."""
    return int(IPv4Address(address)) | 0xFFFF << 32


def prefix(text: str) -> Lpm:
    network, _, length = text.partition("/")
    return Lpm(number(network), int(length))


def exactly(value: int, width: int) -> Ternary:
    return Ternary(value, (1 << width) - 1)


def flow(bid: int, priority: int = 10, node: int = NODE, **selectors: Any) -> Entry:
    names = (
        "source",
        "destination",
        "protocol",
        "source_port",
        "destination_port",
        "traffic_class",
        "flow_label",
        "spi",
        "ipv4",
    )
    assert not set(selectors) - set(names)
    match = (node, *(selectors.get(name) for name in names))
    return Entry("flow_bindings", match, "steer_flow", (bid,), priority)


def ports(low: int, high: int) -> Range:
    return Range(low, high)


def node_entries() -> list[Entry]:
    """One node with two bindings (Wi-Fi under BID 1, cellular under BID 2), and a second node with one.

    The first has an IPv4 home address too and a mobile network; that one may be used through both of its tunnels.
    """
    return [
        Entry("tunnel_termination", (HA_ID, number(WIFI_COA)), "terminate", (WIFI_PATH,)),
        Entry("tunnel_termination", (HA_ID, number(CELLULAR_COA)), "terminate", (CELLULAR_PATH,)),
        Entry("tunnel_termination", (HA_ID, number(OTHER_COA)), "terminate", (OTHER_PATH,)),
        Entry("home_sources", (number(HOA),), "sender", (NODE,)),
        Entry("home_sources", (number(OTHER_HOA),), "sender", (OTHER_NODE,)),
        Entry("home_sources", (mapped(HOME_IPV4),), "sender", (NODE,)),
        Entry("network_sources", (prefix(MOBILE_NETWORK),), "sender", (NODE,)),
        Entry("source_bindings", (WIFI_PATH, NODE), "allow", (1,)),
        Entry("source_bindings", (CELLULAR_PATH, NODE), "allow", (2,)),
        Entry("source_bindings", (OTHER_PATH, OTHER_NODE), "allow", (1,)),
        tunnel(1, WIFI_COA),
        tunnel(2, CELLULAR_COA),
        tunnel(1, OTHER_COA, node=OTHER_NODE),
        Entry("default_binding", (NODE,), "steer", (1,)),
        Entry("default_binding", (OTHER_NODE,), "steer", (1,)),
        Entry("home_addresses", (number(HOA),), "mobile_node", (NODE,)),
        Entry("home_addresses", (number(OTHER_HOA),), "mobile_node", (OTHER_NODE,)),
        Entry("home_addresses", (mapped(HOME_IPV4),), "mobile_node", (NODE,)),
        Entry("mobile_networks", (prefix(MOBILE_NETWORK),), "mobile_node", (NODE,)),
    ]


def tunnel(bid: int, care_of: str, node: int = NODE, mtu: int = 65495) -> Entry:
    return Entry("tunnels", (node, bid), "encap_ipv6", (HA_ID, number(care_of), mtu))


def static_entries() -> list[Entry]:
    """What a switch holds without any binding: own addresses, routes, and Mobility Headers to the controller."""
    ways = {
        HOME_PORT: (HOME_MAC, "2001:db8:0:1::/64"),
        CN_PORT: (CN_MAC, "2001:db8:c::/64"),
        WIFI_PORT: (WIFI_MAC, "2001:db8:a1::/64"),
        CELLULAR_PORT: (CELLULAR_MAC, "2001:db8:a2::/64"),
    }
    entries = [
        Entry("my_station", (mac(SWITCH_MAC),), "l3"),
        Entry("home_agents", (number(HA),), "own_address", (HA_ID,)),
        Entry("tunnel_sources", (HA_ID,), "tunnel_source", (number(HA),)),
        signalling("punt", (1,), 100, protocol=exactly(135, 8)),
        signalling("punt", (3,), 90, protocol=exactly(58, 8), icmp_type=exactly(128, 8)),
        signalling("deny", (), 80, protocol=exactly(17, 8), udp_port=exactly(9, 16)),
        Entry("routes", (Lpm(mapped(CN_IPV4) >> 8 << 8, 120),), "next_hop", (CN_PORT,)),
    ]
    for port, (station, network) in ways.items():
        entries.append(Entry("next_hops", (port,), "forward", (port, mac(SWITCH_MAC), mac(station), 65535)))
        entries.append(Entry("routes", (prefix(network),), "next_hop", (port,)))
    return entries


def signalling(action: str, params: tuple[int, ...], priority: int, **fields: Any) -> Entry:
    """Return an entry for packets to the home agent, or with `destination=None` to anybody."""
    names = ("protocol", "mh_type", "icmp_type", "udp_port", "home_address_option")
    destination = fields.pop("destination", exactly(number(HA), 128))
    assert not set(fields) - set(names)
    return Entry("signalling", (destination, *(fields.get(name) for name in names)), action, params, priority)


def to_switch(packet: Any, source: str = CN_MAC) -> bytes:
    """Return the frame that carries an IPv6 packet to the switch."""
    return bytes(Ether(dst=SWITCH_MAC, src=source) / packet)


def from_switch(packet: Any, destination: str) -> bytes:
    """Return the frame in which the switch sends an IPv6 packet on."""
    return bytes(Ether(dst=destination, src=SWITCH_MAC) / packet)


def udp_to_node(payload: int = 16, **header: Any) -> Any:
    """Return a datagram from the correspondent to the mobile node."""
    ports = {name: header.pop(name) for name in ("sport", "dport") if name in header}
    return IPv6(src=CN, dst=HOA, **header) / UDP(**{"sport": 4000, "dport": 5000, **ports}) / Raw(bytes(payload))
