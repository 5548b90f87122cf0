"""How long home prefixes last. A prefix may be deprecated, then invalid; an operator may change that at any time."""

from collections.abc import Iterable
from typing import Final

from controller.mobility.address import Prefix
from controller.mobility.provision import HomeNetwork

Until = tuple[float | None, float | None]
"""Until when a prefix is valid, and preferred; None: for ever."""
_FOR_EVER: Final[Until] = (None, None)


class PrefixTimes:
    """The lifetimes of home prefixes, on the engine's clock."""

    def __init__(self, networks: Iterable[HomeNetwork]) -> None:
        self._until: Final[dict[Prefix, Until]] = {}
        for network in networks:
            self.set(network.prefix, network.valid_until, network.preferred_until)

    def set(self, prefix: Prefix, valid_until: float | None, preferred_until: float | None) -> None:
        """Change the lifetimes of a prefix."""
        if (valid_until, preferred_until) == _FOR_EVER:
            self._until.pop(prefix, None)
        else:
            self._until[prefix] = (valid_until, preferred_until)

    def __bool__(self) -> bool:
        """Tell whether any prefix does not last for ever."""
        return bool(self._until)

    def until(self, prefix: Prefix) -> Until:
        """Return until when a prefix is valid, and preferred."""
        return self._until.get(prefix, _FOR_EVER)

    def left(self, prefix: Prefix, now: float) -> Until:
        """Return the seconds for which a prefix is still valid, and preferred; 0 when that is over."""
        if not self._until:
            return _FOR_EVER
        valid, preferred = self.until(prefix)
        return (
            None if valid is None else max(0.0, valid - now),
            None if preferred is None else max(0.0, preferred - now),
        )
