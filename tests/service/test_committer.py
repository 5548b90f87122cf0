"""What becomes of a change between the engine's decision and its acknowledgement, whatever store and switches do."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Entry, EntryKey, Op
from controller.dataplane.plans import Stage
from controller.mobility.address import Address, parse_address
from controller.mobility.flows import FlowPolicy, Steer, TrafficSelector
from controller.mobility.model import Binding, Cause, NodeRecord, Transaction
from controller.service import committer
from controller.service.anchors import Outcome
from controller.service.committer import CLEARED, Committer
from controller.service.jobs import PolicyJob, TransactionJob
from controller.store import Change, StoreError

HOME_AGENT = parse_address("2001:db8:0:1::1")
NODE = parse_address("2001:db8:0:1::100")
OTHER = parse_address("2001:db8:0:1::200")
THIRD = parse_address("2001:db8:0:1::300")
WIFI = parse_address("2001:db8:a1::1")
CELL = parse_address("2001:db8:a2::1")
SAT = parse_address("2001:db8:a3::1")
GRACE = 0.05


@dataclass
class Bench:
    """A switch and a store that do as they are told, and what they were told."""

    tables: dict[EntryKey, Entry] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    """Tables whose insertions and changes the switch refuses."""
    stored: dict[Address, Change] = field(default_factory=dict)
    store_fault: str | None = None
    log: list[str] = field(default_factory=list)
    committer: Committer = field(init=False)
    desired: DesiredState = field(default_factory=DesiredState)
    failures: list[str] = field(default_factory=list)
    blamed: list[frozenset[int]] = field(default_factory=list)
    """For each failure the BIDs without which the change might do."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, the switch does not answer."""
    disk: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, nothing is stored."""
    spindle: asyncio.Lock = field(default_factory=asyncio.Lock)
    store_fault_after: int | None = None
    """How many commits succeed before all others fail."""
    contradicts: set[Address] = field(default_factory=set)
    """Nodes of which nothing can be stored."""
    numbers: int = 0
    refuse_deletions: bool = False
    refuse_entry: Callable[[Entry], bool] = lambda _entry: False
    """Says which insertions and changes the switch refuses beside those of `refuse`."""
    resyncs: list[str] = field(default_factory=list)
    short: str | None = None
    """Why there is no quorum before a write."""
    short_after: str | None = None
    """Why there was none after it."""

    def shortfall(self) -> str | None:
        return self.short

    async def write(self, stage: Stage) -> Outcome:
        await asyncio.sleep(0)
        await self.gate.wait()
        self.stages.append(stage)
        refused: dict[EntryKey, str] = {}
        for op, entry in stage:
            if op is Op.DELETE and self.refuse_deletions:
                refused[entry.key] = "INTERNAL out of order"
            elif op is Op.DELETE:
                self.tables.pop(entry.key, None)
            elif entry.table in self.refuse or self.refuse_entry(entry):
                refused[entry.key] = "RESOURCE_EXHAUSTED table is full"
            else:
                self.tables[entry.key] = entry
        self.log.append("write")
        return Outcome(refused, self.short_after)

    def resync(self, reason: str) -> None:
        self.resyncs.append(reason)

    async def store(self, changes: Sequence[Change]) -> None:
        await asyncio.sleep(0)
        async with self.spindle:  # one at a time, as in the store's thread
            await self.disk.wait()
            self.note(changes)

    def note(self, changes: Sequence[Change]) -> None:
        if any(change.home_address in self.contradicts for change in changes):
            raise StoreError("contradiction")
        if self.store_fault_after is not None:
            if self.store_fault_after == 0:
                raise StoreError("disk full")
            self.store_fault_after -= 1
        if self.store_fault is not None:
            raise StoreError(self.store_fault)
        for change in changes:
            self.stored[change.home_address] = change
        self.log.append("store")

    def change(
        self, before: NodeRecord | None, after: NodeRecord | None, cause: Cause = Cause.REGISTRATION
    ) -> TransactionJob:
        self.numbers += 1
        known = after or before
        assert known is not None
        transaction = Transaction(self.numbers, known.home_address, before, after, cause)
        return TransactionJob(
            transaction,
            lambda done: self.log.append(f"done {done.number}"),
            self.fail,
        )

    def fail(self, failed: Transaction, reason: str, full: frozenset[int]) -> None:
        self.failures.append(f"{failed.number}: {reason}")
        self.blamed.append(full)

    async def settle(self) -> None:
        """Wait until nothing is left to do but grace periods."""
        for _ in range(50):
            await asyncio.sleep(0)

    def of(self, table: str) -> list[Entry]:
        return [entry for entry in self.tables.values() if entry.table == table]

    def agree(self) -> bool:
        return self.tables == self.desired.desired()


@asynccontextmanager
async def running(batch_window: float = 0.0) -> AsyncIterator[Bench]:
    bench = Bench()
    bench.gate.set()
    bench.disk.set()
    bench.committer = Committer(
        bench.desired, bench, bench.store, grace_period=GRACE, batch_limit=10, batch_window=batch_window
    )
    task = asyncio.create_task(bench.committer.run())
    try:
        yield bench
    finally:
        bench.committer.stop()
        await task


def record(home_address: Address, sequence: int, **care_of: Address) -> NodeRecord:
    bindings = tuple(Binding(int(bid[1:]), address, 60, 1e9) for bid, address in care_of.items())
    return NodeRecord(home_address, HOME_AGENT, sequence, bindings)


async def test_a_change_is_done_when_it_is_stored_and_in_every_table() -> None:
    async with running() as bench:
        after = record(NODE, 1, b1=WIFI, b2=CELL)
        bench.committer.submit(bench.change(None, after))
        await bench.settle()
        assert bench.log[-1] == "done 1"
        assert "store" in bench.log
        assert bench.agree()
        assert len(bench.of(p.TUNNELS)) == 2
        node = bench.stored[NODE].node
        assert node is not None
        assert node.record == after
        assert set(node.path_ids) == {1, 2}


async def test_a_lone_change_goes_at_once_and_after_several_the_next_wait_for_company() -> None:
    async with running(batch_window=0.5) as bench:
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await bench.settle()
        bench.committer.submit(bench.change(None, record(OTHER, 1, b1=CELL)))
        await bench.settle()
        assert bench.log.count("store") == 2  # one for each: neither waited
        for sequence in (2, 3):
            for node in (NODE, OTHER):
                before = bench.desired.record(node)
                assert before is not None
                bench.committer.submit(bench.change(before, replace(before, sequence=sequence)))
                if sequence == 3:
                    await bench.settle()  # time enough to leave alone
            await _logged(bench, f"done {2 * sequence}")
        assert bench.log.count("store") == 4


async def test_who_waits_for_company_goes_when_as_many_have_come_as_last_time() -> None:
    async with running(batch_window=30.0) as bench:
        for sequence in (1, 2):
            for node in (NODE, OTHER):
                before = bench.desired.record(node)
                after = record(node, 1, b1=WIFI) if before is None else replace(before, sequence=sequence)
                bench.committer.submit(bench.change(before, after))
                if sequence == 2:
                    await bench.settle()
            await bench.settle()
        assert bench.log[-2:] == ["done 3", "done 4"]
        before = bench.desired.record(NODE)
        assert before is not None
        bench.committer.submit(bench.change(before, replace(before, sequence=3)))
        await bench.settle()
        assert "done 5" not in bench.log


async def test_what_is_over_is_deleted_when_acknowledgements_have_had_time_to_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(committer, "QUIET", 0.2)
    async with running() as bench:
        ways = [record(NODE, sequence, b1=care_of) for sequence, care_of in enumerate((WIFI, CELL, SAT), 1)]
        for before, after in itertools.pairwise([None, *ways]):
            if after is ways[-1]:
                bench.gate.clear()  # the grace period of what was before ends while this one is under way
            bench.committer.submit(bench.change(before, after))
            await bench.settle()
        await asyncio.sleep(2 * GRACE)
        at_work = [bench.committer.at_work]
        bench.gate.set()
        await bench.settle()
        at_work.append(bench.committer.at_work)
        assert at_work == [True, False]
        assert bench.log[-1] == "done 3"
        assert not any(op is Op.DELETE for stage in bench.stages for op, _ in stage)
        await _logged(bench, "write", times=5)
        assert bench.agree()


async def _logged(bench: Bench, line: str, times: int = 1) -> None:
    async with asyncio.timeout(10):
        while bench.log.count(line) < times:  # noqa: ASYNC110 - the log announces nothing
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "table", [p.TUNNEL_TERMINATION, p.HOME_SOURCES, p.TUNNELS, p.DEFAULT_BINDING, p.HOME_ADDRESSES]
)
async def test_a_new_node_that_a_switch_refuses_leaves_nothing_behind(table: str) -> None:
    async with running() as bench:
        bench.refuse = {table}
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await bench.settle()
        assert bench.failures == ["1: RESOURCE_EXHAUSTED table is full"]
        assert "done 1" not in bench.log
        assert bench.tables == {} == bench.desired.desired()
        assert bench.stored[NODE].node is None


def of_care_of(address: Address) -> Callable[[Entry], bool]:
    return lambda entry: entry.table == p.TUNNEL_TERMINATION and entry.match[1] == int.from_bytes(address)


async def test_of_several_bids_the_one_that_a_switch_refuses_is_named_and_leaves_nothing() -> None:
    async with running() as bench:
        bench.refuse_entry = of_care_of(CELL)
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL)))
        await bench.settle()
        assert bench.blamed == [frozenset({2})]
        assert bench.tables == {} == bench.desired.desired()
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await bench.settle()
        assert bench.log[-1] == "done 2"
        assert bench.agree()
        node = bench.stored[NODE].node
        assert node is not None
        assert set(node.path_ids) == {1}


async def test_the_log_names_node_bid_and_update_of_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as bench:
        bench.refuse_entry = of_care_of(CELL)
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL)))
        await bench.settle()
    assert "change of 2001:db8:0:1::100 undone for BIDs [2]: RESOURCE_EXHAUSTED table is full" in caplog.messages


async def test_bids_that_share_a_refused_care_of_address_are_all_named() -> None:
    async with running() as bench:
        bench.refuse_entry = of_care_of(CELL)
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL, b3=CELL)))
        await bench.settle()
        assert bench.blamed == [frozenset({2, 3})]


@pytest.mark.parametrize("table", [p.HOME_SOURCES, p.DEFAULT_BINDING, p.HOME_ADDRESSES])
async def test_no_bid_is_named_for_an_entry_that_is_of_none(table: str) -> None:
    async with running() as bench:
        bench.refuse = {table, p.TUNNELS}
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL)))
        await bench.settle()
        assert len(bench.failures) == 1
        both_in_one_write = table != p.HOME_ADDRESSES
        assert bench.blamed == [frozenset() if both_in_one_write else frozenset({1, 2})]
        bench.refuse = {table}
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL)))
        await bench.settle()
        assert bench.blamed[1:] == [frozenset()]


async def test_a_change_that_does_not_fit_says_without_which_bids_it_would() -> None:
    async with running() as bench:
        bench.desired.set_capacity({p.TUNNELS: 1})
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL)))
        await bench.settle()
        assert bench.failures == ["1: table tunnels is full: 0 of 1 entries are taken"]
        assert bench.blamed == [frozenset({2})]
        assert bench.stages == []


async def test_a_flow_that_goes_to_one_bid_is_refused_with_that_bid() -> None:
    async with running() as bench:
        policy = FlowPolicy("video", NODE, 10, TrafficSelector(), Steer(2))
        bench.desired.confirm(bench.desired.set_policies(NODE, [policy]))
        bench.refuse = {p.FLOW_BINDINGS}
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL)))
        await bench.settle()
        assert bench.blamed == [frozenset({2})]
        assert bench.tables == {}


async def test_a_handover_that_a_switch_refuses_leaves_the_old_way_in_force() -> None:
    async with running() as bench:
        before = record(NODE, 1, b1=WIFI)
        bench.committer.submit(bench.change(None, before))
        await bench.settle()
        tables = dict(bench.tables)
        bench.refuse = {p.TUNNEL_TERMINATION}
        bench.committer.submit(bench.change(before, record(NODE, 2, b1=CELL)))
        await bench.settle()
        assert len(bench.failures) == 1
        bench.refuse = set()
        await asyncio.sleep(2 * GRACE)
        await bench.settle()
        assert bench.tables == tables
        node = bench.stored[NODE].node
        assert node is not None
        assert node.record == before


async def test_one_refusal_does_not_hold_up_the_others_of_its_batch() -> None:
    async with running() as bench:
        good, bad = record(NODE, 1, b1=WIFI), record(OTHER, 1, b1=CELL)
        policy = FlowPolicy("video", OTHER, 10, TrafficSelector(), Steer(1))
        bench.desired.confirm(bench.desired.set_policies(OTHER, [policy]))
        bench.refuse = {p.FLOW_BINDINGS}
        bench.committer.submit(bench.change(None, bad))
        bench.committer.submit(bench.change(None, good))
        await bench.settle()
        assert [line for line in bench.log if line.startswith("done")] == ["done 2"]
        assert bench.failures == ["1: RESOURCE_EXHAUSTED table is full"]
        assert bench.agree()
        assert len(bench.of(p.HOME_ADDRESSES)) == 1


async def test_what_cannot_be_stored_is_undone() -> None:
    async with running() as bench:
        bench.store_fault = "disk full"
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await bench.settle()
        assert bench.failures == ["1: disk full"]
        assert bench.tables == {}


async def test_what_the_store_could_not_take_back_is_taken_back_with_the_next_change() -> None:
    async with running() as bench:
        bench.refuse = {p.HOME_ADDRESSES}
        bench.store_fault_after = 1
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await bench.settle()
        assert bench.failures == ["1: RESOURCE_EXHAUSTED table is full"]
        assert bench.stored[NODE].node is not None
        bench.refuse, bench.store_fault_after = set(), None
        bench.committer.submit(bench.change(None, record(OTHER, 1, b1=CELL)))
        await bench.settle()
        assert bench.stored[NODE].node is None
        assert bench.stored[OTHER].node is not None


async def test_what_comes_while_a_batch_waits_for_the_disk_shares_the_next_write_and_commit() -> None:
    async with running() as bench:
        bench.disk.clear()
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await bench.settle()
        for number in range(1, 4):
            bench.committer.submit(bench.change(None, record(Address(bytes(15) + bytes([number])), 1, b1=CELL)))
            await bench.settle()
        assert len(bench.of(p.TUNNELS)) == 1
        assert not [line for line in bench.log if line.startswith("done")]
        bench.log.clear()
        bench.disk.set()
        await bench.settle()
        assert sorted(line for line in bench.log if line.startswith("done")) == ["done 1", "done 2", "done 3", "done 4"]
        assert bench.log.count("store") == 2
        assert bench.log.count("write") == 2  # a new node is two Writes, and so are three of them
        assert bench.agree()


async def test_a_change_that_the_store_will_not_have_takes_no_other_with_it() -> None:
    async with running() as bench:
        bench.gate.clear()
        bench.contradicts = {NODE}
        for node, care_of in ((NODE, WIFI), (OTHER, CELL)):
            bench.committer.submit(bench.change(None, record(node, 1, b1=care_of)))
        bench.gate.set()
        await bench.settle()
        assert "done 2" in bench.log
        assert bench.failures == ["1: contradiction"]
        assert bench.agree()


async def test_a_batch_that_the_disk_refuses_leaves_what_another_node_shares() -> None:
    async with running() as bench:
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await bench.settle()
        bench.store_fault_after = 0
        bench.committer.submit(bench.change(None, record(OTHER, 1, b1=WIFI)))
        await bench.settle()
        assert [line for line in bench.log if line.startswith("done")] == ["done 1"]
        assert bench.failures == ["2: disk full"]
        assert bench.agree()
        assert len(bench.of(p.TUNNELS)) == len(bench.of(p.TUNNEL_TERMINATION)) == 1


async def test_what_the_data_plane_cannot_carry_reaches_no_switch() -> None:
    async with running() as bench:
        at_home = Binding(1, NODE, 60, 1e9, at_home=True)
        bench.committer.submit(bench.change(None, NodeRecord(NODE, HOME_AGENT, 1, (at_home,))))
        await bench.settle()
        assert len(bench.failures) == 1
        assert bench.stages == []


async def test_changes_of_one_node_are_carried_out_one_after_the_other() -> None:
    async with running() as bench:
        first, second = record(NODE, 1, b1=WIFI), record(NODE, 2, b1=WIFI, b2=CELL)
        bench.committer.submit(bench.change(None, first))
        bench.committer.submit(bench.change(first, second))
        await bench.settle()
        assert [line for line in bench.log if line.startswith("done")] == ["done 1", "done 2"]
        assert bench.agree()
        assert len(bench.of(p.TUNNELS)) == 2


async def test_the_old_care_of_address_is_accepted_until_the_grace_period_is_over() -> None:
    async with running() as bench:
        before, after = record(NODE, 1, b1=WIFI), record(NODE, 2, b1=CELL)
        bench.committer.submit(bench.change(None, before))
        await bench.settle()
        bench.committer.submit(bench.change(before, after))
        await bench.settle()
        sources = {entry.match[1] for entry in bench.of(p.TUNNEL_TERMINATION)}
        assert sources == {int.from_bytes(WIFI), int.from_bytes(CELL)}
        await asyncio.sleep(2 * GRACE)
        await bench.settle()
        sources = {entry.match[1] for entry in bench.of(p.TUNNEL_TERMINATION)}
        assert sources == {int.from_bytes(CELL)}
        assert bench.agree()


async def test_grace_periods_end_a_few_batches_at_a_time() -> None:
    async with running() as bench:
        last = None
        for number in range(1, 4 * CLEARED):
            after = record(NODE, number, b1=Address(number.to_bytes(16)))
            bench.committer.submit(bench.change(last, after))
            await bench.settle()
            last = after
        seen = len(bench.stages)
        time.sleep(2 * GRACE)  # noqa: ASYNC251 - so that they are all over at once
        await asyncio.sleep(GRACE)
        await bench.settle()
        gone = [
            sum(op is Op.DELETE and entry.table == p.TUNNEL_TERMINATION for op, entry in stage)
            for stage in bench.stages[seen:]
        ]
        assert max(gone) == CLEARED
        assert len(bench.of(p.TUNNEL_TERMINATION)) == 1
        assert bench.agree()


async def handed_over(bench: Bench) -> NodeRecord:
    """Hand a node over, and let the grace period pass before the committer sees that it is over; return the node's record."""
    before, after = record(NODE, 1, b1=WIFI), record(NODE, 2, b1=CELL)
    bench.committer.submit(bench.change(None, before))
    bench.committer.submit(bench.change(before, after))
    await bench.settle()
    time.sleep(2 * GRACE)  # noqa: ASYNC251 - so that it is over when the next change comes
    return after


