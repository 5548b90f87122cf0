"""The southbound: an empty switch filled, a full one compared, each beside a bare client in the same run.

The bare client sends serialised messages that it has in memory, and takes what it reads as it comes: no controller can be faster.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from statistics import median

import grpc.aio
from finsy.proto import p4r, p4r_grpc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.registry import Result, Results, Settings, bench
from bench.target import kinds, running
from controller.dataplane.desired import DesiredState
from controller.dataplane.entries import Entry, EntryKey
from controller.dataplane.plans import diff
from controller.garbage import search_in_steps
from controller.mobility.address import Address, parse_address
from controller.mobility.model import Binding, NodeRecord
from controller.southbound.artefacts import Artefacts, load
from controller.southbound.codec import Codec
from controller.southbound.options import CHANNEL_OPTIONS, MemoryElectionIds, SessionOptions, Timeouts
from controller.southbound.session import SwitchSession
from controller.southbound.states import SessionState
from controller.southbound.targets import target

_AGENT = parse_address("2001:db8:0:1::1")
_BATCH = 1000
_IN_FLIGHT = 4
_PATIENT = Timeouts(write=120.0, read=300.0, push=120.0)

Entries = dict[EntryKey, Entry]


def desired_of(nodes: int) -> DesiredState:
    """Return what is wanted of that many nodes with three BIDs each."""
    desired, paths = DesiredState(), dict[Address, int]()
    for number in range(nodes):
        home = Address(_AGENT[:8] + (0x100000 + number).to_bytes(8))
        # A host has two home addresses: there is room for 65 536 care-of addresses, and for twice as many tunnels.
        host = (number // 2).to_bytes(8)
        bindings = tuple(
            Binding(bid, Address(bytes.fromhex(f"20010db800a{bid}0000") + host), 3600, 1e9, bid) for bid in (1, 2, 3)
        )
        numbers = {binding.bid: paths.setdefault(binding.care_of, len(paths) + 1) for binding in bindings}
        desired.restore(NodeRecord(home, _AGENT, 1, bindings), number + 1, numbers)
    return desired


def entries_of(nodes: int) -> Entries:
    """Return every entry of that many nodes with three BIDs each."""
    return dict(desired_of(nodes).desired())


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Entries that do not change (`controller.dataplane.wanted.Wanted`)."""

    everything: Entries

    def entries(self) -> Entries:
        return self.everything

    def parts(self) -> Iterator[Entries]:
        yield self.everything

    @staticmethod
    def watch() -> AbstractContextManager[AbstractSet[EntryKey]]:
        return nullcontext(frozenset())


@dataclass(slots=True)
class Bare:
    """The bare client: what it sends is serialised before the clock starts."""

    artefacts: Artefacts
    arbitration: bytes = b""
    pipeline: bytes = b""
    stages: list[list[bytes]] = field(default_factory=list)

    def prepare(self, entries: Entries) -> None:
        codec = Codec(self.artefacts.info)
        one = p4r.Uint128(low=1)
        head = p4r.WriteRequest(device_id=1, election_id=one).SerializeToString()
        for stage in diff({}, entries):
            writes = [head + codec.updates(stage[start : start + _BATCH]) for start in range(0, len(stage), _BATCH)]
            self.stages.append(writes)
        config = p4r.ForwardingPipelineConfig(p4info=self.artefacts.info, p4_device_config=self.artefacts.config)
        config.cookie.cookie = self.artefacts.cookie
        self.pipeline = p4r.SetForwardingPipelineConfigRequest(
            device_id=1,
            election_id=one,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=config,
        ).SerializeToString()

    async def fill(self, address: str) -> float:
        """Become primary, push, write everything; return how many seconds that took."""
        began = time.perf_counter()
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            stream = p4r_grpc.P4RuntimeStub(channel).StreamChannel()
            update = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=1))
            await stream.write(p4r.StreamMessageRequest(arbitration=update))
            await stream.read()
            push = channel.unary_unary("/p4.v1.P4Runtime/SetForwardingPipelineConfig", None, None)
            await push(self.pipeline)
            write = channel.unary_unary("/p4.v1.P4Runtime/Write", None, None)
            limit = asyncio.Semaphore(_IN_FLIGHT)

            async def send(request: bytes) -> None:
                async with limit:
                    await write(request)

            for stage in self.stages:
                await asyncio.gather(*map(send, stage))
            took = time.perf_counter() - began
            stream.cancel()
        return took

    @staticmethod
    async def read(address: str) -> tuple[int, float]:
        """Read every entry; return how many there were and how many seconds that took."""
        began, count = time.perf_counter(), 0
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            request = p4r.ReadRequest(device_id=1, entities=[p4r.Entity(table_entry=p4r.TableEntry())])
            async for response in p4r_grpc.P4RuntimeStub(channel).Read(request):
                count += sum(1 for _ in response.entities)
        return count, time.perf_counter() - began


