"""Writes what a controller needs to run in a lab: its configuration and the topology with the lab's own ports in it."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from controller.fabric.topology import Topology
from controller.mobility.address import format_address


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What a lab may say about its controller."""

    max_lifetime: int = 3600
    """Seconds, a multiple of 4."""
    max_bindings: int = 100_000
    grace_period: float = 1.0
    """Seconds that a replaced care-of address is still accepted."""
    open_networks: bool = False
    """Whether every home address may register, not only those of the topology's mobile nodes."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """More keys of the ``[controller]`` section."""


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_settings(
    folder: Path, topology: Topology, servers: Mapping[str, str], rest: str, settings: ControllerSettings
) -> Path:
    """Write a configuration and a topology file into `folder`.

    Args:
        folder: where to; the controller's database is made there too.
        topology: the network.
        servers: host:port of each switch's P4Runtime server, by name.
        rest: host:port for the REST server.
        settings: the rest.

    Returns:
        The path of the configuration file.
    """
    document = topology.model_dump(mode="json", exclude_none=True)
    for name, server in servers.items():
        document["nodes"][name]["grpc"] = server
    (folder / "topology.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    config = folder / "mcoa.toml"
    config.write_text("\n".join(_lines(topology, rest, settings)) + "\n", encoding="utf-8")
    return config


def _lines(topology: Topology, rest: str, settings: ControllerSettings) -> list[str]:
    lines = ["[controller]", 'state = "mcoa.sqlite3"', f"grace_period_s = {settings.grace_period}"]
    lines += [f"{name} = {value}" for name, value in settings.extra.items()]
    lines += ["", "[home_agent]", f"max_lifetime = {settings.max_lifetime}", f"max_bindings = {settings.max_bindings}"]
    for network in topology.home_networks:
        lines += [
            "",
            "[[home_agent.networks]]",
            f'prefix = "{network.prefix}"',
            f'home_agent = "{format_address(network.home_agent)}"',
            f"open = {json.dumps(settings.open_networks)}",
        ]
    for node in topology.mobile_nodes.values():
        lines += ["", "[[node]]", f'home_address = "{format_address(node.home_address)}"']
        if node.prefixes:
            lines += ["mobile_router = true", f"prefixes = {json.dumps([str(prefix) for prefix in node.prefixes])}"]
    return [*lines, "", "[topology]", 'file = "topology.yaml"', "", "[northbound]", f'listen = "{rest}"']