async def test_what_is_over_goes_with_the_write_of_the_next_change() -> None:
    async with running() as bench:
        await handed_over(bench)
        seen = len(bench.stages)
        for node in (OTHER, THIRD):
            bench.committer.submit(bench.change(None, record(node, 1, b1=SAT)))
        await bench.settle()
        first, *others = bench.stages[seen:]
        assert {(op, entry.table) for op, entry in first if op is Op.DELETE} == {
            (Op.DELETE, p.SOURCE_BINDINGS),
            (Op.DELETE, p.TUNNEL_TERMINATION),
        }
        assert any(op is Op.INSERT for op, _ in first)
        assert not any(op is Op.DELETE for stage in others for op, _ in stage)
        assert bench.agree()


async def test_what_is_wanted_again_by_the_next_change_is_not_deleted() -> None:
    async with running() as bench:
        after = await handed_over(bench)
        seen = len(bench.stages)
        bench.committer.submit(bench.change(after, record(NODE, 3, b1=WIFI)))
        bench.committer.submit(bench.change(None, record(OTHER, 1, b1=SAT)))
        await bench.settle()
        assert not any(op is Op.DELETE for stage in bench.stages[seen : seen + 1] for op, _ in stage)
        assert int.from_bytes(WIFI) in {entry.match[1] for entry in bench.of(p.TUNNEL_TERMINATION)}
        await asyncio.sleep(2 * GRACE)
        await bench.settle()
        assert {entry.match[1] for entry in bench.of(p.TUNNEL_TERMINATION)} == {
            int.from_bytes(WIFI),
            int.from_bytes(SAT),
        }
        assert bench.agree()


