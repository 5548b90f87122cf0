"""The flow bindings of a mobile node: what it wants, and what the home agent acknowledged (RFC 6089 section 5.2).

Every Binding Update that leaves bindings lists all flows that are to stay, because the home agent deletes what is not listed
(RFC 6089 section 5.3.4): new and changed ones whole, the others by their FID alone, in a Flow Summary option.

| flow | in the next Binding Update | when that is acknowledged |
|---|---|---|
| wanted, not acknowledged as it is now | whole, once its BIDs are registered | kept, or refused: not asked again |
| wanted and acknowledged | its FID | kept; unknown to the home agent (status 132): whole next time |
| not wanted any more | not listed | gone |
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from controller.mobility.flows import FlowEntry
from controller.mobility.wire.flow_options import BindingReference, FlowIdentification, FlowStatus, FlowSummary
from controller.mobility.wire.options import Option
from controller.mobility.wire.selectors import encode_selector

SUMMARY_LIMIT: Final = 127
"""FIDs in one Flow Summary option."""
_REFUSED: Final = 128


class FlowBook:
    """Wanted and acknowledged flow bindings of one mobile node."""

    def __init__(self) -> None:
        self.wanted: Final[dict[int, FlowEntry]] = {}
        """By FID."""
        self._known: dict[int, FlowEntry] = {}
        self._refused: Final[set[FlowEntry]] = set()
        self._offered: dict[int, FlowEntry] = {}
        self._kept: tuple[int, ...] = ()

    def bind(self, flow: FlowEntry) -> None:
        """Want a flow binding, or another in the place of the one with its FID.

        Raises:
            ValueError: it cannot be signalled; the text says why.
        """
        if not (1 <= flow.fid <= 0xFFFF and 1 <= flow.priority <= 0xFFFF):
            raise ValueError(f"FID {flow.fid} and FID-PRI {flow.priority} have to be 1 to 65535 (RFC 6089 section 4.2)")
        if not flow.bids:
            raise ValueError(f"flow {flow.fid} has no BID")
        for other in self.wanted.values():
            if other.priority == flow.priority and other.fid != flow.fid:
                raise ValueError(f"FID-PRI {flow.priority} belongs to flow {other.fid}: choose another")
        _whole(flow).data()
        self._refused.discard(flow)
        self.wanted[flow.fid] = flow

    def release(self, fid: int) -> None:
        """Want a flow binding no more; nothing happens if it was not."""
        self.wanted.pop(fid, None)

    def ask_again(self) -> None:
        """Forget what was refused."""
        self._refused.clear()

    def forget(self) -> None:
        """Note that the home agent has no flow binding of this node any more."""
        self._known = {}

    @property
    def bound(self) -> Mapping[int, FlowEntry]:
        """What the home agent acknowledged, by FID."""
        return self._known

    def due(self, bids: AbstractSet[int]) -> bool:
        """Tell whether the home agent should be told, when those BIDs are registered."""
        return bool(self._news(bids)) or not all(map(self._is_to_stay, self._known))

    def options(self, bids: AbstractSet[int]) -> tuple[Option, ...]:
        """Return what a Binding Update says of flows, and take note of it for `acknowledged`.

        Args:
            bids: What is registered once the Binding Update is accepted.
        """
        self._offered = self._news(bids)
        self._kept = tuple(fid for fid in self._known if fid not in self._offered and self._is_to_stay(fid))
        summaries = (
            FlowSummary(self._kept[start : start + SUMMARY_LIMIT]) for start in range(0, len(self._kept), SUMMARY_LIMIT)
        )
        return (*map(_whole, self._offered.values()), *summaries)

    def acknowledged(self, answer: Iterable[Option]) -> list[tuple[int, int]]:
        """Take over the options of the acknowledgement; return FID and status of each flow that was refused."""
        statuses = {option.fid: option.status for option in answer if isinstance(option, FlowIdentification)}
        known = {fid: self._known[fid] for fid in self._kept if statuses.get(fid) != FlowStatus.FID_NOT_FOUND}
        refused: list[tuple[int, int]] = []
        for fid, flow in self._offered.items():
            # Without an answer to its option, the home agent knows nothing of flow bindings.
            status = statuses.get(fid, int(FlowStatus.REASON_UNSPECIFIED))
            if status < _REFUSED:
                known[fid] = flow
                continue
            self._refused.add(flow)
            refused.append((fid, status))
            if fid in self._known:
                known[fid] = self._known[fid]  # refused, and left as it was
        self._known = known
        return refused

    def _is_to_stay(self, fid: int) -> bool:
        """Tell whether an acknowledged flow is still wanted as it is, or in a way that was refused."""
        flow = self.wanted.get(fid)
        return flow is not None and (flow == self._known[fid] or flow in self._refused)

    def _news(self, bids: AbstractSet[int]) -> dict[int, FlowEntry]:
        return {
            fid: flow
            for fid, flow in self.wanted.items()
            if self._known.get(fid) != flow and flow not in self._refused and bids >= set(flow.bids)
        }


def _whole(flow: FlowEntry) -> FlowIdentification:
    sub_options = (BindingReference(flow.bids), encode_selector(flow.selector))
    return FlowIdentification(flow.fid, flow.priority, sub_options=sub_options)
