"""Protection against replay: timestamps (RFC 4285 section 6) and windows of sequence numbers (RFC 4303 section 3.4.3)."""

from typing import Final

NTP_EPOCH: Final = 2_208_988_800
"""Seconds from 1900, where NTP time begins, to 1970, where Unix time does."""
_SECOND: Final = 1 << 32
_ERA: Final = 1 << 64
_HALF_ERA: Final = 1 << 63


def to_ntp(unix: float) -> int:
    """Return Unix time in seconds as an NTP timestamp: 32 bits of seconds and 32 of fraction."""
    return int((unix + NTP_EPOCH) * _SECOND) % _ERA


def ntp_difference(one: int, other: int) -> float:
    """Return how many seconds an NTP timestamp is after another; eras of 136 years wrap (the next begins in 2036)."""
    return ((one - other + _HALF_ERA) % _ERA - _HALF_ERA) / _SECOND


class TimestampGuard:
    """Accepts the timestamps of one node: near the clock, and each later than all before (RFC 4285 section 6)."""

    __slots__ = ("_last", "_window")

    def __init__(self, window: float) -> None:
        self._window: Final = window
        self._last: int | None = None

    @property
    def last(self) -> int | None:
        """The timestamp that was accepted last; None: none was."""
        return self._last

    def resume(self, last: int) -> None:
        """Take over what an earlier guard accepted last."""
        self._last = last

    def accept(self, timestamp: int, clock: int) -> bool:
        """Tell whether a timestamp is fresh at NTP time `clock`, and remember it if so."""
        if abs(ntp_difference(timestamp, clock)) > self._window:
            return False
        last = self._last
        # What was accepted was near the clock. When it is far ahead of it, the clock was set back while the home agent was down,
        # and the node must not be locked out until it is that late again.
        if last is not None and ntp_difference(last, clock) <= self._window and ntp_difference(timestamp, last) <= 0:
            return False
        self._last = timestamp
        return True


class ReplayWindow:
    """Which sequence numbers of a security association have come, as far back as `size`.

    There is one window for all care-of addresses of a node, and it is a wide one. A window for each source address would let
    packets of a slow link come as late as they like, but ESP in transport mode does not protect the source address: whoever
    records a packet could send it again from an address without a window, and it would count as new. In one window no number
    is ever accepted twice, whichever address it comes from, and 1024 numbers are minutes of signalling: a node sends three Binding
    Updates in a second at most (RFC 6275 section 12), so a packet may come five minutes after the newest one and still count.
    """

    __slots__ = ("_highest", "_mask", "_seen", "_size")

    def __init__(self, size: int) -> None:
        self._size: Final = size
        self._mask: Final = (1 << size) - 1
        self._highest = 0
        self._seen = 0
        """Bit n: the number n before the highest has come."""

    @property
    def highest(self) -> int:
        """The highest number that has come; 0: none has."""
        return self._highest

    def resume(self, highest: int) -> None:
        """Take over from an earlier window: whatever is not beyond its highest number counts as seen."""
        self._highest = highest
        self._seen = self._mask

    def is_fresh(self, sequence: int) -> bool:
        """Tell whether a packet with that number may be new. Asked before its integrity is known: nothing changes."""
        if not self._size:
            return True
        if not sequence:
            return False  # RFC 4303 section 3.3.3: the first is 1
        behind = self._highest - sequence
        return behind < 0 or (behind < self._size and not self._seen >> behind & 1)

    def note(self, sequence: int) -> None:
        """Remember the number of a packet whose integrity was verified."""
        if not self._size:
            return
        ahead = sequence - self._highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
            return
        # A number far ahead empties the window; shifting by the difference could take gigabytes.
        self._seen = (self._seen << ahead if ahead < self._size else 0) & self._mask | 1
        self._highest = sequence
