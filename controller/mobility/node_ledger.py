"""What a mobile node knows of its bindings at the home agent, and what it cannot be sure of."""

from collections.abc import Iterable
from typing import Final

from controller.mobility.model import Binding


class Ledger:
    """Acknowledged bindings with their refresh times, and the BIDs about which a message is under way or was lost."""

    def __init__(self) -> None:
        self.bindings: Final[dict[int, Binding]] = {}
        """Acknowledged and not run out, by BID."""
        self.doubtful: Final[set[int]] = set()
        """BIDs that a message named which has not been answered: the home agent may or may not have carried it out."""
        self._refresh_at: Final[dict[int, float]] = {}
        self._told_until: float | None = None

    def tell(self, bids: Iterable[int], until: float) -> None:
        """Note that a message naming these BIDs leaves; what it registers lasts until then at the latest."""
        self.doubtful.update(bids)
        self._told_until = until if self._told_until is None else max(self._told_until, until)

    def may_hold(self, now: float) -> bool:
        """Tell whether the home agent may hold any binding of this node."""
        return self._told_until is not None and now < self._told_until

    def note(self, binding: Binding, refresh_at: float) -> None:
        """Take over an acknowledged binding."""
        self.bindings[binding.bid] = binding
        self._refresh_at[binding.bid] = refresh_at
        self.doubtful.discard(binding.bid)

    def forget(self, bids: Iterable[int]) -> tuple[int, ...]:
        """Drop bindings, and the doubt about them; return those that there were."""
        known = []
        for bid in tuple(bids):
            self.doubtful.discard(bid)
            self._refresh_at.pop(bid, None)
            if self.bindings.pop(bid, None) is not None:
                known.append(bid)
        return tuple(known)

    def forget_all(self) -> tuple[int, ...]:
        """Drop everything: the home agent holds nothing of this node."""
        self.doubtful.clear()
        self._told_until = None
        return self.forget(self.bindings)

    def expire(self, now: float) -> tuple[int, ...]:
        """Drop what has run out; return its BIDs."""
        return self.forget([bid for bid, binding in self.bindings.items() if binding.expires <= now])

    def due(self, now: float) -> frozenset[int]:
        """Return the BIDs whose bindings want a refresh."""
        return frozenset(bid for bid, when in self._refresh_at.items() if when <= now)

    def make_due(self, bids: Iterable[int], now: float) -> None:
        """Ask for a refresh of those bindings now."""
        self._refresh_at.update(dict.fromkeys(set(bids) & self.bindings.keys(), now))

    def next_expiry(self) -> float | None:
        """Return when the first binding runs out."""
        return min((binding.expires for binding in self.bindings.values()), default=None)

    def next_refresh(self) -> float | None:
        """Return when the first binding wants a refresh."""
        return min(self._refresh_at.values(), default=None)
