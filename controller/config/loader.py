"""Reads a configuration file and the topology that it names; reports all that is wrong at once."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controller.config.checks import check, check_topology, dotted
from controller.config.model import (
    ConfigFile,
    ControllerSection,
    HomeAgentSection,
    NetworkSection,
    NodeSection,
    NorthboundSection,
    OpenFlowSection,
)
from controller.config.security import Policies, read_policies
from controller.config.switches import Switch, controlled_switches, read_programs
from controller.fabric.loader import TopologyError, load_topology
from controller.fabric.statics import home_ports
from controller.fabric.topology import Topology
from controller.mobility.address import IPV4_DUMMY
from controller.mobility.provision import HomeAgentConfig, HomeBinding, HomeNetwork, LinkKind, NodeProvision
from controller.mobility.security.policy import NO_SECURITY
from controller.southbound.artefacts import Artefacts


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration file, or in a file that it names."""

    file: str
    field: str
    """Path to the field, as in ``node[0].home_address``; empty for the whole file."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.reason}" if self.field else f"{self.file}: {self.reason}"


class ConfigError(ValueError):
    """A configuration file cannot be used.

    Attributes:
        problems: everything that is wrong, in the order found; at least one.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked configuration: paths resolved, topology loaded."""

    file: Path
    state: Path
    journal: Path | None
    """The ring file of updates, if there is to be one."""
    controller: ControllerSection
    home_agent: HomeAgentSection
    nodes: tuple[NodeSection, ...]
    switches: tuple[Switch, ...]
    topology_file: Path
    topology: Topology
    northbound: NorthboundSection
    openflow: OpenFlowSection = field(default_factory=OpenFlowSection)
    programs: Mapping[str, Artefacts] = field(default_factory=dict)
    """By switch: the program of those that have one of their own."""
    security: Policies = field(default_factory=dict)
    """By home address: how each node proves itself. Its keys show themselves nowhere."""

    @property
    def tokens(self) -> Path:
        """Path of the token file."""
        return self.file.parent / self.northbound.tokens

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Paths of the northbound's certificate chain and private key; None: no TLS."""
        section = self.northbound
        if section.certificate is None or section.private_key is None:
            return None
        return self.file.parent / section.certificate, self.file.parent / section.private_key

    def home_agent_config(self, clock_offset: float = 0.0, restarts: int = 0) -> HomeAgentConfig:
        """Return what the mobility engine is told of all this.

        Args:
            clock_offset: Unix time, in seconds, when the engine's clock was 0.
            restarts: How often the home agent was started.
        """
        # Of several anchors on one home link the home agent knows the first; each speaks with its own (`neighbours.spoken_by`).
        ports = [home for switch in self.switches for home in home_ports(self.topology, switch.name)]
        macs = {home.home_agent: home.mac.to_bytes(6) for home in reversed(ports)}
        return HomeAgentConfig(
            networks=tuple(
                _network(section, macs.get(section.home_agent), clock_offset) for section in self.home_agent.networks
            ),
            nodes={node.home_address: self.provision(node) for node in self.nodes},
            max_lifetime=self.home_agent.max_lifetime,
            max_bindings=self.home_agent.max_bindings,
            max_flows=self.home_agent.max_flows,
            source_rate=self.home_agent.source_rate,
            source_burst=self.home_agent.source_burst,
            correspondent=self.home_agent.correspondent,
            heartbeat=self.home_agent.heartbeat,
            restart_counter=restarts % 2**32,
            ipv4=self.home_agent.ipv4 or IPV4_DUMMY,
            max_sources=self.home_agent.max_sources,
            max_in_flight=self.home_agent.max_in_flight,
            error_rate=self.home_agent.error_rate,
            error_burst=self.home_agent.error_burst,
            refresh_requests=self.home_agent.refresh_requests,
            refresh_advice=self.home_agent.refresh_advice,
            prefix_discovery=self.home_agent.prefix_discovery,
            home_care_of_removes=self.home_agent.home_care_of_removes,
            any_update_ends_home=self.home_agent.any_update_ends_home,
        )

    def provision(self, node: NodeSection) -> NodeProvision:
        """Return what the mobility engine is told of one node."""
        return NodeProvision(
            home_address=node.home_address,
            home_ipv4=node.home_ipv4,
            multiple_care_of=node.multiple_care_of,
            bulk=node.bulk,
            max_bindings=node.max_bindings,
            prefixes=tuple(node.prefixes),
            mobile_router=node.mobile_router,
            flows=node.flows,
            max_flows=node.max_flows,
            per_bid_sequences=node.per_bid_sequences,
            security=self.security.get(node.home_address, NO_SECURITY),
        )


def _network(section: NetworkSection, mac: bytes | None, clock_offset: float) -> HomeNetwork:
    return HomeNetwork(
        section.prefix,
        section.home_agent,
        section.open,
        link=LinkKind(section.link),
        mac=mac,
        duplicate_detection=section.duplicate_detection,
        home_binding=HomeBinding(section.home_binding),
        valid_until=_on_clock(section.valid_until, clock_offset),
        preferred_until=_on_clock(section.preferred_until, clock_offset),
        preference=section.preference,
    )


def _on_clock(when: datetime | None, clock_offset: float) -> float | None:
    return None if when is None else when.timestamp() - clock_offset


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file and the topology file that it names.

    Raises:
        ConfigError: with everything that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), "", f"is not UTF-8 text: {error}")]) from error
    return parse_settings(text, path)


def parse_settings(text: str, path: Path) -> Settings:
    """Return the settings that a TOML text describes.

    Args:
        text: the content of a configuration file.
        path: where it stands: for error messages, and where relative paths start.

    Raises:
        ConfigError: with everything that is wrong.
    """
    file = str(path)
    try:
        config = ConfigFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(file, "", f"no valid TOML: {error}")]) from error
    except RecursionError as error:
        raise ConfigError([Problem(file, "", "no valid TOML: nested too deeply")]) from error
    except ValidationError as error:
        raise ConfigError(
            [_problem(file, details) for details in error.errors(include_url=False, include_input=False)]
        ) from error
    topology_file = path.parent / config.topology.file
    policies, findings = read_policies(config, path.parent)
    problems = [Problem(file, dotted(place), reason) for place, reason in (*check(config), *findings)]
    try:
        topology = load_topology(topology_file)
    except TopologyError as error:
        # A topology problem names its own file and line.
        problems += [Problem(file, "topology.file", str(problem)) for problem in error.problems]
        raise ConfigError(problems) from error
    problems += [Problem(file, dotted(place), reason) for place, reason in check_topology(config, topology)]
    switches = controlled_switches(config, topology, path.parent)
    programs, unusable = read_programs(switches)
    problems += [Problem(file, f"program of switch {name}", reason) for name, reason in unusable]
    if problems:
        raise ConfigError(problems)
    return Settings(
        file=path,
        state=path.parent / config.controller.state,
        journal=None if config.controller.journal is None else path.parent / config.controller.journal,
        controller=config.controller,
        home_agent=config.home_agent,
        nodes=tuple(config.node),
        switches=switches,
        programs=programs,
        topology_file=topology_file,
        topology=topology,
        northbound=config.northbound,
        openflow=config.openflow,
        security=policies,
    )


def _problem(file: str, details: Mapping[str, Any]) -> Problem:
    """Turn an error of pydantic into ours, in words that fit a file."""
    reason = str(details["msg"]).removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        reason = "unknown key: remove it or correct its spelling"
    elif details["type"] == "missing":
        reason = "required, but not there"
    return Problem(file, dotted(tuple(details["loc"])), reason)
