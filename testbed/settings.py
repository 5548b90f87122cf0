"""Writes what a controller needs to run in a lab: its configuration, its keys, and the topology with the lab's own ports in it."""

import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from controller.fabric.topology import Topology
from controller.mobility.address import format_address
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import FIRST_SPI, AuthPolicy

_KEY_OCTETS = 20
"""As long as the output of HMAC-SHA1, which RFC 4285 authenticates with."""
_PRIVATE = 0o600


def make_credentials(topology: Topology) -> dict[str, AuthPolicy]:
    """Return for each mobile node, by name, an RFC 4285 policy with a new random key of its own."""
    return {
        name: AuthPolicy(FIRST_SPI + number, Key(secrets.token_bytes(_KEY_OCTETS)), f"{name}@mcoa.example".encode())
        for number, name in enumerate(topology.mobile_nodes)
    }


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
    credentials: Mapping[str, AuthPolicy] = field(default_factory=dict)
    """How mobile nodes prove themselves, by name; controller and node get the same. Others need not."""
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
    """Write a configuration, a key file for each credential and a topology file into `folder`.

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
    for name, policy in settings.credentials.items():
        key_file = folder / f"{name}.key"
        key_file.touch(mode=_PRIVATE)
        key_file.write_text(policy.key.reveal().hex() + "\n", encoding="ascii")
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
    for name, node in topology.mobile_nodes.items():
        lines += ["", "[[node]]", f'home_address = "{format_address(node.home_address)}"']
        if node.prefixes:
            lines += ["mobile_router = true", f"prefixes = {json.dumps([str(prefix) for prefix in node.prefixes])}"]
        lines += _proof(name, settings.credentials.get(name))
    return [*lines, "", "[topology]", 'file = "topology.yaml"', "", "[northbound]", f'listen = "{rest}"']


def _proof(name: str, policy: AuthPolicy | None) -> list[str]:
    """Return the lines of a node's section that say how it proves itself."""
    if policy is None:
        return []
    lines = ['security = "auth"', f"spi = {policy.spi}", f"key_file = {json.dumps(f'{name}.key')}"]
    if policy.node_identifier is not None:
        lines.append(f"mn_id = {json.dumps(policy.node_identifier.decode())}")
    return [*lines, f"timestamp_window_s = {policy.window}"]
