"""Settings of the node agent: one TOML file, checked as a whole before anything starts.

A node proves itself with the same keys that the home agent's configuration has for it, so their names are the same here
(`controller.config.model.NodeSection`).
"""

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, ValidationError

from controller.config.checks import Finding, dotted
from controller.config.model import NodeSection
from controller.config.security import read_policy
from controller.fabric.fields import AddressField, PrefixField
from controller.mobility.address import Address, Prefix
from controller.mobility.flows import FlowEntry, FlowSelector, Span
from controller.mobility.mobile_node import MobileNodeConfig

_HOME_AGENT_ONLY: Final = ("home_ipv4", "max_bindings", "flows", "max_flows")
"""Settings of a node that only its home agent has."""
PROTOCOLS: Final = {"tcp": 6, "udp": 17, "esp": 50, "icmpv6": 58, "sctp": 132}

InterfaceName = Annotated[str, StringConstraints(pattern=r"^[^\s/]{1,15}$")]
"""A name that Linux takes for an interface."""


class NodeConfigError(ValueError):
    """A configuration cannot be used: one line for each thing that is wrong."""


def _protocol(value: object) -> int:
    if isinstance(value, str) and value in PROTOCOLS:
        return PROTOCOLS[value]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255:
        return value
    raise ValueError(f"{value!r} is not a protocol: give a number from 0 to 255 or one of {', '.join(PROTOCOLS)}")


def _ports(value: object) -> Span:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    low, dash, high = text.partition("-") if isinstance(text, str) else ("", "", "")
    if low.isdecimal() and (high.isdecimal() or not dash):
        span = Span(int(low), int(high or low))
        if span.low <= span.high <= 65535:
            return span
    raise ValueError(f'{value!r} is not a port or a range of ports: write 443 or "5000-5999", 0 to 65535')


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class AgentSection(NodeSection):
    """``[node]``: who this is, and who its home agent is."""

    home_agent: AddressField
    """The home agent's address."""
    home_prefix_length: Annotated[int, Field(ge=1, le=128)] = 64
    """Of the home network: an interface with an address inside of it is at home."""
    lifetime: Annotated[int, Field(ge=4, le=262_140, multiple_of=4)] = 240
    """What to ask for, in seconds."""
    tunnel: InterfaceName = "mip0"
    """The interface that has the home address while the node is away."""
    mtu: Annotated[int, Field(ge=1280, le=65535)] = 1460
    """Of the tunnel interface, in octets: 40 less than the smallest of the paths."""
    default_route: bool = True
    """Whether everything without a better route goes by the tunnel interface, with the home address as source."""
    follow: bool = True
    """Whether a flow that no ``[[flow]]`` names leaves by the BID by which its packets last came: an operator's policies hold
    in both directions."""
    at_home: Literal["alone", "beside"] = "alone"
    """What to do on the home link: give all bindings up (RFC 5648 section 5.5.1), or register it beside the others (5.6.3)."""
    control: str = "node.sock"
    """Path of the socket on which `mcoa node status` asks, relative to this file."""

    @property
    def home_prefix(self) -> Prefix:
        """The prefix of the home network."""
        shift = 128 - self.home_prefix_length
        network = int.from_bytes(self.home_address) >> shift << shift
        return Prefix(Address(network.to_bytes(16)), self.home_prefix_length)


class InterfaceSection(_Section):
    """``[[interface]]``: a way to the network. It need not exist yet, nor have an address."""

    name: InterfaceName
    bid: Annotated[int, Field(ge=1, le=65535)]
    """The binding identifier that it keeps while its care-of address changes."""
    priority: Annotated[int, Field(ge=0, le=127)] = 0
    """BID-PRI, 1 is preferred (RFC 6089 section 4.4); 0: none."""


