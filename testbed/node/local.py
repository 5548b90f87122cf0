"""The node's own addresses: by which BID what comes for each of them came, and for how long an address that is gone still counts."""

from collections.abc import Mapping
from typing import Final

from controller.mobility.address import Address

LINGER: Final = 2.0
"""Seconds for which packets to an address that is gone are still taken: what is under way arrives."""


class LocalAddresses:
    """Which address belongs to which BID.

    | event | an address |
    |---|---|
    | the kernel has it, usable | is the node's |
    | it is no longer usable | is the node's for `LINGER` seconds from then on, whatever happens meanwhile to others |
    | it is usable again | is the node's, and when it goes again, its time begins anew |
    """

    def __init__(self) -> None:
        self._usable: dict[Address, int] = {}
        self._gone: dict[Address, tuple[int, float]] = {}

    def set(self, usable: Mapping[Address, int], now: float) -> None:
        """Take note of the usable addresses, with the BID of each; those that were, and are not among them, are going.

        Args:
            usable: all of them.
            now: seconds of the node's clock.
        """
        known = {address: one for address, one in self._gone.items() if one[1] > now}
        known |= {address: (bid, now + LINGER) for address, bid in self._usable.items()}
        self._gone = {address: one for address, one in known.items() if address not in usable}
        self._usable = dict(usable)

    def forget(self, address: Address) -> None:
        """Take nothing more for an address."""
        self._usable.pop(address, None)
        self._gone.pop(address, None)

    def bid_of(self, address: Address, now: float) -> int | None:
        """Return the BID of an address of the node's; None: it is none."""
        bid = self._usable.get(address)
        if bid is None and (gone := self._gone.get(address)) is not None and now < gone[1]:
            return gone[0]
        return bid
