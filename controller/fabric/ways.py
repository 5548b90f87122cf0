"""Next hops by number: what the routes of a switch lead to.

A next hop that is the only one, and what its port is linked to, has the number of the port. Several on paths of equal cost share a
number above those of ports, and so has a router that is reached across a home link, one for each end that destinations are reached by (`Destination.end`), whatever works: so when one of them fails, what stands under that
number changes, and no route does. Each of them has its share of a flow's hash (`dealt`), so that nobody else's flows move.
"""

from dataclasses import dataclass
from typing import Final

from controller.dataplane.pipeline import PATH_BUCKETS
from controller.dataplane.ways import dealt
from controller.fabric.paths import NO_OUTAGE, NextHop, Outage, destinations, neighbours_of
from controller.fabric.topology import MAX_PORT, Topology
from controller.mobility.address import Prefix

FIRST_SET: Final = MAX_PORT + 1
"""The first number of several next hops."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Where a switch sends packets."""

    routes: dict[Prefix, int]
    """By destination, the number of its next hop, or of several."""
    next_hops: dict[int, tuple[NextHop, ...]]
    """By number: who has each bucket of a flow's hash; one alone has it all."""


def ways(topology: Topology, switch: str, outage: Outage = NO_OUTAGE) -> Ways:
    """Return where a switch sends packets.

    Raises:
        NoPathError: a destination is out of reach although everything works.
        KeyError: there is no such switch.
    """
    known = destinations(topology, switch, outage)
    numbers = {end: FIRST_SET + position for position, end in enumerate(dict.fromkeys(one.end for one in known))}
    # Of the destinations with one end, some may be cut off by themselves: the others say what works.
    now = {one.end: one.now for one in known if one.now is not None}
    next_hops: dict[int, tuple[NextHop, ...]] = {hop.port: (hop,) for hop in neighbours_of(topology, switch)}
    routes: dict[Prefix, int] = {}
    for one in known:
        group = one.whole if one.now is None else one.now
        if len(one.whole) == 1 and next_hops.get(group[0].port) == group:
            routes[one.prefix] = group[0].port
            continue
        number = routes[one.prefix] = numbers[one.end]
        if number not in next_hops:
            next_hops[number] = _shared(one.whole, now.get(one.end, one.whole))
    return Ways(routes, next_hops)


def _shared(whole: tuple[NextHop, ...], now: tuple[NextHop, ...]) -> tuple[NextHop, ...]:
    """Return who has each bucket; those of who is away are with the others."""
    if len(now) == 1:
        return now
    every = sorted({*whole, *now}, key=lambda hop: hop.place)
    return dealt([(hop, 1) for hop in every], now, PATH_BUCKETS)
