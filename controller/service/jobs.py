"""The kinds of change that the committer carries out: a transaction of the engine, a node's policies, and what else is known of it."""

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass

from controller.dataplane.desired import DesiredState
from controller.dataplane.plans import Plan
from controller.mobility.address import Address
from controller.mobility.flows import FlowPolicy
from controller.mobility.model import Cause, NodeRecord, Transaction
from controller.store import Change, StoredNode


def stored_node(desired: DesiredState, record: NodeRecord | None) -> StoredNode | None:
    """Return what a store keeps of a record, with the numbers that the desired state holds for it."""
    if record is None:
        return None
    return StoredNode(record, desired.ids.node(record.home_address), desired.path_ids(record))


@dataclass(slots=True, eq=False)
class TransactionJob:
    """A transaction of the home agent."""

    transaction: Transaction
    on_done: Callable[[Transaction], None]
    on_failed: Callable[[Transaction, str, frozenset[int]], None]

    @property
    def home_address(self) -> Address:
        """Whose change it is."""
        return self.transaction.home_address

    @property
    def refusable(self) -> bool:
        """Whether it registers something: what ends, by itself or by request, is never refused."""
        after = self.transaction.after
        return self.transaction.cause is Cause.REGISTRATION and after is not None and bool(after.bindings)

    def plan(self, desired: DesiredState) -> Plan:
        """Enter the transaction into the desired state."""
        return desired.apply(self.transaction)

    def stored(self, desired: DesiredState) -> Change:
        """Return the record as it will be."""
        before, after = self.transaction.before, self.transaction.after
        gone = None
        if before is not None and after is not None:
            kept = [binding.bid for binding in after.bindings]
            gone = tuple([binding.bid for binding in before.bindings if binding.bid not in kept])
        return Change(self.home_address, stored_node(desired, after), self.transaction.mark, gone)

    def restored(self, desired: DesiredState) -> Change:
        """Return the record as it was."""
        return Change(self.home_address, stored_node(desired, self.transaction.before))

    def done(self) -> None:
        """Tell the engine that the transaction is in force."""
        self.on_done(self.transaction)

    def failed(self, reason: str, full: frozenset[int] = frozenset(), /) -> None:
        """Tell the engine that the transaction is not in force, and which BIDs are to blame."""
        self.on_failed(self.transaction, reason, full)


@dataclass(slots=True, eq=False)
class RefreshJob:
    """What is known of a node beside its record is something else now; nothing of it is stored."""

    home_address: Address
    on_failed: Callable[[Address, str], None]
    on_done: Callable[[], None] = lambda: None

    @property
    def refusable(self) -> bool:
        """It comes into force with the next anchor that comes into service."""
        return False

    def plan(self, desired: DesiredState) -> Plan:
        """Enter it into the desired state."""
        return desired.refresh(self.home_address)

    def stored(self, _desired: DesiredState) -> None:
        """There is nothing to store."""

    restored = stored

    def done(self) -> None:
        """Tell whoever waits for it."""
        self.on_done()

    def failed(self, reason: str, _full: frozenset[int] = frozenset(), /) -> None:
        """Report why it failed."""
        self.on_failed(self.home_address, reason)


@dataclass(slots=True, eq=False)
class PolicyJob:
    """A node's flow policies; they are in the store before the job is made."""

    home_address: Address
    policies: tuple[FlowPolicy, ...]
    outcome: Future[str | None]
    """Set to None when in force, else to why not."""

    @property
    def refusable(self) -> bool:
        """It comes into force with the next anchor that comes into service."""
        return False

    def plan(self, desired: DesiredState) -> Plan:
        """Enter the policies into the desired state."""
        return desired.set_policies(self.home_address, self.policies)

    def stored(self, _desired: DesiredState) -> None:
        """Nothing is left to store."""

    restored = stored

    def done(self) -> None:
        """Report success."""
        if not self.outcome.done():
            self.outcome.set_result(None)

    def failed(self, reason: str, _full: frozenset[int] = frozenset(), /) -> None:
        """Report why it failed."""
        if not self.outcome.done():
            self.outcome.set_result(reason)
