"""A whole controller beside a switch that fails, nodes that never give up, and traffic that notices every wrong way.

The model is kept apart from the controller: what a node was told is accepted is what the tables have to say.
"""

import asyncio
import contextlib
import os
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import grpc.aio
from finsy.proto import p4r

from controller.config import load_settings
from controller.fabric.loader import load_topology, sample_topologies
from controller.mobility.address import Address, format_address, parse_address
from controller.mobility.wire import Status
from controller.mobility.wire.messages import BindingAcknowledgement, BindingUpdate
from controller.mobility.wire.options import BindingIdentifier
from controller.mobility.wire.packet import decode_packet, encode_packet
from controller.service.service import Service
from controller.southbound.artefacts import Artefacts, load
from controller.southbound.errors import SouthboundError
from controller.southbound.states import SessionState
from controller.store import Change, SqliteStore, StoreError
from fault_switch import Machine
from testbed.packets import ethernet, udp
from testbed.settings import ControllerSettings, write_settings
from testbed.tables import Row, TableReader

CORRESPONDENT = parse_address("2001:db8:c::1")
LIFETIME = 3600
GRACE = 0.1
WITHIN = 5.0
"""Seconds in which the tables have to be right again, on a machine that has nothing else to do."""
NODES = 5
LAG = 1.0
"""Seconds for which one of several anchors may follow the others, or be used although it is out of reach (docs/reliability.md)."""

_HOME_AT = 14 + 40 + 8
_STATUS_AT = 14 + 40 + 24 + 6
_AHO = 0xC040
"""Acknowledge, home registration, overwrite: each registration replaces the one before."""

Bindings = dict[int, Address]


def patience() -> float:
    """Return `WITHIN` in the time of this machine: others may be using it."""
    return WITHIN * max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Site:
    """A network: its anchors, and which of their ports lead to the mobile nodes and to the correspondent."""

    topology: str
    anchors: tuple[str, ...]
    access_port: int
    correspondent_port: int
    networks: int
    """How many access networks there are: 2001:db8:a1::/64 and so on."""
    quorum: str = "all"


ONE = Site("three-access", ("s1",), access_port=3, correspondent_port=1, networks=3)
TWO = Site("dual-anchor", ("a1", "a2"), access_port=2, correspondent_port=1, networks=2)


