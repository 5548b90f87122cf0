"""Records and policies as database rows, and back.

What is read back is checked: a row that this program would not have written is an error that names it, not a wrong tunnel.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from controller.mobility.address import ADDRESS_LENGTH, Address, Prefix, format_address
from controller.mobility.flows import (
    Balance,
    Discard,
    FlowEntry,
    FlowPolicy,
    FlowSelector,
    PortRange,
    Replicate,
    Share,
    Span,
    Steer,
    TrafficSelector,
    Treatment,
)
from controller.mobility.model import Binding, NodeRecord
from controller.store.model import Change, StoredNode, StoreError

NodeRow: TypeAlias = tuple[bytes, int, bytes, int, int, float | None, str, int, str]
"""home_address, node_id, home_agent, sequence, mobile_router, forget_wall, prefixes, link_local, flows."""
BindingRow: TypeAlias = tuple[bytes, int, bytes, int, float, int, int, bytes | None, int | None]
"""home_address, bid, care_of, lifetime, expires_wall, priority, at_home, link_layer, path_id."""
PolicyRow: TypeAlias = tuple[bytes, str, int, str, int, str]
"""home_address, name, priority, treatment, fallback, selector."""

MAX_LIFETIME = 262_140
"""Seconds: the longest lifetime a Binding Acknowledgement can grant (RFC 6275 section 6.1.8)."""


def node_rows(change: Change, offset: float) -> tuple[NodeRow, list[BindingRow]]:
    """Return the rows of a change that keeps its node.

    Args:
        change: its `node` is not None.
        offset: wall time minus engine time, in seconds.

    Raises:
        StoreError: the change names one home address and carries the record of another.
    """
    assert change.node is not None
    record, path_ids = change.node.record, change.node.path_ids
    if record.home_address != change.home_address:
        raise StoreError(
            f"a change of {format_address(change.home_address)} carries the record of {format_address(record.home_address)}"
        )
    forget_wall = None if record.forget_at is None else record.forget_at + offset
    prefixes = " ".join(map(str, record.prefixes))
    node: NodeRow = (
        record.home_address,
        change.node.node_id,
        record.home_agent,
        record.sequence,
        int(record.mobile_router),
        forget_wall,
        prefixes,
        int(record.link_local),
        flows_to_text(record.flows),
    )
    bindings: list[BindingRow] = [
        (
            record.home_address,
            binding.bid,
            binding.care_of,
            binding.lifetime,
            binding.expires + offset,
            binding.priority,
            int(binding.at_home),
            binding.link_layer,
            path_ids.get(binding.bid),
        )
        for binding in record.bindings
    ]
    return node, bindings


def binding_from_row(row: BindingRow, offset: float, now: float) -> Binding:
    """Return the binding of a row, in engine time.

    No binding outlives its granted lifetime, counted from now: a wall clock that was set back must not keep one alive for days.

    Raises:
        ValueError, TypeError: the row is not one that this program writes.
    """
    _, bid, care_of, lifetime, expires_wall, priority, at_home, link_layer, _ = row
    return Binding(
        bid=bid,
        care_of=_address(care_of),
        lifetime=lifetime,
        expires=min(expires_wall - offset, now + lifetime),
        priority=priority,
        at_home=bool(at_home),
        link_layer=link_layer,
    )


def node_from_rows(
    row: NodeRow, bindings: tuple[Binding, ...], path_ids: Mapping[int, int], offset: float, now: float
) -> StoredNode:
    """Return the node of a row, with its bindings, in engine time.

    Raises:
        ValueError, TypeError: the row is not one that this program writes.
    """
    home_address, node_id, home_agent, sequence, mobile_router, forget_wall, prefixes, link_local, flows = row
    forget_at = None if forget_wall is None else min(forget_wall - offset, now + MAX_LIFETIME)
    record = NodeRecord(
        home_address=_address(home_address),
        home_agent=_address(home_agent),
        sequence=sequence,
        bindings=bindings,
        prefixes=tuple(map(Prefix.parse, prefixes.split())),
        mobile_router=bool(mobile_router),
        forget_at=forget_at,
        link_local=bool(link_local),
        flows=flows_from_text(flows),
    )
    return StoredNode(record, node_id, path_ids)


def flows_to_text(flows: tuple[FlowEntry, ...]) -> str:
    """Return flow bindings as a column holds them; addresses are numbers, which JSON keeps whole."""
    if not flows:
        return "[]"  # as nearly always
    return json.dumps(
        [
            [
                flow.fid,
                flow.priority,
                list(flow.bids),
                {name: value for name, value in asdict(flow.selector).items() if value is not None},
            ]
            for flow in flows
        ]
    )


def flows_from_text(text: str) -> tuple[FlowEntry, ...]:
    """Return the flow bindings of a column.

    Raises:
        ValueError: the column is not one that this program writes.
    """
    try:
        return tuple(_flow(*fields) for fields in json.loads(text))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"damaged flow bindings {text!r}: {error}") from error


def _flow(fid: int, priority: int, bids: list[int], fields: dict[str, Any]) -> FlowEntry:
    spans: dict[str, Any] = {name: value if name == "ipv4" else Span(*value) for name, value in fields.items()}
    return FlowEntry(fid, priority, FlowSelector(**spans), tuple(bids))


def policy_row(policy: FlowPolicy) -> PolicyRow:
    """Return the row of a policy."""
    fields: dict[str, Any] = {
        name: str(value) if isinstance(value, Prefix) else value
        for name, value in asdict(policy.selector).items()
        if value is not None
    }
    treatment = json.dumps(_treatment_value(policy.treatment))
    return policy.home_address, policy.name, policy.priority, treatment, int(policy.fallback), json.dumps(fields)


def _treatment_value(treatment: Treatment) -> object:
    match treatment:
        case Steer(bid):
            return {"steer": bid}
        case Replicate(bids):
            return {"replicate": bids}
        case Balance(shares):
            return {"balance": shares}
        case Discard():
            return {"drop": True}


def _treatment(text: str) -> Treatment:
    match json.loads(text):
        case {"steer": int(bid)}:
            return Steer(bid)
        case {"replicate": [*bids]} if all(isinstance(bid, int) for bid in bids):
            return Replicate(tuple(bids))
        case {"balance": [*shares]}:
            return Balance(tuple(Share(int(bid), int(weight)) for bid, weight in shares))
        case {"drop": True}:
            return Discard()
    raise ValueError(f"{text!r} is no treatment of packets")


def policy_from_row(row: PolicyRow) -> FlowPolicy:
    """Return the policy of a row.

    Raises:
        ValueError: the row is not one that this program writes.
    """
    home_address, name, priority, treatment, fallback, text = row
    try:
        fields: dict[str, Any] = json.loads(text)
        for key in fields.keys() & {"source", "destination"}:
            fields[key] = Prefix.parse(fields[key])
        for key in fields.keys() & {"source_ports", "destination_ports"}:
            fields[key] = PortRange(*fields[key])
        selector = TrafficSelector(**fields)
        return FlowPolicy(name, _address(home_address), priority, selector, _treatment(treatment), bool(fallback))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"policy {name!r} has a damaged selector or treatment, {text!r}, {treatment!r}: {error}"
        ) from error


def _address(value: bytes) -> Address:
    if not isinstance(value, bytes) or len(value) != ADDRESS_LENGTH:
        raise ValueError(f"{value!r} stands where an IPv6 address belongs")
    return Address(value)
