"""What the flow options of a Binding Update do to the flow bindings of its home address (RFC 6089 section 5.3).

They come last: the Binding Update was accepted and its BID options are done. A flow option that is refused never refuses the
Binding Update; it comes back in the acknowledgement with its own status.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from controller.mobility.expansion import FULL, MAX_KEYS, ExpansionError, KeyShape, expand
from controller.mobility.flows import FlowEntry, FlowSelector
from controller.mobility.wire.flow_options import (
    BindingReference,
    FlowIdentification,
    FlowStatus,
    FlowSummary,
    TrafficSelectorOption,
)
from controller.mobility.wire.options import Option
from controller.mobility.wire.selectors import decode_selector, knows_format
from controller.values import value

_ACCEPTED: Final = int(FlowStatus.ACCEPTED)


@value
class FlowLimits:
    """What flow bindings one mobile node may have."""

    allowed: bool = True
    """Otherwise every flow option gets status 128."""
    most: int = 32
    """Flow bindings at a time; further ones get status 129."""
    keys: int = MAX_KEYS
    """Keys in a switch into which one selector may expand; beyond it status 129."""
    shape: KeyShape = FULL
    """What these keys can say."""


@value
class FlowOutcome:
    """The flow bindings that a Binding Update leaves, and what its acknowledgement says of them."""

    flows: tuple[FlowEntry, ...] = ()
    """In ascending order of FID-PRI."""
    echoes: tuple[FlowIdentification, ...] = ()
    """Every Flow Identification option with its status, then one for each FID of a summary that is not known."""


def process_flows(
    options: Iterable[Option], bids: frozenset[int], known: Iterable[FlowEntry], limits: FlowLimits
) -> FlowOutcome:
    """Return what the flow options of an accepted Binding Update do.

    Args:
        options: All options of the Binding Update.
        bids: The BIDs that are registered once it is in force.
        known: The flow bindings before it.
        limits: What the node may have.
    """
    named: list[FlowIdentification] = []
    kept: dict[int, None] = {}
    for option in options:
        if isinstance(option, FlowIdentification):
            named.append(option)
        elif isinstance(option, FlowSummary):
            kept.update(dict.fromkeys(option.fids))
    if not limits.allowed:
        # RFC 6089 section 5.3.2: unwilling. There may be flows from before the administrator changed his mind: they go.
        refusal = FlowStatus.ADMINISTRATIVELY_PROHIBITED
        return FlowOutcome(echoes=tuple(_with_status(option, refusal) for option in named))
    before = {flow.fid: flow for flow in known}
    counts = Counter(option.fid for option in named)
    # What no option names is deleted (RFC 6089 section 5.3.4): only the named start out as survivors.
    table = _Table({fid: before[fid] for fid in before if fid in kept and fid not in counts})
    # Section 5.3.2: one FID twice, and all Flow Identification options are refused. The text gives no status.
    doubled = any(count > 1 for count in counts.values())
    statuses: list[int] = []
    wishes: list[tuple[int, FlowEntry]] = []
    for position, option in enumerate(named):
        old = before.get(option.fid)
        wish = FlowStatus.MALFORMED if doubled else _read(option, old, bids, limits)
        if isinstance(wish, FlowEntry):
            statuses.append(_ACCEPTED)
            wishes.append((position, wish))
        else:
            statuses.append(int(wish))
            if old is not None:
                table.keep(old)  # refused, and left unchanged
    for position, status in table.place(wishes, before, limits.most):
        statuses[position] = status
    unknown = (fid for fid in kept if fid not in before and fid not in counts)
    return FlowOutcome(
        tuple(sorted(table.flows.values(), key=lambda flow: flow.priority)),
        (
            *(_with_status(option, status) for option, status in zip(named, statuses, strict=True)),
            *(FlowIdentification(fid, status=FlowStatus.FID_NOT_FOUND) for fid in unknown),
        ),
    )


def _with_status(option: FlowIdentification, status: int) -> FlowIdentification:
    return replace(option, status=status)


class _Table:
    """The flow bindings that survive, on the way to their final state."""

    def __init__(self, flows: dict[int, FlowEntry]) -> None:
        self.flows = flows

    def keep(self, flow: FlowEntry) -> None:
        self.flows[flow.fid] = flow

    def place(
        self, wishes: list[tuple[int, FlowEntry]], before: Mapping[int, FlowEntry], most: int
    ) -> list[tuple[int, int]]:
        """Enter what the options ask for, as far as priorities and room allow; return position and status of the refused.

        All new priorities count at once, so two flows may change places. A flow whose wish is refused falls back to what it was,
        and may so take its old priority away from another wish: then it is tried again without the refused one.
        """
        refused: list[tuple[int, int]] = []
        while True:
            fixed = {flow.priority for flow in self.flows.values()}
            placed: dict[int, FlowEntry] = {}
            for wish in wishes:
                position, flow = wish
                full = flow.fid not in before and len(self.flows) + len(placed) >= most
                if full or flow.priority in fixed:
                    # RFC 6089 section 4.2 wants the FID-PRI unique and has no status for one that is not.
                    refused.append((position, FlowStatus.REASON_UNSPECIFIED if full else FlowStatus.MALFORMED))
                    wishes = [other for other in wishes if other is not wish]
                    break
                fixed.add(flow.priority)
                placed[flow.fid] = flow
            else:
                self.flows.update(placed)
                return refused
            if (old := before.get(flow.fid)) is not None:
                self.keep(old)


def _read(
    option: FlowIdentification, old: FlowEntry | None, bids: frozenset[int], limits: FlowLimits
) -> FlowEntry | FlowStatus:
    """Return the flow binding that one option asks for, or why not (RFC 6089 sections 5.3.2.1 and 5.3.2.2)."""
    selectors = [one for one in option.sub_options if isinstance(one, TrafficSelectorOption)]
    references = [one for one in option.sub_options if isinstance(one, BindingReference)]
    if option.damaged or not option.fid or not option.priority or len(selectors) > 1 or len(references) > 1:
        return FlowStatus.MALFORMED
    selector = _selector(selectors, old, limits)
    if isinstance(selector, FlowStatus):
        return selector
    reference = _reference(references, old, bids)
    if isinstance(reference, FlowStatus):
        return reference
    return FlowEntry(option.fid, option.priority, selector, reference)


def _selector(
    selectors: list[TrafficSelectorOption], old: FlowEntry | None, limits: FlowLimits
) -> FlowSelector | FlowStatus:
    if not selectors:
        return FlowStatus.MALFORMED if old is None else old.selector
    (option,) = selectors
    if not knows_format(option.format):
        return FlowStatus.SELECTOR_FORMAT_NOT_SUPPORTED
    try:
        selector = decode_selector(option)
        expand(selector, limits.keys, limits.shape)
    except ExpansionError:
        return FlowStatus.REASON_UNSPECIFIED  # well formed, but more than a switch should spend on it
    except ValueError:
        return FlowStatus.MALFORMED
    return selector


def _reference(
    references: list[BindingReference], old: FlowEntry | None, bids: frozenset[int]
) -> tuple[int, ...] | FlowStatus:
    if not references:
        return FlowStatus.MALFORMED if old is None else old.bids
    named = tuple(dict.fromkeys(references[0].bids))
    if not named:
        return FlowStatus.MALFORMED
    if not bids.issuperset(named):
        return FlowStatus.BID_NOT_FOUND
    return named
