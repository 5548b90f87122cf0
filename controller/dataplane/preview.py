"""What a change would write, without making it."""

from typing import Final

from controller.dataplane.entries import Update
from controller.dataplane.ids import Ids
from controller.dataplane.ledger import Ledger
from controller.dataplane.nodes import NodeState, wanted_by_others
from controller.dataplane.plans import plan
from controller.mobility.address import Address

_PREVIEW: Final = "preview"
"""Holds numbers for as long as it takes to look what a change would write."""


def preview(home_address: Address, left: NodeState, to: NodeState, ids: Ids, ledger: Ledger) -> tuple[Update, ...]:
    """Return what bringing a node from one state into another would write, without what other nodes want too.

    Raises:
        OutOfIdsError: no number is left for what it needs.
    """
    things = to.shared()
    try:
        for thing in things:  # only what is held has a number
            ids.hold(thing, _PREVIEW)
        old, new = left.entries(ids), to.entries(ids)
        others = wanted_by_others({*left.shared(), *things}, home_address, ids)
    finally:
        for thing in things:
            ids.drop(thing, _PREVIEW)
    there = ledger.in_force(others)
    before = {key: entry for key, entry in old.items() if key in new or key not in others}
    after = {key: entry for key, entry in new.items() if key in old or key not in there}
    return tuple(plan(before, after, grace=False).updates())
