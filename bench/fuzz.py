"""`python -m bench.fuzz`: a million mutated packets into a home agent that hosts every role; nothing raises, nothing grows.

Most mutations get their checksum made right again, so that they reach the rules behind it. What is proposed is committed or aborted
at random, and time passes. The exit status is 1 when an engine raises or its memory grows beyond the bound.
"""

import argparse
import sys
import time
import tracemalloc
from random import Random

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.flows import FlowSelector, Span
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.security.policy import SecurityContext
from controller.mobility.wire import (
    BindingIdentifier,
    BindingReference,
    BindingUpdate,
    CareOfTestInit,
    FlowIdentification,
    FlowSummary,
    Heartbeat,
    HomeTestInit,
    Message,
    NetworkPrefix,
    NonceIndices,
    RevocationAcknowledgement,
    UnknownMessage,
    encode_packet,
    encode_selector,
    upper_layer_checksum,
)

_HOME = Prefix.parse("2001:db8:0:1::/64")
_AGENT = parse_address("2001:db8:0:1::1")
_NODE = parse_address("2001:db8:0:1::100")
_CARE_OF = [parse_address(f"2001:db8:a{number}::1") for number in range(3)]
_NETWORK = Prefix.parse("2001:db8:1:2::/64")
_BOUND = 64 << 20
"""Octets by which memory may grow: the queues and tables of the engine are bounded far below that."""


def make_engine(seed: int) -> HomeAgent:
    """Return a home agent with every role and small limits."""
    node = NodeProvision(_NODE, mobile_router=True, prefixes=(_NETWORK,))
    config = HomeAgentConfig(
        (HomeNetwork(_HOME, _AGENT, open=True),),
        {_NODE: node},
        max_bindings=1000,
        max_flows=1000,
        correspondent=True,
        heartbeat=True,
        source_rate=1e6,
        source_burst=1000,
        max_sources=1000,
        refresh_requests=True,
    )
    return HomeAgent(config, security=SecurityContext(0.0, Random(seed).randbytes))


def seeds() -> list[bytes]:
    """Return well-formed packets of every kind that a home agent takes."""
    flow = FlowIdentification(
        7, 1, 0, (BindingReference((1,)), encode_selector(FlowSelector(protocol=Span(17, 17), source_ports=Span(1, 9))))
    )
    bids = tuple(BindingIdentifier(number + 1, care_of, number) for number, care_of in enumerate(_CARE_OF))
    messages: list[Message] = [
        BindingUpdate(1, 0xC440, 60, (NetworkPrefix(_NETWORK), *bids, flow)),
        BindingUpdate(1, 0xC400, 60, (*bids, FlowSummary((7, 8)))),
        BindingUpdate(1, 0xC000, 0, (bids[0],)),
        BindingUpdate(1, 0xC000, 0),
        BindingUpdate(1, 0x8000, 60, (bids[0], NonceIndices(1, 1))),
        RevocationAcknowledgement(0, 1),
        Heartbeat(1),
        UnknownMessage(8, bytes(10)),
    ]
    packets = [encode_packet(_CARE_OF[0], _AGENT, one, home_address=_NODE) for one in messages]
    return [*packets, *(encode_packet(_CARE_OF[1], _AGENT, one(bytes(8))) for one in (HomeTestInit, CareOfTestInit))]


def mutated(packet: bytes, random: Random) -> bytes:
    """Return a packet with a few octets changed, cut or repeated; three times of four its checksum is right again."""
    data = bytearray(packet)
    for _ in range(random.randrange(1, 5)):
        match random.randrange(8):
            case 0:
                del data[random.randrange(len(data)) :]
            case 1:
                at = random.randrange(len(data) + 1)
                data[at:at] = random.randbytes(random.choice((1, 2, 8, 16)))
            case _ if data:
                data[random.randrange(len(data))] = random.randrange(256)
        if not data:
            return b""
    if random.random() < 0.25 or len(data) < 64:
        return bytes(data)
    data[4:6] = (len(data) - 40).to_bytes(2)
    start, source = (64, Address(bytes(data[48:64]))) if data[6] == 60 else (40, Address(bytes(data[8:24])))
    if len(data) < start + 8:
        return bytes(data)
    del data[start + (len(data) - start) // 8 * 8 :]
    data[4:6] = (len(data) - 40).to_bytes(2)
    data[start + 1] = ((len(data) - start) // 8 - 1) & 0xFF
    if random.random() < 0.7:
        data[start + 6 : start + 8] = random.randbytes(2)  # a sequence number that may be new
    data[start + 4 : start + 6] = bytes(2)
    value = upper_layer_checksum(source, Address(bytes(data[24:40])), 135, bytes(data[start:]))
    data[start + 4 : start + 6] = value.to_bytes(2)
    return bytes(data)


def fuzz(packets: int, seed: int) -> dict[str, float]:
    """Run; return figures.

    Raises:
        Exception: whatever the engine raises, which is what is looked for.
        MemoryError: it grew beyond the bound.
    """
    random = Random(seed)
    engine, given = make_engine(seed), seeds()
    tracemalloc.start()
    began, now, low = time.perf_counter(), 0.0, 0
    for count in range(packets):
        now += random.random() * 0.01
        engine.receive(mutated(random.choice(given), random), now)
        for transaction in engine.transactions():
            if random.random() < 0.9:
                engine.commit(transaction.number, now)
            else:
                engine.abort(transaction.number, now)
        if (when := engine.next_timer()) is not None and when <= now:
            engine.handle_timer(now)
        engine.outbox()
        engine.link_outbox()
        if count % 1000 == 0:
            engine.events()
            if random.random() < 0.2 and (record := engine.record(_NODE)) is not None and record.bindings:
                engine.revoke(_NODE, None, now)
        if count == min(packets // 10, 50_000):
            low, _ = tracemalloc.get_traced_memory()
    high, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if high - low > _BOUND:
        raise MemoryError(f"memory grew by {high - low} octets; {_BOUND} are the bound")
    took = time.perf_counter() - began
    return {
        "packets": packets,
        "seconds": round(took, 1),
        "accepted": engine.counters["accepted"],
        "malformed": engine.counters["dropped_malformed"],
        "grown_octets": high - low,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(prog="bench.fuzz", description="Mutated packets into a home agent.")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=6275)
    given = parser.parse_args(arguments)
    for name, value in fuzz(given.packets, given.seed).items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
