"""Path preferences: the operator's order of a node's BIDs, in place of the node's own (BID-PRI, RFC 6089 section 4.1).

To the data plane a preference is a row of policies that take what nothing else takes, one for each BID, the best first: while a
BID is not registered the next one counts, and where none is registered the node's own order does. Names with a slash are
nobody else's, and their priorities come after those that an operator may give.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from controller.dataplane.flows import LAST_PRIORITY
from controller.mobility.address import Address, format_address, parse_address
from controller.mobility.flows import FlowPolicy, Steer, TrafficSelector
from controller.store import Document, StoreError

KIND: Final = "preference"
"""Of the documents in the store; the key is the home address."""

Preferences = Mapping[Address, tuple[int, ...]]
"""BIDs by home address, the best first."""


def as_policies(home_address: Address, bids: Sequence[int]) -> tuple[FlowPolicy, ...]:
    """Return what a preference is to the data plane.

    Args:
        home_address: whose.
        bids: the best first; at most `MAX_PREFERRED`.
    """
    return tuple(
        FlowPolicy(f"preference/{bid}", home_address, priority, TrafficSelector(), Steer(bid), fallback=True)
        for priority, bid in enumerate(bids, start=LAST_PRIORITY + 1)
    )


def stored(documents: Iterable[Document]) -> dict[Address, tuple[int, ...]]:
    """Return the preferences that a store has.

    Raises:
        StoreError: one is damaged.
    """
    found: dict[Address, tuple[int, ...]] = {}
    for document in documents:
        if document.kind == KIND:
            try:
                found[parse_address(document.key)] = tuple(map(int, json.loads(document.body)["bids"]))
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(f"the preference of {document.key} is damaged: {error}") from error
    return found


def with_preferences(policies: Iterable[FlowPolicy], documents: Iterable[Document]) -> dict[Address, list[FlowPolicy]]:
    """Return the policies of a store by home address, with those that the preferences in it stand for.

    Raises:
        StoreError: a preference is damaged.
    """
    found: dict[Address, list[FlowPolicy]] = {}
    for policy in policies:
        found.setdefault(policy.home_address, []).append(policy)
    for home_address, bids in stored(documents).items():
        found.setdefault(home_address, []).extend(as_policies(home_address, bids))
    return found


def document(home_address: Address, bids: Sequence[int]) -> Document:
    """Return what a store keeps of a preference."""
    return Document(KIND, format_address(home_address), json.dumps({"bids": list(bids)}))