def site_of(seed: int) -> Site:
    """Return the network of a seed: every third one has two anchors, with each quorum in turn."""
    return ONE if seed % 3 else replace(TWO, quorum=("all", "any", "majority")[seed // 3 % 3])


def _number(value: int | tuple[int, int] | None) -> int:
    """Return the value of an exact field."""
    assert isinstance(value, int)
    return value


def _refused(packet: bytes) -> dict[int, int]:
    """Return the BIDs that an acknowledgement refuses, each with its status."""
    message = decode_packet(packet).message
    assert isinstance(message, BindingAcknowledgement)
    options = [option for option in message.options if isinstance(option, BindingIdentifier)]
    return {option.bid: option.status for option in options if option.status >= 128}


def _whereabouts(task: asyncio.Task[Any]) -> str:
    """Return a task's name and the lines at which it waits, outermost first."""
    lines: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            lines.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return f"{task.get_name()}: {' > '.join(lines)}"


@dataclass(slots=True)
class Node:
    """A mobile node: what it was told is in force, and what it is asking for."""

    number: int
    home: Address
    sequence: int = 0
    acked: Bindings = field(default_factory=dict)
    asked: Bindings | None = None
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = -1
    refused: dict[int, int] = field(default_factory=dict)
    """The statuses of BIDs that refuse, in the last answer."""
    acknowledgement: bytes = b""
    """The packet with the last answer."""
    left: dict[bytes, float] = field(default_factory=dict)
    """When it was told that it is not reached there any more."""

    def tell(self, refused: Collection[int] = ()) -> None:
        """Let it know that it has what it asked for, but for some BIDs."""
        assert self.asked is not None
        now = time.monotonic()
        self.left.update(dict.fromkeys(map(bytes, self.acked.values()), now))
        self.acked = {bid: care_of for bid, care_of in self.asked.items() if bid not in refused}

    def may_use(self, care_of: bytes, lag: float) -> bool:
        """Tell whether a packet to this node may be tunnelled there now, or up to `lag` seconds ago."""
        if care_of in self.acked.values() or (self.asked is not None and care_of in self.asked.values()):
            return True
        return lag > 0 and time.monotonic() - self.left.get(care_of, float("-inf")) < lag


class FaultWorld:
    """Use it in an async with statement.

    Args:
        folder: for files; it must exist.
        seed: of everything that is drawn.
        artefacts: the program of its switches; None: ours.
    """

    def __init__(self, folder: Path, seed: int, artefacts: Artefacts | None = None) -> None:
        # Each draws from a source of its own, so that how often one does changes nothing for the others.
        self.random = Random(f"how of {seed}")
        """How a fault happens."""
        self.moves = Random(f"moves of {seed}")
        """What nodes ask for, and when."""
        self.wrong: list[str] = []
        """Packets that went where they must not."""
        self.seen: Counter[str] = Counter()
        self.site = site_of(seed)
        self.topology = load_topology(sample_topologies() / f"{self.site.topology}.yaml")
        self.home_agent = self.topology.home_networks[0].home_agent
        self.machines = {
            name: Machine(
                [one.port for one in self.topology.interfaces if one.node == name and one.port],
                self._out,
                Random(f"{name} of {seed}"),
                self.topology.switches[name].device_id,
            )
            for name in self.site.anchors
        }
        self.clock_jump = 0.0
        self.store_full = False
        prefix = int.from_bytes(self.topology.home_networks[0].prefix.network)
        self.nodes = [Node(n, Address((prefix + 0x10000 + n).to_bytes(16))) for n in range(1, NODES + 1)]
        self._by_home = {node.home: node for node in self.nodes}
        self._folder = folder
        self._busy: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._artefacts = artefacts or load()
        # Transit switches are not there: ports that nobody listens on.
        self._absent: dict[str, socket.socket] = {}
        self._macs = {
            (one.node, one.port): (one.mac.to_bytes(6), self.topology.interface(one.peer).mac.to_bytes(6))
            for one in self.topology.interfaces
            if one.node in self.machines and one.port
        }

    async def __aenter__(self) -> Self:
        servers: dict[str, str] = {}
        for name in self.topology.switches:
            if (machine := self.machines.get(name)) is not None:
                await machine.on()
                await machine.wire.open()
                servers[name] = machine.wire.address
            else:
                absent = self._absent[name] = socket.socket()
                absent.bind(("127.0.0.1", 0))
                servers[name] = f"127.0.0.1:{absent.getsockname()[1]}"
        config = ControllerSettings(
            grace_period=GRACE,
            open_networks=True,
            provision=False,
            quorum=self.site.quorum,
            extra={"audit_interval_s": 0.3, "batch_window_s": 0.002},
        )
        file = write_settings(self._folder, self.topology, servers, "127.0.0.1:0", config)
        self._settings = load_settings(file)
        await self.start_controller()
        self._traffic = asyncio.create_task(self._send_traffic())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in (*self._busy, self._traffic):
            task.cancel()
        await asyncio.gather(*self._busy, self._traffic, return_exceptions=True)
        await self.stop_controller()
        for machine in self.machines.values():
            await machine.off()
            await machine.wire.close()
        for absent in self._absent.values():
            absent.close()
        self._thread.shutdown()

    def victim(self) -> Machine:
        """Return the switch that a fault hits."""
        return self.machines[self.random.choice(sorted(self.machines))]

    # The controller.

    async def start_controller(self) -> None:
        loop = asyncio.get_running_loop()
        in_thread = loop.run_in_executor
        # The wall clock of the store jumps; the engine's does not.
        self.store = await in_thread(
            self._thread, SqliteStore, self._settings.state, lambda: time.time() - time.monotonic() + self.clock_jump
        )
        commit = self.store.commit

        def perhaps(changes: list[Change]) -> None:
            if self.store_full:
                raise StoreError("no space left on device")
            commit(changes)

        self.store.commit = perhaps  # type: ignore[method-assign,assignment]  # only this store's
        # Whoever comes with a lower id than this has been primary long ago.
        for name in self.machines:
            if not await in_thread(self._thread, self.store.election_id, name):
                await in_thread(self._thread, self.store.save_election_id, name, 1000)
        state = await in_thread(self._thread, self.store.load, loop.time())
        self.service = Service(self._settings, self._artefacts, self._thread, self.store, state)
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(self.service.run(self._stop))

    async def stop_controller(self, *, abruptly: bool = False) -> None:
        if abruptly:
            self._running.cancel()
            for task in asyncio.all_tasks():
                if task.get_name() in {*self.topology.switches, "commit", "stop"}:
                    task.cancel()
        self._stop.set()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.service.northbound.stop()
        await asyncio.get_running_loop().run_in_executor(self._thread, self.store.close)

    # Nodes.

    def care_of(self, bid: int, place: int) -> Address:
        return parse_address(f"2001:db8:a{(bid - 1) % self.site.networks + 1}::{place:x}")

    def draw(self, node: Node) -> Bindings:
        """Return what a node might ask for next; places are shared between nodes now and then."""
        bids = self.moves.sample((1, 2, 3), self.moves.randint(0 if node.acked else 1, 3))
        return {bid: self.care_of(bid, self.moves.choice((node.number, 16 * node.number, 99))) for bid in bids}

    def ask(self, node: Node, wanted: Bindings) -> None:
        """Let a node ask until it is told that it has what it wants."""
        task = asyncio.create_task(self._ask(node, wanted))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _ask(self, node: Node, wanted: Bindings) -> None:
        """Ask, and wait twice as long each time (RFC 6275 section 11.8): a home agent drops what comes too often."""
        node.asked = wanted
        if not wanted and not node.acked:
            node.asked = None
            return
        for attempt in count():
            node.sequence += 1
            node.answer.clear()
            name = self.moves.choice(sorted(self.machines))
            with contextlib.suppress(KeyError):  # a switch that is off has no ports
                port = self.site.access_port
                self.machines[name].wires[port].receive(self._update(node, wanted, self._macs[name, port]))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.moves.uniform(0.2, 0.5) * 2 ** min(attempt, 4)):
                    await node.answer.wait()
                    if node.status == Status.MCOA_NOTCOMPLETE:
                        self.seen["accepted in part"] += 1
                    # Nothing is left to remove where an earlier request was carried out and its answer lost.
                    elif node.status < 128 or (node.status == 133 and not wanted):
                        node.tell()
                        node.asked = None
                        self.seen["accepted"] += 1
                        return
                    else:
                        self.seen[f"refused {node.status}"] += 1
                    await asyncio.sleep(0.05)

    def _update(self, node: Node, wanted: Bindings, macs: tuple[bytes, bytes]) -> bytes:
        options = tuple(BindingIdentifier(bid, care_of) for bid, care_of in sorted(wanted.items()))
        source = next(iter(wanted.values())) if wanted else next(iter(node.acked.values()))
        lifetime = LIFETIME // 4 if wanted else 0
        update = BindingUpdate(node.sequence, _AHO if wanted else _AHO & ~0x40, lifetime, options)
        packet = encode_packet(source, self.home_agent, update, home_address=node.home)
        return ethernet(*macs, packet)

    def mischief(self, entries: list[Any]) -> list[Any]:
        """Return updates that delete some of the entries, and add some that are nobody's."""
        spoiled = self.random.sample(entries, min(len(entries), self.random.randint(1, 6)))
        updates = self.deletions(spoiled)
        nobodys = [
            table.preamble.id
            for table in self._artefacts.info.tables
            if table.preamble.alias in {"tunnels", "default_binding", "source_bindings"}
        ]
        for entry in entries:
            if entry.table_id in nobodys and self.random.random() < 0.5:
                update = p4r.Update(type=p4r.Update.INSERT)
                update.entity.table_entry.CopyFrom(entry)
                update.entity.table_entry.ClearField("counter_data")
                update.entity.table_entry.match[0].exact.value = self.random.randrange(2**20, 2**24).to_bytes(3)
                updates.append(update)
        return updates

    def deletions(self, entries: list[Any]) -> list[Any]:
        """Return updates that delete entries of ours."""
        ours = {table.preamble.id for table in self._artefacts.info.tables}
        found = []
        for entry in entries:
            if entry.table_id in ours:
                update = p4r.Update(type=p4r.Update.DELETE)
                key = update.entity.table_entry
                key.table_id, key.priority = entry.table_id, entry.priority
                key.match.extend(entry.match)
                found.append(update)
        return found

    # Traffic.

    async def _send_traffic(self) -> None:
        port = self.site.correspondent_port
        packets = [udp(CORRESPONDENT, node.home, (5, 5), b"x") for node in self.nodes]
        while True:
            for name, machine in self.machines.items():
                wire = machine.wires.get(port)
                if wire is None or not self._is_led_to(name):
                    continue
                for packet in packets:
                    wire.receive(ethernet(*self._macs[name, port], packet))
                    self.seen["sent"] += 1
            await asyncio.sleep(0.004)

    def _is_led_to(self, name: str) -> bool:
        """Tell whether a fabric that notices lost anchors leads traffic to one of several."""
        return len(self.machines) == 1 or self.service._network.anchors.sessions[name].state is SessionState.READY

    def _out(self, _port: int, frame: bytes) -> None:
        if frame[20] == 41:  # IPv6 in IPv6
            self.seen["tunnelled"] += 1
            node, care_of = self._by_home.get(Address(frame[14 + 40 + 24 : 14 + 40 + 40])), frame[38:54]
            if node is None or not node.may_use(care_of, LAG * (len(self.machines) - 1) * patience() / WITHIN):
                where = format_address(Address(care_of))
                self.wrong.append(f"node {node and node.number} got a packet at {where}, but has {node}")
        elif frame[20] == 43:  # a type 2 routing header: an acknowledgement
            node = self._by_home.get(Address(frame[_HOME_AT : _HOME_AT + 16]))
            if node is not None and int.from_bytes(frame[_STATUS_AT + 2 : _STATUS_AT + 4]) == node.sequence:
                node.status, node.acknowledgement = frame[_STATUS_AT], frame[14:]
                node.refused = _refused(node.acknowledgement)
                # From here on, before anything else happens, the node knows.
                if node.status < 128 and node.asked is not None:
                    node.tell(node.refused)
                node.answer.set()

    # What has to hold in the end.

    async def settle(self) -> float:
        """Wait until every node has its answer and the tables say what the nodes know; return how long the tables took.

        Raises:
            AssertionError: they do not in time; with what is wrong.
        """
        until = time.monotonic() + 2 * patience()
        while self._busy:
            assert time.monotonic() < until, self._unanswered()
            await asyncio.sleep(0.01)
        began = time.monotonic()
        until = began + patience()
        problem: str | None = "not looked at"
        while problem is not None:
            assert time.monotonic() < until, problem
            await asyncio.sleep(0.02)
            problem = await self._problem()
        return time.monotonic() - began

    def _unanswered(self) -> str:
        sessions = "; ".join(self._state(name) for name in self.machines)
        waiting = [(node.number, node.sequence, node.status) for node in self.nodes if node.asked is not None]
        ended = repr(self._running.exception()) if self._running.done() else "runs"
        state = f"{sessions}; the controller {ended}; seen {dict(self.seen)}"
        service = self.service
        state += (
            f"; {len(service._committer)} changes wait, "
            f"of {len(service._desired._changes._busy)} nodes changes are pending; {service._network.anchors.unsent} packets found no switch, "
            f"{[session.packets_dropped for session in service._network.anchors.sessions.values()]} no room; {dict(service._engine.counters)}"
        )
        tasks = "\n".join(sorted(map(_whereabouts, asyncio.all_tasks())))
        return f"nodes wait, with sequence number and last status: {waiting}; {state}\n{tasks}"

    def _state(self, name: str) -> str:
        session = self.service._network.anchors.sessions[name]
        return f"{name} is {session.state}: {session.last_error}"

    async def _problem(self) -> str | None:
        for name, machine in self.machines.items():
            session = self.service._network.anchors.sessions[name]
            if session.state is not SessionState.READY:
                return self._state(name)
            try:
                async with TableReader(machine.direct, machine.switch.device_id) as reader:
                    rows = await reader.rows()
                drift = await session.audit(repair=False)
            except (grpc.aio.AioRpcError, SouthboundError) as error:
                return f"{name}: {error}"
            if drift:
                return f"{name}: drift: {drift.describe()}"
            if (wrong := self._wrong_tables(rows)) is not None:
                return f"{name}: {wrong}"
        return self._wrong_store()

    def _wrong_tables(self, rows: list[Row]) -> str | None:
        """Compare the tables, read by another client, with what the nodes know."""
        of = {name: [row for row in rows if row.table == name] for name in {row.table for row in rows}}
        homes = {row.params[0]: _number(row.key[0]) for row in of.get("home_addresses", ())}
        registered = {int.from_bytes(node.home): node.acked for node in self.nodes if node.acked}
        if sorted(homes.values()) != sorted(registered):
            return f"home addresses are {homes}, registered are {registered.keys()}"
        tunnels = {(homes.get(_number(row.key[0])), row.key[1]): row.params[1] for row in of.get("tunnels", ())}
        wanted = {(home, bid): int.from_bytes(at) for home, acked in registered.items() for bid, at in acked.items()}
        if tunnels != wanted:
            return f"tunnels are {tunnels}, registered are {wanted}"
        ends = {row.key[1] for row in of.get("tunnel_termination", ())}
        if ends != set(wanted.values()):
            return f"tunnels end from {ends}, registered are {set(wanted.values())}"
        defaults = {row.key[0] for row in of.get("default_binding", ())}
        return None if defaults == homes.keys() else f"default bindings are those of {defaults}, not of {homes.keys()}"

    def _wrong_store(self) -> str | None:
        with contextlib.closing(sqlite3.connect(f"file:{self._settings.state}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT home_address, bid, care_of FROM bindings").fetchall()
        stored = {(home, bid): care_of for home, bid, care_of in rows}
        wanted = {(bytes(node.home), bid): bytes(at) for node in self.nodes for bid, at in node.acked.items()}
        return None if stored == wanted else f"stored are {stored}, registered are {wanted}"
