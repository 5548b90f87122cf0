"""Writes the settings of the node agents of a topology."""

import json
from pathlib import Path

from controller.fabric.topology import Kind, MobileNode, Station, Topology
from controller.mobility.address import format_address
from controller.mobility.security.policy import AuthPolicy, EspPolicy
from testbed.netns.plan import PlanError
from testbed.settings import proof_lines, write_keys

CONFIG = "node.toml"


def write_agent(
    folder: Path, topology: Topology, name: str, policy: AuthPolicy | EspPolicy | None = None, **overrides: object
) -> Path:
    """Write the settings of one mobile node into `folder`, which is made; return the file.

    Args:
        folder: of its own.
        topology: the network.
        name: the node's name there.
        policy: how it proves itself.
        overrides: more keys of the ``[node]`` section, or other values for them.

    Raises:
        PlanError: the topology says too little about the node.
    """
    node = topology.mobile_nodes[name]
    network = next((one for one in topology.home_networks if node.home_address in one.prefix), None)
    if network is None:
        raise PlanError(f"{name}: its home address is in no home network")
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, object] = {
        "home_address": format_address(node.home_address),
        "home_agent": format_address(network.home_agent),
        "home_prefix_length": network.prefix.length,
        "lifetime": 600,
    }
    if node.prefixes:
        values |= {"mobile_router": True, "prefixes": [str(prefix) for prefix in node.prefixes]}
    lines = ["[node]", *(f"{key} = {json.dumps(value)}" for key, value in (values | overrides).items())]
    if policy is not None:
        write_keys(folder, name, policy)
        lines += proof_lines(name, policy)
    lines += _interfaces(topology, name, node)
    path = folder / CONFIG
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _interfaces(topology: Topology, name: str, node: MobileNode) -> list[str]:
    lines: list[str] = []
    number = 0
    for interface in topology.interfaces_of(name):
        peer = topology.nodes[interface.peer.node]
        if isinstance(peer, Station) and peer.kind is Kind.HOST:
            continue  # what is behind a mobile router
        number += 1
        settings = node.interfaces.get(interface.name)
        bid = number if settings is None or settings.bid is None else settings.bid
        priority = 0 if settings is None or settings.priority is None else settings.priority
        lines += ["", "[[interface]]", f'name = "{interface.name}"', f"bid = {bid}", f"priority = {priority}"]
    return lines
