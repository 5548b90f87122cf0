"""By which way each switch delivers on a home link.

A binding at home (RFC 5648 section 5.6) is one entry for all anchors, but each has a port of its own on the link, or none. So the
planner names the link by its home agent in the place of port and source, and this module puts in what holds for one switch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Update
from controller.dataplane.plans import Stage


@dataclass(frozen=True, slots=True)
class Door:
    """Where a switch sends frames for the stations of a home link."""

    port: int
    source_mac: int
    """Of that port."""
    destination_mac: int | None = None
    """Of the next hop, on a switch that is not on the link itself; None: the station's own."""


Doors: TypeAlias = Mapping[int, Door]
"""By home agent address, as a number."""


def home_link_entry(node_id: int, bid: int, home_agent: int, station: int) -> Entry:
    """Return the tunnel entry of a binding at home, not yet for any switch.

    Args:
        node_id: the node's number.
        bid: the binding's.
        home_agent: address of the home agent on the link, as a number.
        station: link-layer address of the node there, as a number.
    """
    return Entry(p.TUNNELS, (node_id, bid), p.HOME_LINK, (home_agent, 0, station))


def _through(entry: Entry, doors: Doors) -> Entry:
    """Return an entry as a switch with these doors has it; without a way to the link it drops."""
    home_agent, _, station = entry.params
    door = doors.get(home_agent)
    if door is None:
        return Entry(entry.table, entry.match, p.DROP_TUNNEL)
    destination = station if door.destination_mac is None else door.destination_mac
    return Entry(entry.table, entry.match, p.HOME_LINK, (door.port, door.source_mac, destination))


def localise(entries: Mapping[EntryKey, Entry], doors: Doors) -> dict[EntryKey, Entry]:
    """Return entries as a switch with these doors has them."""
    return {key: _through(entry, doors) if entry.action == p.HOME_LINK else entry for key, entry in entries.items()}


def localise_stage(stage: Stage, doors: Doors) -> Stage:
    """Return updates as a switch with these doors gets them."""
    if all(update.entry.action != p.HOME_LINK for update in stage):
        return stage  # as nearly always
    return tuple(
        Update(op, _through(entry, doors)) if entry.action == p.HOME_LINK else Update(op, entry) for op, entry in stage
    )
