"""The home agent's engine alone: how fast it takes Binding Updates, whether many bindings slow it down, what one costs."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.registry import Result, Results, Settings, bench, in_turns
from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork
from controller.mobility.wire import BindingIdentifier, BindingUpdate, encode_packet

_AGENT = parse_address("2001:db8:0:1::1")
_PREFIX = Prefix.parse("2001:db8:0:1::/64")

NODES: Final = 333_334
BIDS: Final = 3
"""Together 1 000 002 bindings."""


def _home(number: int) -> Address:
    return Address(_PREFIX.network[:8] + (0x100000 + number).to_bytes(8))


def _update(number: int, sequence: int, bids: int = 1) -> bytes:
    care_of = Address(bytes.fromhex("20010db800a1") + bytes(2) + (0x100000 + number).to_bytes(8))
    options = tuple(BindingIdentifier(bid, care_of) for bid in range(1, bids + 1))
    return encode_packet(care_of, _AGENT, BindingUpdate(sequence, 0xC000, 900, options), home_address=_home(number))


def engine_with(nodes: int, bids: int = 1) -> HomeAgent:
    """Return an engine with that many nodes, each with as many bindings."""
    engine = HomeAgent(HomeAgentConfig((HomeNetwork(_PREFIX, _AGENT, open=True),), max_bindings=1 << 30))
    for number in range(nodes):
        exchange(engine, _update(number, 1, bids))
    return engine


def exchange(engine: HomeAgent, packet: bytes) -> None:
    """Hand over a Binding Update, commit it, and take the acknowledgement."""
    engine.receive(packet, 0.0)
    for transaction in engine.transactions():
        engine.commit(transaction.number, 0.0)
    engine.outbox()
    engine.events()


def _rate(engine: HomeAgent, packets: list[bytes]) -> float:
    began = time.perf_counter()
    for packet in packets:
        exchange(engine, packet)
    return len(packets) / (time.perf_counter() - began)


def _refresher(nodes: int, times: int, bids: int) -> Callable[[], float]:
    """Return what measures refreshes a second with that many nodes registered, each with so many bindings."""
    engine = engine_with(nodes, bids)
    sequence = 1

    def run() -> float:
        nonlocal sequence
        sequence += 1
        step = max(1, nodes // times)
        packets = [_update(number, sequence, bids) for number in range(0, nodes, step)][:times]
        return _rate(engine, packets)

    return run


@bench("engine.updates")
def updates(settings: Settings) -> Results:
    note = "one core: decoded, judged, committed, acknowledged; no store and no switch. No free peer does that as a library"
    results: Results = {}
    for name, bids in (("engine.updates", 1), ("engine.updates_bu3", BIDS)):
        run = _refresher(2000, settings.amount(2000), bids)
        values = sorted(run() for _ in range(settings.rounds))
        what = f"each with {bids} BID{'s' if bids > 1 else ''}; {note}"
        results[name] = Result(values[len(values) // 2], "updates/s", None, None, what)
    return results


@bench("engine.scaling")
def scaling(settings: Settings) -> Results:
    nodes, times = settings.amount(NODES), settings.amount(1000)
    many, few = _refresher(nodes, times, BIDS), _refresher(1000, times, BIDS)
    value, peer = in_turns(many, few, settings.rounds)
    note = f"with {nodes * BIDS} bindings of {nodes} nodes; a ratio of 1 means that bindings cost no time"
    return {"engine.scaling": Result(value, "updates/s", "itself with 1000 nodes", peer, note)}


@bench("engine.bytes_per_binding")
def bytes_per_binding(settings: Settings) -> Results:
    """Count what the process grows by, as the kernel sees it, in a process of its own: nobody else's garbage is in it."""
    nodes = settings.amount(NODES)
    code = f"from bench.engine import growth; print(growth({nodes}, {BIDS}))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    note = f"{nodes} nodes with {BIDS} bindings each, timers included: growth of the process's resident memory"
    return {"engine.bytes_per_binding": Result(float(output), "bytes", None, None, note)}


def growth(nodes: int, bids: int) -> float:
    """Return by how many octets this process grows for each binding when that many nodes register."""
    exchange(engine_with(1), _update(1, 2))
    before = _resident()
    engine = engine_with(nodes, bids)
    gc.collect()
    grown = _resident() - before
    assert sum(len(record.bindings) for record in engine.records()) == nodes * bids
    return grown / (nodes * bids)


def _resident() -> int:
    """Return the resident memory of this process in octets."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
