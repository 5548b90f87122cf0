"""How long packets to care-of addresses may be, as routers on the way have said (RFC 2473 section 7.1, RFC 8201).

What is learnt is forgotten after a while, so that a path which has become wider is found. Whoever drives the engine hears of
each change, as switches go by it too; so that nobody can keep them busy with forged errors, there is a rate for that.
"""

from collections import deque
from typing import Final

from controller.mobility.address import Address
from controller.mobility.timing import TokenBucket
from controller.mobility.wire.packet import HEADER_LENGTH, MINIMUM_MTU

LINK_MTU: Final = 1500
"""Octets: what a path takes of which nothing else is known."""
MTU_AGE: Final = 600.0
"""Seconds after which a larger packet may be tried again (RFC 8201 section 4)."""
LEARNING_RATE: Final = 100.0
"""Errors a second that are believed: with their age that also bounds how many paths are known."""
LEARNING_BURST: Final = 200
"""How many of them at once."""


class PathMtus:
    """The paths of which something is known, by care-of address."""

    def __init__(self) -> None:
        self._known: Final[dict[Address, tuple[int, float]]] = {}
        # In the order of their ends, as all last equally long; what was learnt again since, or forgotten, is skipped.
        self._ends: Final[deque[tuple[float, Address]]] = deque()
        self._changed: Final[dict[Address, None]] = {}
        self._bucket: Final = TokenBucket(LEARNING_RATE, LEARNING_BURST)

    def __bool__(self) -> bool:
        """Tell whether anything is known."""
        return bool(self._known)

    def inside(self, care_of: Address) -> int:
        """Return how long a packet may be inside of the tunnel to a care-of address, in octets."""
        learnt = self.learnt(care_of)
        return LINK_MTU - HEADER_LENGTH if learnt is None else learnt

    def learnt(self, care_of: Address) -> int | None:
        """Return the same where it was learnt; None: nothing is known of the path."""
        known = self._known.get(care_of)
        return None if known is None else known[0] - HEADER_LENGTH

    def learn(self, care_of: Address, error: bytes, now: float) -> bool:
        """Take in a packet too big message about a packet in the tunnel to a care-of address; tell whether it is believed.

        Args:
            care_of: where the tunnel ends.
            error: the ICMPv6 message, with as much as the quoted packet's IPv6 header at least.
            now: seconds of the engine's clock.
        """
        mtu, quoted = int.from_bytes(error[4:8]), HEADER_LENGTH + int.from_bytes(error[12:14])
        if quoted <= mtu or not self._bucket.take(now):
            return False  # that packet was not too big, or there are too many of these
        self.handle_timer(now)
        known = self._known.get(care_of)
        # RFC 8201 section 4: never less than what every link carries, and never more because of an error.
        value = max(MINIMUM_MTU, min(mtu, LINK_MTU if known is None else known[0]))
        if known is None or known[0] != value:
            self._changed[care_of] = None
        self._known[care_of] = value, now + MTU_AGE
        self._ends.append((now + MTU_AGE, care_of))
        return True

    def forget(self, care_of: Address) -> None:
        """Know nothing of a path any more."""
        if self._known.pop(care_of, None) is not None:
            self._changed[care_of] = None

    def changes(self) -> list[Address]:
        """Return the care-of addresses to which something else is known than at the last call."""
        changed = list(self._changed)
        self._changed.clear()
        return changed

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        while self._ends and not self._is_current(*self._ends[0]):
            self._ends.popleft()
        return self._ends[0][0] if self._ends else None

    def handle_timer(self, now: float) -> None:
        """Forget what has had its time."""
        while (when := self.next_timer()) is not None and when <= now:
            self.forget(self._ends[0][1])

    def _is_current(self, when: float, care_of: Address) -> bool:
        known = self._known.get(care_of)
        return known is not None and known[1] == when
