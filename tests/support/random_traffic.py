"""Random tables and random packets: what a differential run sends through two switches."""

from collections.abc import Iterator
from random import Random
from typing import Any

from cases import all_cases
from controller.dataplane.entries import Entry, Range, Ternary
from controller.dataplane.pipeline import BUCKETS
from frames import (
    CELLULAR_COA,
    CN,
    CN_MAC,
    HA,
    HOA,
    NODE,
    OTHER_COA,
    OTHER_HOA,
    OTHER_NODE,
    TCP,
    UDP,
    WIFI_COA,
    IPv6,
    Raw,
    node_entries,
    number,
    static_entries,
    to_switch,
)

PORTS = (1, 2, 3, 4)
_ADDRESSES = (
    CN,
    HA,
    HOA,
    OTHER_HOA,
    WIFI_COA,
    CELLULAR_COA,
    OTHER_COA,
    "2001:db8:77::9",
    "2001:db8:dead::1",
    "fe80::1",
    "ff02::1",
    "::",
)
_SHORTEST_TAGGED = 20
_MTUS = (100, 500, 1400, 65495)


def tables(random: Random) -> list[Entry]:
    """Return entries that hang together, most of them, with some left out and some changed."""
    entries = {entry.key: entry for entry in (*static_entries(), *node_entries(), *_flows(random), *_several(random))}
    for key in random.sample(list(entries), random.randint(0, 4)):
        del entries[key]
    return list(entries.values())


def _several(random: Random) -> Iterator[Entry]:
    yield Entry("multicast_groups", (5,), "copy", (1, 2))
    yield from (Entry("balancers", (9, bucket), "choose", (random.choice((1, 1, 2, 3)),)) for bucket in range(BUCKETS))
    for node in (NODE, OTHER_NODE):
        action = random.choice(
            (("steer", (1,)), ("steer", (2,)), ("balance", (9,)), ("replicate", (5,)), ("discard", ()))
        )
        yield Entry("default_binding", (node,), *action)
    for bid, care_of in ((1, WIFI_COA), (2, CELLULAR_COA)):
        ends = (1, number(random.choice((care_of, CELLULAR_COA, CN))), random.choice(_MTUS))
        yield Entry("tunnels", (NODE, bid), "encap_ipv6", ends)


def _flows(random: Random) -> Iterator[Entry]:
    """Yield flow bindings of all shapes. Priorities differ: of equal ones a switch may take either."""
    for priority in random.sample(range(1, 1000), random.randint(0, 20)):
        match = (
            random.choice((NODE, OTHER_NODE)),
            _maybe(random, _prefix(random)),
            _maybe(random, _prefix(random)),
            _maybe(random, Ternary(random.choice((6, 17, 50, 58)), 0xFF)),
            _maybe(random, Range(*sorted(random.sample(range(1, 40), 2)))),
            _maybe(random, Range(*sorted(random.sample(range(1, 40), 2)))),
            _maybe(random, Ternary(random.randrange(64) << 2, 0xFC)),
            _maybe(random, Ternary(random.randrange(4), 0xFFFFF)),
            None,
            _maybe(random, Ternary(random.randrange(2), 1)),
        )
        actions: tuple[tuple[str, tuple[int, ...]], ...] = (
            ("steer_flow", (1,)),
            ("steer_flow", (2,)),
            ("drop_flow", ()),
            ("balance_flow", (9,)),
            ("replicate_flow", (5,)),
        )
        yield Entry("flow_bindings", match, *random.choice(actions), priority)


def _maybe(random: Random, match: Any) -> Any:
    return match if random.random() < 0.3 else None


def _prefix(random: Random) -> Ternary:
    length = random.choice((16, 32, 64, 120, 128))
    mask = (1 << 128) - (1 << (128 - length))
    return Ternary(number(random.choice(_ADDRESSES)) & mask, mask)


def frames(random: Random) -> Iterator[tuple[int, bytes]]:
    """Yield ports and frames without end: good packets, tunnels, those of the cases, and all of them damaged."""
    known = [frame for case in all_cases() for _, frame in case.send if len(frame) < 2000]
    while True:
        kind = random.random()
        frame = random.choice(known) if kind < 0.4 else to_switch(_packet(random, 1 if kind < 0.7 else 0), CN_MAC)
        if random.random() < 0.3:
            frame = _damaged(random, frame)
        port = random.choice(PORTS)
        # A Linux wire takes the tag out of a frame, and loses one with less than two octets behind it.
        if not (frame[12:14] == b"\x81\x00" and len(frame) < _SHORTEST_TAGGED):
            yield port, frame


def _packet(random: Random, tunnels: int) -> Any:
    packet = IPv6(
        src=random.choice(_ADDRESSES),
        dst=random.choice(_ADDRESSES),
        hlim=random.choice((0, 1, 2, 64, 255)),
        tc=random.randrange(256),
        fl=random.randrange(4),
    )
    if tunnels:
        outer = IPv6(src=random.choice((WIFI_COA, CELLULAR_COA, OTHER_COA, CN)), dst=HA, tc=random.randrange(4))
        return outer / _packet(random, tunnels - 1)
    upper = random.choice((UDP, TCP))(sport=random.randrange(40), dport=random.randrange(40))
    return packet / upper / Raw(random.randbytes(random.choice((0, 1, 30, 400))))


def _damaged(random: Random, frame: bytes) -> bytes:
    changed = bytearray(frame)
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(12, len(changed))] = random.choice(
            (0, 1, 4, 6, 41, 43, 44, 58, 60, 135, 255, random.randrange(256))
        )
    return bytes(changed[: random.randint(14, len(changed))] if random.random() < 0.2 else changed)