async def test_a_lone_change_does_not_wait_for_what_is_over() -> None:
    async with running() as bench:
        after = await handed_over(bench)
        seen = len(bench.stages)
        bench.committer.submit(bench.change(after, record(NODE, 3, b1=SAT)))
        await bench.settle()
        assert not any(op is Op.DELETE for op, _ in bench.stages[seen])
        await asyncio.sleep(2 * GRACE)
        await bench.settle()
        assert bench.agree()
        assert {entry.match[1] for entry in bench.of(p.TUNNEL_TERMINATION)} == {int.from_bytes(SAT)}


async def test_a_refused_deletion_does_not_fail_the_change_that_it_travelled_with() -> None:
    async with running() as bench:
        await handed_over(bench)
        bench.refuse_deletions = True
        for node in (OTHER, THIRD):
            bench.committer.submit(bench.change(None, record(node, 1, b1=SAT)))
        await bench.settle()
        assert bench.log[-2:] == ["done 3", "done 4"]
        assert bench.failures == []
        assert bench.resyncs == ["a deletion was refused"]


async def test_a_care_of_address_that_comes_back_in_time_stays() -> None:
    async with running() as bench:
        before, after = record(NODE, 1, b1=WIFI), record(NODE, 2, b1=CELL)
        bench.committer.submit(bench.change(None, before))
        bench.committer.submit(bench.change(before, after))
        bench.committer.submit(bench.change(after, before))
        await bench.settle()
        await asyncio.sleep(2 * GRACE)
        await bench.settle()
        assert bench.agree()
        assert {entry.match[1] for entry in bench.of(p.TUNNEL_TERMINATION)} == {int.from_bytes(WIFI)}


