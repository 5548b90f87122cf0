"""Operators' flow policies: kept in the store, brought into force by the committer."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Op, Update
from controller.dataplane.flows import PolicyError, validate_policy
from controller.mobility.address import Address, format_address, parse_address
from controller.mobility.flows import FlowPolicy
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import NodeRecord
from controller.northbound.control import PolicyState, PolicyView
from controller.northbound.errors import ConflictError, RefusedError
from controller.northbound.schedule import Schedule
from controller.northbound.views import TableUpdate
from controller.service import preferences
from controller.service.anchors import Anchors
from controller.service.committer import Committer
from controller.service.jobs import PolicyJob
from controller.service.keeper import Keeper
from controller.service.updates import described
from controller.store import Document, Store, StoreError

LOG: Final = logging.getLogger(__name__)

SCHEDULE: Final = "schedule"
"""Kind of the documents in the store; the key is home address, slash, name."""
_TICK: Final = 1.0
"""Seconds between two looks at the schedules."""


class PolicyBook:
    """The policies of all nodes.

    Args:
        engine: knows which BIDs are registered.
        desired: what the anchors should hold.
        anchors: the switches.
        committer: carries changes out.
        store: makes them durable.
        keep: runs a call of the store in its thread.
        clock: wall time.
    """

    def __init__(
        self,
        engine: HomeAgent,
        desired: DesiredState,
        anchors: Anchors,
        committer: Committer,
        store: Store,
        keep: Keeper,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine: Final = engine
        self._desired: Final = desired
        self._anchors: Final = anchors
        self._committer: Final = committer
        self._store: Final = store
        self._keep: Final = keep
        self._policies: Final[dict[Address, dict[str, FlowPolicy]]] = {}
        self._schedules: Final[dict[tuple[Address, str], Schedule]] = {}
        self._preferences: Final[dict[Address, tuple[int, ...]]] = {}
        self._clock: Final = clock
        self._following: asyncio.Task[None] | None = None
        self._lock: Final = asyncio.Lock()

    def restore(self, policies: Sequence[FlowPolicy], documents: Sequence[Document]) -> None:
        """Take over the policies and schedules that the store had; the desired state has all policies already.

        Raises:
            StoreError: a schedule or a preference is damaged.
        """
        for policy in policies:
            self._policies.setdefault(policy.home_address, {})[policy.name] = policy
        self._preferences.update(preferences.stored(documents))
        for document in documents:
            if document.kind == SCHEDULE:
                try:
                    address, _, name = document.key.partition("/")
                    body = json.loads(document.body)
                    schedule = Schedule(**{**body, "days": tuple(body["days"])})
                    self._schedules[parse_address(address), name] = schedule
                except (KeyError, TypeError, ValueError) as error:
                    raise StoreError(f"the schedule {document.key} is damaged: {error}") from error
        if self._schedules:
            asyncio.get_running_loop().call_soon(self._tick)

    def __len__(self) -> int:
        return sum(map(len, self._policies.values()))

    def views(self, home_address: Address | None = None) -> Sequence[PolicyView]:
        """Return policies of one node or of all, in ascending order of home address, then priority."""
        nodes = sorted(self._policies) if home_address is None else [home_address]
        found: list[PolicyView] = []
        for node in nodes:
            record = self._engine.record(node)
            registered = {binding.bid for binding in record.bindings} if record is not None else set[int]()
            for policy in sorted(self._policies.get(node, {}).values(), key=lambda one: one.priority):
                schedule = self._schedules.get((node, policy.name))
                if schedule is not None and not schedule.is_open(self._clock()):
                    state = PolicyState.WAITING
                else:
                    state = PolicyState.ACTIVE if policy.is_active(registered) else PolicyState.INACTIVE
                found.append(PolicyView(policy, state, schedule))
        return found

    def _open(self, node: Address, policies: Mapping[str, FlowPolicy]) -> dict[str, FlowPolicy]:
        """Return the policies that are in force by their schedules."""
        now = self._clock()
        schedules = ((name, self._schedules.get((node, name))) for name in policies)
        return {name: policies[name] for name, schedule in schedules if schedule is None or schedule.is_open(now)}

    def _wanted(self, node: Address, policies: Mapping[str, FlowPolicy]) -> tuple[FlowPolicy, ...]:
        return _in_force(node, self._open(node, policies), self._preferences.get(node, ()))

    def preview(self, policy: FlowPolicy, schedule: Schedule | None = None) -> tuple[TableUpdate, ...]:
        """Return what putting a policy would write now, and write nothing.

        Raises:
            ConflictError: another policy of the node has the priority.
            RefusedError: the data plane cannot realise it; of one that waits for its schedule: could not if it were in force now.
        """
        node = policy.home_address
        now = self._policies.get(node, {})
        _refuse_double(now, policy)
        others, bids = self._open(node, now), self._preferences.get(node, ())
        try:
            validate_policy(policy, self._desired.flow_keys)
            updates = self._previewed(node, _in_force(node, {**others, policy.name: policy}, bids))
            if schedule is not None and not schedule.is_open(self._clock()):
                others.pop(policy.name, None)
                updates = self._previewed(node, _in_force(node, others, bids))
        except PolicyError as error:
            raise RefusedError(str(error)) from error
        return updates

    def preview_deletion(self, home_address: Address, name: str) -> tuple[TableUpdate, ...]:
        """Return what removing a policy would write, and write nothing; nothing where there is none."""
        wanted = self._open(home_address, self._policies.get(home_address, {}))
        wanted.pop(name, None)
        return self._previewed(home_address, _in_force(home_address, wanted, self._preferences.get(home_address, ())))

    def _previewed(self, home_address: Address, policies: Iterable[FlowPolicy]) -> tuple[TableUpdate, ...]:
        try:
            updates = self._desired.preview_policies(home_address, policies)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        self._refuse_overflow(updates)
        return tuple(map(described, updates))

    async def put(self, policy: FlowPolicy, schedule: Schedule | None) -> bool:
        """Store a policy and bring it into force; tell whether it is new. Raises as `preview` does."""
        node, key = policy.home_address, (policy.home_address, policy.name)
        async with self._lock:
            self.preview(policy)
            now = self._policies.get(node, {})
            old, before = now.get(policy.name), self._schedules.get(key)
            if (old, before) == (policy, schedule):
                return False
            await self._keep(lambda: self._save(policy, schedule))
            self._set_schedule(key, schedule)
            refusal = await self._bring_into_force(node, {**now, policy.name: policy})
            if refusal is not None:
                self._set_schedule(key, before)
                await self._keep(lambda: self._save_again(policy, old, before))
                raise RefusedError(refusal)
        return old is None

    async def delete(self, home_address: Address, name: str) -> bool:
        """Remove a policy; tell whether there was one."""
        key = (home_address, name)
        async with self._lock:
            now = self._policies.get(home_address, {})
            old, before = now.get(name), self._schedules.get(key)
            if old is None:
                return False
            await self._keep(lambda: self._erase(old))
            self._set_schedule(key, None)
            rest = {other: policy for other, policy in now.items() if other != name}
            refusal = await self._bring_into_force(home_address, rest)
            if refusal is not None:
                self._set_schedule(key, before)
                await self._keep(lambda: self._save(old, before))
                raise RefusedError(refusal)
        return True

    # Preferences

    def preference(self, home_address: Address) -> tuple[int, ...] | None:
        """Return a node's BIDs as the operator prefers them; None: nothing is said."""
        return self._preferences.get(home_address)

    def preferred(self, record: NodeRecord) -> int | None:
        """Return where traffic of a node goes that no policy names; None: it has no binding."""
        for bid in self._preferences.get(record.home_address, ()):
            if record.binding(bid) is not None:
                return bid
        return None if record.preferred is None else record.preferred.bid

    def preview_preference(self, home_address: Address, bids: Sequence[int]) -> tuple[TableUpdate, ...]:
        """Return what putting a preference would write, and write nothing.

        Raises:
            RefusedError: the data plane cannot realise it.
        """
        wanted = self._open(home_address, self._policies.get(home_address, {}))
        return self._previewed(home_address, _in_force(home_address, wanted, bids))

    async def set_preference(self, home_address: Address, bids: tuple[int, ...] | None) -> bool:
        """Store a preference and bring it into force, or remove it; tell whether there was one.

        Raises:
            RefusedError: the data plane cannot realise it; nothing was changed.
            UnavailableError: it could not be made durable; nothing was changed.
        """
        async with self._lock:
            old = self._preferences.get(home_address)
            if bids == old:
                return old is not None
            if bids is not None:
                self.preview_preference(home_address, bids)
            await self._keep(lambda: self._save_preference(home_address, bids))
            self._prefer(home_address, bids)
            refusal = await self._bring_into_force(home_address, self._policies.get(home_address, {}))
            if refusal is not None:
                self._prefer(home_address, old)
                await self._keep(lambda: self._save_preference(home_address, old))
                raise RefusedError(refusal)
        return old is not None

    def _prefer(self, home_address: Address, bids: tuple[int, ...] | None) -> None:
        if bids is None:
            self._preferences.pop(home_address, None)
        else:
            self._preferences[home_address] = bids

    def _save_preference(self, home_address: Address, bids: tuple[int, ...] | None) -> None:
        if bids is None:
            self._store.delete_document(preferences.KIND, format_address(home_address))
        else:
            self._store.save_document(preferences.document(home_address, bids))

    # Schedules

    def _set_schedule(self, key: tuple[Address, str], schedule: Schedule | None) -> None:
        if schedule is None:
            self._schedules.pop(key, None)
            return
        first = not self._schedules
        self._schedules[key] = schedule
        if first:
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _tick(self) -> None:
        """Look whether the time of a policy has begun or ended; again while there are schedules."""
        if not self._schedules:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(_TICK, self._tick)
        if self._following is not None and not self._following.done():
            return
        stale = [
            node
            for node in dict.fromkeys(node for node, _ in self._schedules)
            if {one.name for one in self._wanted(node, self._policies.get(node, {}))}
            != {one.name for one in self._desired.policies(node)}
        ]
        if stale:
            self._following = loop.create_task(self._follow(stale), name="schedules")

    async def _follow(self, nodes: Sequence[Address]) -> None:
        async with self._lock:
            for node in nodes:
                refusal = await self._bring_into_force(node, self._policies.get(node, {}))
                if refusal is not None:
                    LOG.warning("the policies of %s do not follow their schedules: %s", format_address(node), refusal)

    async def _bring_into_force(self, node: Address, policies: dict[str, FlowPolicy]) -> str | None:
        """Hand a node's policies to the committer; return why they were refused, None if they were not."""
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._committer.submit(PolicyJob(node, self._wanted(node, policies), outcome))
        refusal = await outcome
        if refusal is None:
            self._policies[node] = policies
        return refusal

    # In the store's thread

    def _save(self, policy: FlowPolicy, schedule: Schedule | None) -> None:
        key = _document_key(policy)
        if schedule is not None:
            self._store.save_document(Document(SCHEDULE, key, json.dumps(asdict(schedule))))
        self._store.save_policy(policy)
        if schedule is None:
            self._store.delete_document(SCHEDULE, key)

    def _save_again(self, refused: FlowPolicy, old: FlowPolicy | None, schedule: Schedule | None) -> None:
        self._erase(refused)
        if old is not None:
            self._save(old, schedule)

    def _erase(self, policy: FlowPolicy) -> None:
        self._store.delete_policy(policy.home_address, policy.name)
        self._store.delete_document(SCHEDULE, _document_key(policy))

    def _refuse_overflow(self, updates: Sequence[Update]) -> None:
        """Refuse what would not fit into a table of a switch in service: better now than half-way."""
        wanted = Counter(update.entry.table for update in updates if update.op is Op.INSERT)
        wanted.subtract(update.entry.table for update in updates if update.op is Op.DELETE)
        for session in self._anchors.in_service():
            static = self._desired.static_counts(session.name)
            for table, more in wanted.items():
                size, used = session.table_sizes.get(table, 0), static[table] + self._desired.used(table)
                if size and more > 0 and used + more > size:
                    raise RefusedError(
                        f"table {table} of {session.name} holds {used} of {size} entries and this needs {more} more:"
                        " remove policies, or make their selectors simpler"
                    )


def _in_force(node: Address, policies: Mapping[str, FlowPolicy], bids: Sequence[int]) -> tuple[FlowPolicy, ...]:
    """Return the policies that are in force, with those that a preference stands for."""
    return (*policies.values(), *preferences.as_policies(node, bids))


def _document_key(policy: FlowPolicy) -> str:
    return f"{format_address(policy.home_address)}/{policy.name}"


def _refuse_double(now: Mapping[str, FlowPolicy], policy: FlowPolicy) -> None:
    for other in now.values():
        if other.name != policy.name and other.priority == policy.priority:
            raise ConflictError(f"priority {policy.priority} belongs to the policy {other.name!r}: choose another")
