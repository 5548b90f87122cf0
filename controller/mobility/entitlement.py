"""What a node may keep when what it may do has changed since it registered, and taking back the rest (RFC 5846).

| what changed | what goes |
|---|---|
| the node is not served any more | everything |
| it has to prove itself, and what it has was believed without | everything |
| one care-of address only (RFC 5648 not allowed) | everything that has a BID |
| not a mobile router any more, or a prefix of it is another's | everything: its prefixes are part of each registration (RFC 3963) |
| fewer bindings | the least preferred beyond the limit |
| nobody may be at home and away at once | the binding at home |

Flow bindings that it may not have any more go with its next Binding Update (RFC 6089 section 5.3.2).
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from controller.mobility.address import Address
from controller.mobility.model import NO_BID, NodeRecord
from controller.mobility.parts import Part, RecordView
from controller.mobility.provision import Directory, HomeBinding, HomeNetwork, NodeProvision
from controller.mobility.wire.control_messages import RevocationTrigger

Revoke = Callable[[Address, frozenset[int] | None, int, float], frozenset[int]]
"""Begins to take bindings back: home address, BIDs (None: all), trigger, time; returns the BIDs that will go."""


def excess(record: NodeRecord, provision: NodeProvision | None, network: HomeNetwork | None) -> frozenset[int]:
    """Return the BIDs of a record that its node may not keep; `NO_BID` for the binding without.

    Args:
        record: The node's bindings.
        provision: What it may do now; None: it is not served.
        network: The home network that it is in; None: there is none any more.
    """
    held = frozenset(binding.bid for binding in record.bindings)
    if provision is None or network is None:
        return held
    if record.mobile_router and not provision.mobile_router:
        return held
    if not set(record.prefixes) <= set(provision.prefixes):
        return held
    if not provision.multiple_care_of and held != {NO_BID}:
        return held
    ranked = sorted(record.bindings, key=lambda binding: (binding.priority or 128, binding.bid))
    gone = {binding.bid for binding in ranked[provision.max_bindings :]}
    if network.home_binding is HomeBinding.REFUSE:
        gone |= {binding.bid for binding in record.bindings if binding.at_home}
    return frozenset(gone)


class Entitlements(Part):
    """Takes back what nodes may not keep.

    Args:
        directory: Who may do what.
        record: The record in force of a home address.
        revoke: Begins to take bindings back.
        forget: Ends the security association of a node.
    """

    def __init__(
        self, directory: Directory, record: RecordView, revoke: Revoke, forget: Callable[[Address], None]
    ) -> None:
        self._directory: Final = directory
        self._record: Final = record
        self._revoke: Final = revoke
        self._forget: Final = forget
        self._leaving: Final[set[Address]] = set()
        self._unsettled: Final[dict[Address, bool]] = {}

    def review(
        self,
        home_addresses: Iterable[Address],
        unproved: Collection[Address],
        in_flight: Collection[Address],
        now: float,
    ) -> dict[Address, frozenset[int]]:
        """Take back what nodes may not keep; return the BIDs of each that go.

        Args:
            home_addresses: Whom to look at.
            unproved: Those of whom nothing may stay, as it was believed without proof.
            in_flight: Those with a change under way: they are looked at again when it is in force.
            now: Seconds of the engine's clock.
        """
        found: dict[Address, frozenset[int]] = {}
        for home_address in home_addresses:
            strict = home_address in unproved
            if home_address in in_flight:
                self._unsettled[home_address] = strict
            if gone := self._take_back(home_address, now, strict=strict):
                found[home_address] = gone
        return found

    def _take_back(self, home_address: Address, now: float, *, strict: bool) -> frozenset[int]:
        record = self._record(home_address)
        if record is None or not record.bindings:
            return frozenset()
        network = self._directory.network(home_address, record.home_agent)
        gone = excess(record, self._directory.authorise(home_address, network), network)
        held = frozenset(binding.bid for binding in record.bindings)
        if strict:
            gone = held
        if gone:
            self._revoke(
                home_address, None if gone == held else gone, RevocationTrigger.REVOKING_NODE_LOCAL_POLICY, now
            )
        return gone

    def leave(self, home_address: Address) -> None:
        """End a node's security association as soon as it has no binding: until then it is needed to tell the node."""
        record = self._record(home_address)
        if record is None or not record.bindings:
            self._forget(home_address)
        else:
            self._leaving.add(home_address)

    def stay(self, home_address: Address) -> None:
        """Take `leave` back."""
        self._leaving.discard(home_address)

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:
        """Look again at who had a change under way, and forget who has left."""
        if not self._leaving and not self._unsettled:
            return  # as nearly always
        known = after or before
        assert known is not None
        home_address = known.home_address
        strict = self._unsettled.pop(home_address, None)
        if after is not None and after.bindings:
            if strict is not None:
                self._take_back(home_address, now, strict=strict)
        elif home_address in self._leaving:
            self._leaving.discard(home_address)
            self._forget(home_address)