async def test_policies_come_into_force_and_are_refused_as_changes_are() -> None:
    async with running() as bench:
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI, b2=CELL)))
        policy = FlowPolicy("video", NODE, 10, TrafficSelector(protocol=17), Steer(2))
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        bench.committer.submit(PolicyJob(NODE, (policy,), outcome))
        assert await outcome is None
        assert len(bench.of(p.FLOW_BINDINGS)) == 1
        bench.refuse = {p.FLOW_BINDINGS}
        outcome = asyncio.get_running_loop().create_future()
        other = FlowPolicy("voice", NODE, 20, TrafficSelector(protocol=6), Steer(1))
        bench.committer.submit(PolicyJob(NODE, (policy, other), outcome))
        assert await outcome == "RESOURCE_EXHAUSTED table is full"
        assert bench.agree()
        assert len(bench.of(p.FLOW_BINDINGS)) == 1


async def test_a_batch_under_way_is_finished_at_a_stop() -> None:
    async with running() as bench:
        bench.committer.submit(bench.change(None, record(NODE, 1, b1=WIFI)))
        await asyncio.sleep(0)
        bench.committer.stop()
    assert bench.log[-1] == "done 1"
    assert bench.agree()


async def test_a_deletion_that_is_refused_has_the_tables_compared() -> None:
    async with running() as bench:
        before, after = record(NODE, 1, b1=WIFI), record(NODE, 2, b1=CELL)
        bench.committer.submit(bench.change(None, before))
        bench.committer.submit(bench.change(before, after))
        await bench.settle()
        bench.refuse_deletions = True
        await asyncio.sleep(2 * GRACE)
        await bench.settle()
        assert set(bench.resyncs) == {"a deletion was refused"}


