"""The network for the northbound: what the topology file says, and what the controller knows of it now."""

from collections.abc import Iterable, Mapping
from typing import Final

import networkx as nx

from controller.fabric.paths import NO_OUTAGE, Outage, graph
from controller.fabric.topology import MobileNode, OpenFlowSwitch, Role, Switch, Topology
from controller.mobility.address import Address, Prefix
from controller.mobility.model import NodeRecord
from controller.northbound.switch_views import SwitchState
from controller.northbound.views import TopologyLink, TopologyNode, TopologyPath, TopologyView


class NetworkView:
    """Shows one topology.

    Args:
        topology: the network.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology: Final = topology
        self._outage = NO_OUTAGE
        self._graph = graph(topology)
        self._access: Final[list[tuple[Prefix, str]]] = sorted(
            ((prefix, name) for name, station in topology.stations.items() for prefix in station.prefixes),
            key=lambda found: -found[0].length,
        )
        self._nodes: Final = {node.home_address: name for name, node in topology.mobile_nodes.items()}

    def view(
        self, switches: Mapping[str, SwitchState], records: Iterable[NodeRecord], outage: Outage = NO_OUTAGE
    ) -> TopologyView:
        """Return the network.

        Args:
            switches: the states of their sessions, by name.
            records: nodes whose paths are shown.
            outage: what paths lead around.
        """
        if outage != self._outage:
            self._outage, self._graph = outage, graph(self._topology, outage)
        states = dict(switches)
        for name in self._topology.openflow:
            states[name] = SwitchState.CONNECTING if name in outage.nodes else SwitchState.READY
        return TopologyView(
            self._topology.name,
            tuple(self._node(name, states.get(name)) for name in self._topology.nodes),
            tuple(self._links(states)),
            tuple(
                TopologyPath(record.home_address, binding.bid, self._path(record, binding.care_of, switches))
                for record in records
                for binding in record.bindings
            ),
        )

    def _node(self, name: str, state: SwitchState | None) -> TopologyNode:
        node = self._topology.nodes[name]
        if isinstance(node, Switch):
            return TopologyNode(name, node.kind, node.role, None if state is None else state.value)
        if isinstance(node, MobileNode):
            return TopologyNode(name, node.kind, addresses=(node.home_address,), prefixes=node.prefixes)
        if isinstance(node, OpenFlowSwitch):
            return TopologyNode(name, node.kind, Role.TRANSIT, None if state is None else state.value)
        return TopologyNode(name, node.kind, addresses=node.all_addresses, prefixes=node.all_prefixes)

    def _links(self, switches: Mapping[str, SwitchState]) -> Iterable[TopologyLink]:
        for position, link in enumerate(self._topology.links):
            there = all(switches.get(end.node) in {None, SwitchState.READY} for end in (link.a, link.b))
            up = there and position not in self._outage.links
            yield TopologyLink(str(link.a), str(link.b), link.cost, link.delay_ms, link.rate_mbps, up)

    def _path(self, record: NodeRecord, care_of: Address, switches: Mapping[str, SwitchState]) -> tuple[str, ...]:
        """Return the names from the nearest anchor in service to the node; nothing when the care-of address is from elsewhere."""
        router = next((name for prefix, name in self._access if care_of in prefix), None)
        if router is None:
            return ()
        found: list[list[str]] = [
            nx.dijkstra_path(self._graph, anchor, router, weight="cost")
            for anchor in self._topology.anchors
            if switches.get(anchor) is SwitchState.READY
            and anchor in self._graph
            and nx.has_path(self._graph, anchor, router)
        ]
        if not found:
            return ()
        end = self._nodes.get(record.home_address)
        return (*min(found, key=len), *(() if end is None else (end,)))