class FlowSection(_Section):
    """``[[flow]]``: traffic that takes certain BIDs, both ways. Source is the correspondent's side (RFC 6088 section 3)."""

    fid: Annotated[int, Field(ge=1, le=65535)]
    priority: Annotated[int, Field(ge=1, le=65535)]
    bids: Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(min_length=1)]
    protocol: Annotated[int, PlainValidator(_protocol)] | None = None
    source: PrefixField | None = None
    source_ports: Annotated[Span, PlainValidator(_ports)] | None = None
    destination_ports: Annotated[Span, PlainValidator(_ports)] | None = None
    dscp: Annotated[int, Field(ge=0, le=63)] | None = None

    def entry(self) -> FlowEntry:
        """Return the flow binding to signal."""
        source = None
        if self.source is not None:
            first = int.from_bytes(self.source.network)
            source = Span(first, first | (1 << 128 - self.source.length) - 1)
        selector = FlowSelector(
            source=source,
            source_ports=self.source_ports,
            destination_ports=self.destination_ports,
            protocol=None if self.protocol is None else Span(self.protocol, self.protocol),
            traffic_class=None if self.dscp is None else Span(self.dscp << 2, self.dscp << 2),
        )
        return FlowEntry(self.fid, self.priority, selector, tuple(self.bids))


class NodeFile(_Section):
    """A whole configuration file."""

    node: AgentSection
    interface: Annotated[list[InterfaceSection], Field(min_length=1)]
    flow: list[FlowSection] = []

    def engine_config(self, folder: Path) -> MobileNodeConfig:
        """Return what the protocol engine is told.

        Args:
            folder: where paths of key files start.

        Raises:
            NodeConfigError: how it proves itself is not usable.
        """
        policy, findings = read_policy(self.node, folder)
        if findings:
            raise NodeConfigError("\n".join(f"{dotted(place)}: {reason}" for place, reason in findings))
        node = self.node
        return MobileNodeConfig(
            node.home_address,
            node.home_agent,
            lifetime=node.lifetime,
            prefixes=tuple(node.prefixes),
            mobile_router=node.mobile_router,
            multiple_care_of=node.multiple_care_of,
            bulk=node.bulk,
            security=policy,
        )


def load_node(path: Path) -> NodeFile:
    """Read and check a configuration file.

    Raises:
        NodeConfigError: it cannot be read, or something in it is wrong; all of it is reported.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        found = NodeFile.model_validate(document)
    except OSError as error:
        raise NodeConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NodeConfigError(f"{path}: no valid TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{path}: {dotted(tuple(one['loc']))}: {_reason(one['type'], one['msg'])}" for one in error.errors())
        raise NodeConfigError("\n".join(lines)) from error
    problems = [f"{path}: {dotted(place)}: {reason}" for place, reason in _check(found)]
    if problems:
        raise NodeConfigError("\n".join(problems))
    try:
        found.engine_config(path.parent)
    except NodeConfigError as error:
        raise NodeConfigError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error
    return found


def _reason(kind: str, message: str) -> str:
    known = {"extra_forbidden": "unknown key: remove it or correct its spelling", "missing": "required, but not there"}
    return known.get(kind, message.removeprefix("Value error, "))


def _check(config: NodeFile) -> Iterator[Finding]:
    for name in _HOME_AGENT_ONLY:
        if name in config.node.model_fields_set:
            yield ("node", name), "only the home agent's configuration has that: remove it"
    if config.node.prefixes and not config.node.mobile_router:
        yield ("node", "prefixes"), "only a mobile router has prefixes: set mobile_router = true"
    for position, interface in enumerate(config.interface):
        if interface.name == config.node.tunnel:
            yield ("interface", position, "name"), f"{interface.name!r} is already the tunnel's"
    yield from _repeated("interface", "name", [interface.name for interface in config.interface])
    yield from _repeated("interface", "bid", [interface.bid for interface in config.interface])
    yield from _repeated("flow", "fid", [flow.fid for flow in config.flow])
    yield from _repeated("flow", "priority", [flow.priority for flow in config.flow])
    bids = {interface.bid for interface in config.interface}
    for position, flow in enumerate(config.flow):
        for bid in sorted(set(flow.bids) - bids):
            yield ("flow", position, "bids"), f"no interface has BID {bid}"


def _repeated(section: str, key: str, values: Sequence[object]) -> Iterator[Finding]:
    for position, value in enumerate(values):
        first = values.index(value)
        if first != position:
            yield (section, position, key), f"{value!r} is already that of {section}[{first}]"
