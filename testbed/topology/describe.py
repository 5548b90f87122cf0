"""A topology as tables."""

from typing import Any

from controller.fabric.paths import NextHop, groups
from controller.fabric.topology import MobileNode, OpenFlowSwitch, Station, Switch, Topology
from controller.mobility.address import format_address


def describe(topology: Topology) -> dict[str, Any]:
    """Return name, home networks, nodes, links and routes; each list of rows with the same keys."""
    return {
        "name": topology.name,
        "description": topology.description,
        "home_networks": [
            {"prefix": str(one.prefix), "home_agent": format_address(one.home_agent), "link": one.link or "virtual"}
            for one in topology.home_networks
        ],
        "nodes": [{"name": name, **_node(node)} for name, node in topology.nodes.items()],
        "links": [
            {
                "a": str(link.a),
                "b": str(link.b),
                "delay_ms": link.delay_ms,
                "rate_mbps": link.rate_mbps,
                "loss": link.loss,
                "cost": link.cost,
            }
            for link in topology.links
        ],
        "routes": [
            {
                "switch": switch,
                "destination": str(prefix),
                "ports": " ".join(str(hop.port) for hop in group),
                "next": " ".join(_owner(topology, hop) for hop in group),
            }
            for switch in (*topology.switches, *topology.openflow)
            for prefix, group in sorted(groups(topology, switch).items())
        ],
    }


def _owner(topology: Topology, hop: NextHop) -> str:
    return next(one.node for one in topology.interfaces if one.mac == hop.destination_mac)


def _node(node: Switch | OpenFlowSwitch | Station | MobileNode) -> dict[str, str]:
    match node:
        case Switch():
            return {"kind": "switch", "role": str(node.role), "addresses": f"P4Runtime at {node.grpc}"}
        case OpenFlowSwitch():
            return {"kind": "openflow", "role": "transit", "addresses": f"datapath {node.datapath_id}"}
        case Station():
            return {"kind": str(node.kind), "role": "", "addresses": " ".join(_texts(node))}
        case MobileNode():
            bids = ", ".join(f"{name}: BID {one.bid}" for name, one in node.interfaces.items() if one.bid is not None)
            prefixes = " ".join(map(str, node.prefixes))
            address = format_address(node.home_address)
            return {"kind": "mobile-node", "role": bids, "addresses": f"{address} {prefixes}".strip()}


def _texts(node: Station) -> list[str]:
    return [*map(format_address, node.addresses), *map(str, node.prefixes)]
