"""Flow bindings: from a selector, an operator's or a node's, to keys that a switch can match.

Precedence: every policy of the operator comes before every flow that the node signalled, whatever their priorities; among each
kind the smaller priority number comes first (RFC 6089 section 4.2). What neither takes goes to the preferred binding. Each kind
has its own band of priorities in the table, and in P4Runtime the greater one wins.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Match, Range, Ternary
from controller.mobility.address import ADDRESS_LENGTH, Address, Prefix, format_address
from controller.mobility.expansion import FULL, ExpansionError, FlowKey, KeyShape, Masked, expand
from controller.mobility.flows import (
    MAX_TARGETS,
    MAX_WEIGHT,
    Balance,
    Discard,
    FlowEntry,
    FlowPolicy,
    FlowSelector,
    PortRange,
    Span,
    TrafficSelector,
)

PORT_PROTOCOLS: Final = {6: "TCP", 17: "UDP", 132: "SCTP", 136: "UDP-Lite"}
"""Protocols of which the parser reads the ports; of every other packet it takes them as 0."""
SPI_PROTOCOLS: Final = {50: "ESP", 51: "AH"}
"""Protocols of which the parser reads the security parameter index; of every other packet it takes it as 0."""

LAST_PRIORITY: Final = 65535
"""Of an operator's policies."""
MAX_PREFERRED: Final = 64
"""So many fallbacks of a node may come after those: an order of its paths. A fallback is no entry of its own, so that its priority
may be any number."""
_MAX_PORT: Final = 65535
_IPV6_ONLY: Final = Ternary(0, 1)
_MAPPED: Final = 0xFFFF << 32
_NODE_BAND: Final = 0x10000
"""Priorities of entries for flows that nodes signalled lie below this, at 1 to 65535."""
_OPERATOR_BAND: Final = 0x20000
"""Those for operators' policies lie below this and above the other band."""


