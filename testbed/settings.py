"""Writes what a controller needs to run in a lab: its configuration, its keys, and the topology with the lab's own ports in it."""

import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from controller.fabric.topology import Topology
from controller.mobility.address import format_address
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import FIRST_SPI, AuthPolicy, EspAlgorithm, EspAssociation, EspPolicy
from controller.northbound import Role, TokenFile

_KEY_OCTETS = 20
"""As long as the output of HMAC-SHA1, which RFC 4285 authenticates with."""
_PRIVATE = 0o600
TOKENS = "mcoa-tokens.json"
"""Name of the token file in the controller's folder."""
_LAB = "lab"

Credentials: TypeAlias = Mapping[str, AuthPolicy | EspPolicy]
"""How mobile nodes prove themselves, by name."""


def make_credentials(topology: Topology) -> dict[str, AuthPolicy | EspPolicy]:
    """Return a policy with new random keys for each mobile node, by name: RFC 4285, and for a mobile router ESP."""
    made: dict[str, AuthPolicy | EspPolicy] = {}
    for number, (name, node) in enumerate(topology.mobile_nodes.items()):
        spi = FIRST_SPI + 2 * number
        if node.prefixes:
            made[name] = EspPolicy(new_association(spi), new_association(spi + 1))
        else:
            made[name] = AuthPolicy(spi, new_key(), f"{name}@mcoa.example".encode())
    return made


def new_key() -> Key:
    """Return a random key for RFC 4285."""
    return Key(secrets.token_bytes(_KEY_OCTETS))


def new_association(spi: int) -> EspAssociation:
    """Return one direction of ESP under a random key, with the usual algorithm."""
    octets = EspAlgorithm.AES_128_CBC_SHA_256.key_octets
    return EspAssociation(spi, Key(secrets.token_bytes(octets)), EspAlgorithm.AES_128_CBC_SHA_256)


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
    credentials: Credentials = field(default_factory=dict)
    """How mobile nodes prove themselves, by name; controller and node get the same. Others need not."""
    provision: bool = True
    """Whether the configuration names the topology's mobile nodes."""
    dashboard: bool = False
    """Whether the controller serves the dashboard."""
    quorum: str = "all"
    """Which anchors have to confirm a registration."""
    durability: str = "power-loss"
    """What an acknowledged registration outlives: ``power-loss`` or ``crash``."""
    extra: Mapping[str, float] = field(default_factory=dict)
    """More keys of the ``[controller]`` section."""
    openflow: str | None = None
    """host:port where OpenFlow switches connect to; None: nowhere."""
    network: Mapping[str, str | bool | int] = field(default_factory=dict)
    """More keys of each home network, as in ``link = "real"``."""


def make_token(folder: Path) -> str:
    """Return a new token of an administrator of the controller whose settings are in `folder`; earlier ones end."""
    tokens = TokenFile(folder / TOKENS)
    if any(token.name == _LAB for token in tokens.all()):
        tokens.revoke(_LAB)
    return tokens.create(_LAB, Role.ADMIN)


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
        write_keys(folder, name, policy)
    config = folder / "mcoa.toml"
    config.write_text("\n".join(_lines(topology, rest, settings)) + "\n", encoding="utf-8")
    return config


def _lines(topology: Topology, rest: str, settings: ControllerSettings) -> list[str]:
    lines = ["[controller]", 'state = "mcoa.sqlite3"', f"grace_period_s = {settings.grace_period}"]
    lines += [f"quorum = {json.dumps(settings.quorum)}", f"durability = {json.dumps(settings.durability)}"]
    lines += [f"{name} = {value}" for name, value in settings.extra.items()]
    lines += ["", "[home_agent]", f"max_lifetime = {settings.max_lifetime}", f"max_bindings = {settings.max_bindings}"]
    for network in topology.home_networks:
        lines += [
            "",
            "[[home_agent.networks]]",
            f'prefix = "{network.prefix}"',
            f'home_agent = "{format_address(network.home_agent)}"',
            f"open = {json.dumps(settings.open_networks)}",
            *(f"{name} = {json.dumps(value)}" for name, value in settings.network.items()),
        ]
    for name, node in topology.mobile_nodes.items() if settings.provision else ():
        lines += ["", "[[node]]", f'home_address = "{format_address(node.home_address)}"']
        if node.prefixes:
            lines += ["mobile_router = true", f"prefixes = {json.dumps([str(prefix) for prefix in node.prefixes])}"]
        lines += proof_lines(name, settings.credentials.get(name))
    return [
        *lines,
        "",
        "[topology]",
        'file = "topology.yaml"',
        "",
        "[northbound]",
        f'listen = "{rest}"',
        f'tokens = "{TOKENS}"',
        f"dashboard = {json.dumps(settings.dashboard)}",
        *([] if settings.openflow is None else ["", "[openflow]", f'listen = "{settings.openflow}"']),
    ]


def write_keys(folder: Path, name: str, policy: AuthPolicy | EspPolicy) -> None:
    """Write the key files of a node into a folder, readable for the owner only."""
    for file, key in _key_files(name, policy):
        (folder / file).touch(mode=_PRIVATE)
        (folder / file).write_text(key.reveal().hex() + "\n", encoding="ascii")


def _key_files(name: str, policy: AuthPolicy | EspPolicy) -> list[tuple[str, Key]]:
    """Return the key files of a node, each with what it holds."""
    if isinstance(policy, AuthPolicy):
        return [(f"{name}.key", policy.key)]
    return [(f"{name}.key", policy.from_node.key), (f"{name}.reply.key", policy.to_node.key)]


def proof_lines(name: str, policy: AuthPolicy | EspPolicy | None) -> list[str]:
    """Return the lines of a node's section that say how it proves itself: the home agent's and the node's are the same."""
    if policy is None:
        return []
    files = [json.dumps(file) for file, _ in _key_files(name, policy)]
    if isinstance(policy, EspPolicy):
        return [
            'security = "esp"',
            f'algorithm = "{policy.from_node.algorithm}"',
            f"spi = {policy.from_node.spi}",
            f"key_file = {files[0]}",
            f"reply_spi = {policy.to_node.spi}",
            f"reply_key_file = {files[1]}",
            f"replay_window = {policy.replay_window}",
        ]
    lines = ['security = "auth"', f"spi = {policy.spi}", f"key_file = {files[0]}"]
    if policy.node_identifier is not None:
        lines.append(f"mn_id = {json.dumps(policy.node_identifier.decode())}")
    return [*lines, f"timestamp_window_s = {policy.window}"]