@pytest.mark.parametrize("when", ["short", "short_after"])
async def test_a_registration_without_quorum_is_refused_and_an_end_is_not(when: str) -> None:
    async with running() as bench:
        before = record(NODE, 1, b1=WIFI)
        bench.committer.submit(bench.change(None, before))
        await bench.settle()
        setattr(bench, when, "1 of 3 anchors, majority needs 2")
        bench.committer.submit(bench.change(before, record(NODE, 2, b1=CELL)))
        await bench.settle()
        assert bench.failures == ["2: 1 of 3 anchors, majority needs 2"]
        assert bench.agree()
        assert {entry.params[1] for entry in bench.of(p.TUNNELS)} == {int.from_bytes(WIFI)}
        bench.committer.submit(bench.change(before, None, Cause.DEREGISTRATION))
        await bench.settle()
        assert bench.log[-1] == "done 3"
        assert bench.of(p.TUNNELS) == []


async def test_what_waits_too_long_is_refused_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "MAX_DELAY", 0.02)
    async with running() as bench:
        bench.gate.clear()
        for number in range(3):
            bench.committer.submit(bench.change(None, record(Address(bytes(15) + bytes([number])), 1, b1=WIFI)))
            await asyncio.sleep(0.03)
        assert len(bench.failures) == 1
        assert "have waited for" in bench.failures[0]
        bench.gate.set()
        await bench.settle()
        assert [line for line in bench.log if line.startswith("done")] == ["done 1", "done 2"]


async def test_a_node_that_asks_without_end_delays_nobody_else() -> None:
    """One change of a node is in a batch: whoever comes later goes with the first of them, not after the last."""
    async with running() as bench:
        bench.gate.clear()
        bench.committer.submit(bench.change(None, record(Address(bytes(15) + b"\1"), 1, b1=WIFI)))
        await bench.settle()
        for sequence in range(20):
            bench.committer.submit(bench.change(None, record(NODE, sequence, b1=WIFI if sequence % 2 else CELL)))
        bench.committer.submit(bench.change(None, record(OTHER, 1, b1=CELL)))
        bench.gate.set()
        for _ in range(10):
            await bench.settle()
        done = [line for line in bench.log if line.startswith("done")]
        assert done[:3] == ["done 1", "done 2", "done 22"]
        assert done[3:] == [f"done {number}" for number in range(3, 22)]