class PolicyError(ValueError):
    """A policy that the pipeline cannot express.

    Attributes:
        field: the field at fault, as in ``selector.source_ports``.
        reason: what is wrong with it and what would be right.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def validate_policy(policy: FlowPolicy, shape: KeyShape = FULL) -> None:
    """Check that switches can carry out a policy.

    Args:
        policy: to be checked.
        shape: what the keys of their flows can say.

    Raises:
        PolicyError: it cannot; the error names the field.
    """
    _within("priority", policy.priority, 1, LAST_PRIORITY + (MAX_PREFERRED if policy.fallback else 0))
    _check_treatment(policy)
    if not policy.name:
        raise PolicyError("name", "is empty")
    selector = policy.selector
    for name, prefix in (("source", selector.source), ("destination", selector.destination)):
        if prefix is not None:
            _check_prefix(f"selector.{name}", prefix)
    for name, value, highest in (
        ("protocol", selector.protocol, 255),
        ("dscp", selector.dscp, 63),
        ("flow_label", selector.flow_label, 2**20 - 1),
        ("spi", selector.spi, 2**32 - 1),
    ):
        if value is not None:
            _within(f"selector.{name}", value, 0, highest)
    for name, ports in (("source_ports", selector.source_ports), ("destination_ports", selector.destination_ports)):
        if ports is not None:
            _check_ports(f"selector.{name}", ports, selector)
    _check_spi(selector)
    _check_shape(selector, shape)


def _check_treatment(policy: FlowPolicy) -> None:
    bids = policy.bids
    for bid in bids:
        _within("bid", bid, 1, 65535)
    if len(set(bids)) != len(bids):
        raise PolicyError("treatment", f"a BID stands twice in {', '.join(map(str, bids))}")
    if not isinstance(policy.treatment, Discard) and not 1 <= len(bids) <= MAX_TARGETS:
        raise PolicyError("treatment", f"{len(bids)} BIDs: it takes 1 to {MAX_TARGETS}")
    if isinstance(policy.treatment, Balance):
        for share in policy.treatment.shares:
            _within("weight", share.weight, 1, MAX_WEIGHT)
    if policy.fallback and policy.selector != TrafficSelector():
        raise PolicyError("selector", "what stands in for the preferred binding takes all packets: leave it empty")


def _within(field: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise PolicyError(field, f"{value} is out of range: {lowest} to {highest}")


def _check_prefix(field: str, prefix: Prefix) -> None:
    _within(f"{field}.length", prefix.length, 0, 128)
    if len(prefix.network) != ADDRESS_LENGTH:
        raise PolicyError(field, f"has an address of {len(prefix.network)} octets: 16 are needed")
    if int.from_bytes(prefix.network) & ~_prefix_mask(prefix.length):
        raise PolicyError(field, f"{prefix} has bits beyond its length")


def _check_ports(field: str, ports: PortRange, selector: TrafficSelector) -> None:
    _within(f"{field}.low", ports.low, 0, _MAX_PORT)
    _within(f"{field}.high", ports.high, 0, _MAX_PORT)
    if ports.low > ports.high:
        raise PolicyError(field, f"{ports.low}-{ports.high} is empty: the low end comes first")
    if selector.protocol is not None and selector.protocol not in PORT_PROTOCOLS:
        known = ", ".join(f"{name} ({number})" for number, name in PORT_PROTOCOLS.items())
        raise PolicyError(
            field, f"protocol {selector.protocol} has no ports that the switch reads; those of {known} it does"
        )
    if selector.protocol is None and ports.low == 0 and ports.high != _MAX_PORT:
        raise PolicyError(field, "port 0 would take packets without ports too: name the protocol, or begin at port 1")


def _check_spi(selector: TrafficSelector) -> None:
    if selector.spi is None:
        return
    if selector.protocol is not None and selector.protocol not in SPI_PROTOCOLS:
        raise PolicyError("selector.spi", f"protocol {selector.protocol} has no SPI: ESP (50) and AH (51) do")
    if selector.protocol is None and selector.spi == 0:
        raise PolicyError(
            "selector.spi", "0 would take packets without an SPI too: name the protocol, ESP (50) or AH (51)"
        )
    if any(ports not in {None, (0, _MAX_PORT)} for ports in (selector.source_ports, selector.destination_ports)):
        raise PolicyError("selector.spi", "no packet has ports and an SPI that the switch can see: give one of them")


def _check_shape(selector: TrafficSelector, shape: KeyShape) -> None:
    try:
        expand(_as_ranges(selector), shape=shape)
    except ExpansionError as error:
        fields = ("source_ports", "destination_ports")
        where = ", ".join(f"selector.{name}" for name in fields if getattr(selector, name) is not None)
        raise PolicyError(where or "selector", f"{error}: choose ranges that begin and end at powers of two") from None
    # IPv4 packets have the flow label 0 in a switch.
    if not shape.ip_version and _names_ipv6(selector) and not selector.flow_label:
        _check_addresses(selector)


def _check_addresses(selector: TrafficSelector) -> None:
    """Check that the addresses of a selector for IPv6 tell its packets from IPv4 ones."""
    named = {"source": selector.source, "destination": selector.destination}
    if any(prefix is not None and not _takes_ipv4(prefix) for prefix in named.values()):
        return
    field = next((name for name, prefix in named.items() if prefix is not None), "flow_label")
    raise PolicyError(
        f"selector.{field}",
        "would take IPv4 packets too, which a switch tells from IPv6 ones by their addresses only: name a narrower prefix",
    )


def _takes_ipv4(prefix: Prefix) -> bool:
    """Tell whether a prefix covers IPv4-mapped addresses, as which IPv4 addresses stand in a switch."""
    mask = _prefix_mask(min(prefix.length, 96))
    return int.from_bytes(prefix.network) & mask == _MAPPED & mask


FlowAction: TypeAlias = tuple[str, tuple[int, ...]]
"""Name and parameters of an action of `flow_bindings`."""


def policy_entries(node_id: int, policy: FlowPolicy, action: FlowAction, shape: KeyShape = FULL) -> list[Entry]:
    """Return the table entries of a valid policy, which all have its priority.

    The selector's directions are those of a packet towards the node, as in the switch (RFC 6088 section 3).

    Raises:
        ExpansionError: it needs more entries than a flow may have; `validate_policy` does not let it pass.
    """
    selector = policy.selector
    version = _IPV6_ONLY if shape.ip_version and _names_ipv6(selector) else None
    keys = expand(_as_ranges(selector), shape=shape)
    return _entries(node_id, keys, version, action, _OPERATOR_BAND - policy.priority)


def signalled_entries(node_id: int, flow: FlowEntry, action: FlowAction, shape: KeyShape = FULL) -> list[Entry]:
    """Return the table entries that do something with a flow that a node signalled.

    Raises:
        ExpansionError: its selector needs more entries than a flow may have; the home agent does not accept such a one.
    """
    # RFC 6088 section 3.2: a selector of the IPv6 format takes IPv6 packets.
    version = _IPV6_ONLY if shape.ip_version else None
    return _entries(node_id, expand(flow.selector, shape=shape), version, action, _NODE_BAND - flow.priority)


def ipv4_entry(node_id: int, action: FlowAction) -> Entry:
    """Return the entry that has a node's IPv4 packets pass by its signalled flows, where keys cannot ask for the version."""
    match: tuple[Match, ...] = (node_id, None, Ternary(_MAPPED, _prefix_mask(96)), *(None,) * 7)
    return Entry(p.FLOW_BINDINGS, match, *action, _NODE_BAND)