def _session(address: str, kind: str, artefacts: Artefacts, entries: Entries) -> SwitchSession:
    options = SessionOptions(
        "s1", address, 1, target(kind), audit_interval=0, pause=0.02, answer_time=30.0, timeouts=_PATIENT
    )
    return SwitchSession(options, artefacts, _Fixed(entries), MemoryElectionIds())


async def _restore(address: str, kind: str, artefacts: Artefacts, entries: Entries) -> float:
    """Let a session fill an empty switch; show how far it is; return how many seconds it took until all was in sync."""
    session = _session(address, kind, artefacts, entries)
    columns = (TextColumn("restore {task.fields[kind]}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        shown = bar.add_task("", total=len(entries), kind=kind)
        began = time.perf_counter()
        session.start()
        waiting = asyncio.create_task(session.wait_for(SessionState.READY))
        while not waiting.done():
            await asyncio.wait([waiting], timeout=0.5)
            bar.update(shown, completed=session.progress[0])
        took = time.perf_counter() - began
        bar.update(shown, completed=len(entries))
    await session.stop()
    return took


Measure = Callable[[str], Awaitable[float]]


async def _turns(kind: str, subject: Measure, peer: Measure, rounds: int) -> tuple[float, float]:
    """Measure both on switches of their own, in turns; return the medians. Garbage is searched for as in the controller's process."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        turns = ((subject, ours), (peer, theirs))
        for measure, found in turns if number % 2 else turns[::-1]:
            async with search_in_steps(), running(kind) as address:
                found.append(await measure(address))
    return median(ours), median(theirs)


def _named(name: str, kind: str) -> str:
    return name if kind == "embedded" else f"{name}_{kind}"


@bench("restore.rate")
def restore(settings: Settings) -> Results:
    """From an empty switch to "in sync"."""
    desired = desired_of(settings.amount(33_334))
    began = time.process_time()
    entries = dict(desired.desired())
    planning = time.process_time() - began
    artefacts = load()
    bare = Bare(artefacts)
    bare.prepare(entries)
    results: Results = {}
    rounds = min(settings.rounds, 3)
    for kind in kinds():

        async def ours(address: str, kind: str = kind) -> float:
            return await _restore(address, kind, artefacts, entries)

        took, floor = asyncio.run(_turns(kind, ours, bare.fill, rounds))
        count = len(entries)
        note = f"{kind} switch, {count} entries, pipeline and comparison included: {took:.1f} s from start to in sync"
        note += f", and {planning:.1f} s of the processor before it to plan them from their bindings"
        results[_named("restore.rate", kind)] = Result(
            count / took, "entries/s", "bare client: serialised requests", count / floor, note
        )
    return results


@bench("audit.rate")
def audit(settings: Settings) -> Results:
    """A full switch compared with what it should hold."""
    entries = entries_of(settings.amount(18_182))
    artefacts = load()
    bare = Bare(artefacts)
    bare.prepare(entries)
    rounds = min(settings.rounds, 5)
    return {_named("audit.rate", kind): asyncio.run(_audit(kind, bare, entries, rounds)) for kind in kinds()}


async def _audit(kind: str, bare: Bare, entries: Entries, rounds: int) -> Result:
    ours: list[float] = []
    theirs: list[float] = []
    async with search_in_steps(), running(kind) as address:
        await bare.fill(address)
        session = _session(address, kind, bare.artefacts, entries)
        session.start()
        await session.wait_for(SessionState.READY)
        for _ in range(rounds):
            began = time.perf_counter()
            drift = await session.audit()
            ours.append(time.perf_counter() - began)
            assert not drift
            assert drift.entries == len(entries)
            count, took = await bare.read(address)
            assert count >= len(entries)
            theirs.append(took)
        await session.stop()
    count = len(entries)
    note = f"{kind} switch, {count} entries read back and compared; a ratio of 0.5 is twice the time of the bare read"
    return Result(count / median(ours), "entries/s", "bare client: read alone", count / median(theirs), note)
