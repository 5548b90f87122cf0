"""The home agent's engine alone: how fast it takes Binding Updates, whether many bindings slow it down, what one costs."""

import time
import tracemalloc
from collections.abc import Callable

from bench.registry import Result, Results, Settings, bench, in_turns
from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork
from controller.mobility.wire import BindingIdentifier, BindingUpdate, encode_packet

_AGENT = parse_address("2001:db8:0:1::1")
_PREFIX = Prefix.parse("2001:db8:0:1::/64")


def _home(number: int) -> Address:
    return Address(_PREFIX.network[:8] + (0x100000 + number).to_bytes(8))


def _update(number: int, sequence: int, bids: int = 1) -> bytes:
    care_of = Address(bytes.fromhex("20010db800a1") + bytes(2) + (0x100000 + number).to_bytes(8))
    options = tuple(BindingIdentifier(bid, care_of) for bid in range(1, bids + 1))
    return encode_packet(care_of, _AGENT, BindingUpdate(sequence, 0xC000, 900, options), home_address=_home(number))


def engine_with(nodes: int) -> HomeAgent:
    """Return an engine with that many nodes, each with one binding."""
    engine = HomeAgent(HomeAgentConfig((HomeNetwork(_PREFIX, _AGENT, open=True),), max_bindings=1 << 30))
    for number in range(nodes):
        exchange(engine, _update(number, 1))
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


def _refresher(nodes: int, times: int) -> Callable[[], float]:
    """Return what measures refreshes a second with that many nodes registered."""
    engine = engine_with(nodes)
    sequence = 1

    def run() -> float:
        nonlocal sequence
        sequence += 1
        step = max(1, nodes // times)
        packets = [_update(number, sequence) for number in range(0, nodes, step)][:times]
        return _rate(engine, packets)

    return run


@bench("engine.updates")
def updates(settings: Settings) -> Results:
    run = _refresher(2000, settings.amount(2000))
    values = sorted(run() for _ in range(settings.rounds))
    note = "one core: decoded, judged, committed, acknowledged; no store and no switch. No free peer does that as a library"
    return {"engine.updates": Result(values[len(values) // 2], "updates/s", None, None, note)}


@bench("engine.scaling")
def scaling(settings: Settings) -> Results:
    times = settings.amount(1000)
    many, few = _refresher(settings.amount(100_000), times), _refresher(1000, times)
    value, peer = in_turns(many, few, settings.rounds)
    note = f"with {settings.amount(100_000)} nodes registered; a ratio of 1 means that bindings cost no time"
    return {"engine.scaling": Result(value, "updates/s", "itself with 1000 nodes", peer, note)}


@bench("engine.bytes_per_binding")
def bytes_per_binding(settings: Settings) -> Results:
    nodes = settings.amount(20_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        engine = engine_with(nodes)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(1 for _ in engine.records()) == nodes
    note = "one node with one binding, its timers included, as tracemalloc counts"
    return {"engine.bytes_per_binding": Result((after - before) / nodes, "bytes", None, None, note)}