def _entries(
    node_id: int, keys: Iterable[FlowKey], version: Ternary | None, action: FlowAction, priority: int
) -> list[Entry]:
    return [
        Entry(
            p.FLOW_BINDINGS,
            (
                node_id,
                _masked(key.source),
                _masked(key.destination),
                _masked(key.protocol),
                _span(key.source_ports),
                _span(key.destination_ports),
                _masked(key.traffic_class),
                _masked(key.flow_label),
                _masked(key.spi),
                version,
            ),
            *action,
            priority,
        )
        for key in keys
    ]


def _names_ipv6(selector: TrafficSelector) -> bool:
    """Tell whether an operator's selector says of what IP version a packet is: it has IPv6 addresses or a flow label."""
    return any(value is not None for value in (selector.source, selector.destination, selector.flow_label))


def _as_ranges(selector: TrafficSelector) -> FlowSelector:
    """Return what an operator's selector takes, in the terms of those that nodes signal."""

    def one(value: int | None) -> Span | None:
        return None if value is None else Span(value, value)

    def block(prefix: Prefix | None) -> Span | None:
        if prefix is None:
            return None
        first = int.from_bytes(prefix.network)
        return Span(first, first | (1 << 128 - prefix.length) - 1)

    def ports(given: PortRange | None) -> Span | None:
        # P4Runtime section 9.1.1 wants a range of everything left out.
        return None if given is None or given == (0, _MAX_PORT) else Span(*given)

    return FlowSelector(
        source=block(selector.source),
        destination=block(selector.destination),
        protocol=one(selector.protocol),
        source_ports=ports(selector.source_ports),
        destination_ports=ports(selector.destination_ports),
        # DSCP is the upper six bits of the traffic class (RFC 2474 section 3); ECN is left to the network.
        traffic_class=None if selector.dscp is None else one(selector.dscp << 2),
        flow_label=one(selector.flow_label),
        spi=one(selector.spi),
    )


def checked_policies(
    home_address: Address, policies: Iterable[FlowPolicy], shape: KeyShape = FULL
) -> tuple[FlowPolicy, ...]:
    """Return a node's policies, first priority first.

    Raises:
        PolicyError: one of them cannot be carried out, or two have one name or priority.
    """
    ordered = tuple(sorted(policies, key=lambda policy: policy.priority))
    names: set[str] = set()
    priorities: dict[int, str] = {}
    for policy in ordered:
        validate_policy(policy, shape)
        if policy.home_address != home_address:
            raise PolicyError(
                "home_address", f"policy {policy.name!r} belongs to {format_address(policy.home_address)}"
            )
        if policy.name in names:
            raise PolicyError("name", f"two policies are called {policy.name!r}")
        if policy.priority in priorities:
            raise PolicyError(
                "priority", f"{policy.priority} is that of {priorities[policy.priority]!r} and of {policy.name!r}"
            )
        names.add(policy.name)
        priorities[policy.priority] = policy.name
    return ordered


def _masked(value: Masked | None) -> Ternary | None:
    return None if value is None else Ternary(*value)


def _span(span: Span | None) -> Range | None:
    return None if span is None else Range(*span)


def _prefix_mask(length: int) -> int:
    return (1 << 128) - (1 << (128 - length))
