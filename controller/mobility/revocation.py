"""Taking bindings back (RFC 5846): the home agent asks, the node answers, and with or without an answer the bindings go.

| when | what happens |
|---|---|
| at once | a Binding Revocation Indication to the care-of address of a binding that goes, with a type 2 routing header |
| its acknowledgement comes | the bindings are removed, whatever its status: the home agent has the last word |
| 1 s without one | the same indication again, once |
| 2 s after that | the bindings are removed |
| a Binding Update that names a binding is accepted meanwhile | that binding stays (RFC 5846 leaves it open) |
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from controller.mobility.address import Address
from controller.mobility.events import DropReason, Revoked
from controller.mobility.model import Binding, NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound, Part, RecordView
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.security.protection import ProtectionView
from controller.mobility.timing import Deadlines
from controller.mobility.wire.control_messages import RevocationAcknowledgement, RevocationIndication
from controller.mobility.wire.options import BindingIdentifier
from controller.values import value

FIRST_WAIT: Final = 1.0
"""Seconds before an indication is sent again: InitMINDelayBRIs (RFC 5846 section 11)."""
LAST_WAIT: Final = 2.0
"""Seconds after that before it is given up: MAX_BRACK_TIMEOUT."""
PAUSE: Final = 0.1
"""Seconds after which a removal is tried again that another change of the node is in the way of."""
PATIENCE: Final = 5.0
"""Seconds after which a removal is proposed again that did not come in force."""

Remover: TypeAlias = Callable[[Address, frozenset[int], float], bool]
"""Proposes the removal of bindings of a home address; False: not now, another change is under way."""


@value
class _Revocation:
    """One that is under way."""

    sequence: int
    trigger: int
    bids: frozenset[int]
    """What is to go."""
    everything: bool
    """The indication names no BID: all bindings of the node."""
    sent: int = 0
    """How often the indication left."""
    settled: bool = False
    """The node was heard, or is given up: all that is left is to remove the bindings."""
    status: int | None = None
    """What the node answered."""


class Revocations(Part):
    """The revocations under way, at most one a home address."""

    def __init__(self, outlet: Outlet, record: RecordView, protection: ProtectionView, remove: Remover) -> None:
        self._outlet: Final = outlet
        self._record: Final = record
        self._protection: Final = protection
        self._remove: Final = remove
        self._revocations: Final[dict[Address, _Revocation]] = {}
        self._deadlines: Final = Deadlines()
        self._sequence = 0

    def begin(self, home_address: Address, bids: frozenset[int] | None, trigger: int, now: float) -> frozenset[int]:
        """Begin to take bindings back; None for all. One that is under way for the node is widened, with a new sequence number.

        Returns:
            The BIDs that will go.

        Raises:
            LookupError: the node has none of these bindings.
        """
        record = self._record(home_address)
        held = frozenset(binding.bid for binding in record.bindings) if record is not None else frozenset()
        wanted = held if bids is None else held & bids
        if record is None or not wanted:
            raise LookupError("there is no such binding")
        old = self._revocations.get(home_address)
        if old is not None:
            wanted |= old.bids & held
        self._sequence = (self._sequence + 1) & 0xFFFF
        revocation = _Revocation(self._sequence, trigger, wanted, bids is None or wanted == held)
        self._send(home_address, record, revocation, now)
        return wanted

    def _send(self, home_address: Address, record: NodeRecord, revocation: _Revocation, now: float) -> None:
        target = _target(record, revocation.bids)
        options = () if revocation.everything else tuple(map(BindingIdentifier, sorted(revocation.bids)))
        message = RevocationIndication(revocation.trigger, revocation.sequence, options=options)
        destination, routing = (home_address, None) if target.at_home else (target.care_of, home_address)
        try:
            packet = self._protection(home_address, now).encode(record.home_agent, destination, message, routing)
        except SequenceExhaustedError as error:
            self._outlet.drop(DropReason.SEQUENCE_EXHAUSTED, destination, str(error))
        else:
            if target.at_home and target.link_layer is not None:
                self._outlet.send_on_link(record.home_agent, target.link_layer, packet)
            else:
                self._outlet.send(packet)
        self._revocations[home_address] = replace(revocation, sent=revocation.sent + 1)
        self._deadlines.set(home_address, now + (LAST_WAIT if revocation.sent else FIRST_WAIT))

    def on_acknowledgement(self, inbound: Inbound) -> None:
        """Remove the bindings that a node gives up."""
        message = inbound.packet.message
        assert isinstance(message, RevocationAcknowledgement)
        home_address = inbound.packet.home_address or inbound.packet.source
        revocation = self._revocations.get(home_address)
        if revocation is None or revocation.settled or message.sequence != revocation.sequence:
            self._outlet.drop(DropReason.UNEXPECTED_MESSAGE, inbound.packet.source, f"revocation {message.sequence}")
            return
        self._settle(home_address, replace(revocation, status=message.status), inbound.now)

    def _settle(self, home_address: Address, revocation: _Revocation, now: float) -> None:
        self._revocations[home_address] = replace(revocation, settled=True)
        proposed = self._remove(home_address, revocation.bids, now)
        self._deadlines.set(home_address, now + (PATIENCE if proposed else PAUSE))

    def next_timer(self) -> float | None:
        """Return when an indication leaves again, or bindings go without an answer."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        """Send again, or remove."""
        for home_address in self._deadlines.due(now):
            revocation = self._revocations[home_address]
            record = self._record(home_address)
            if record is not None and not revocation.settled and revocation.sent == 1:
                self._send(home_address, record, revocation, now)
            else:
                self._settle(home_address, revocation, now)

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:  # noqa: ARG002 -- as in Part
        """Take note of what is gone, and of what the node renewed."""
        known = after or before
        assert known is not None
        home_address = known.home_address
        revocation = self._revocations.get(home_address)
        if revocation is None:
            return
        old = {binding.bid: binding for binding in before.bindings} if before is not None else {}
        new = {binding.bid: binding for binding in after.bindings} if after is not None else {}
        left = frozenset(bid for bid in revocation.bids if bid in new and new[bid] == old.get(bid))
        if left:
            self._revocations[home_address] = replace(
                revocation, bids=left, everything=revocation.everything and left == new.keys()
            )
            return
        del self._revocations[home_address]
        self._deadlines.clear(home_address)
        self._outlet.report(Revoked(home_address, tuple(sorted(revocation.bids - new.keys())), revocation.status))


def _target(record: NodeRecord, bids: frozenset[int]) -> Binding:
    """Return the binding whose care-of address hears of it: the best of those that go."""
    going = [binding for binding in record.bindings if binding.bid in bids] or list(record.bindings)
    return min(going, key=lambda binding: (binding.at_home, binding.priority or 128, binding.bid))


def without(record: NodeRecord, bids: frozenset[int], forget_at: float) -> NodeRecord:
    """Return a record without some bindings; without the last one it is a tombstone."""
    left = tuple(binding for binding in record.bindings if binding.bid not in bids)
    if left:
        return replace(record, bindings=left)
    return NodeRecord(
        record.home_address, record.home_agent, record.sequence, forget_at=forget_at, sequences=record.sequences
    )
