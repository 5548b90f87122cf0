"""How long to wait before a lost connection is tried again."""

import random
import secrets


class Backoff:
    """Pauses that double with each failure in a row, up to a longest one, each jittered so that many sessions do not come back at once.

    Args:
        first: the longest that the first pause may be, in seconds.
        longest: the longest that any pause may be, in seconds.
        jitter: gives the random numbers.
    """

    def __init__(self, first: float, longest: float, jitter: random.Random | None = None) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter if jitter is not None else secrets.SystemRandom()
        self._failures = 0

    def reset(self) -> None:
        """Begin with short pauses again: it has worked meanwhile."""
        self._failures = 0

    def pause(self) -> float:
        """Take note of a failure, and return how many seconds to wait: from half of what it may be at most."""
        # After 64 doublings even a nanosecond is longer than any pause; the power itself must not grow for ever.
        most = min(self._first * 2 ** min(self._failures, 64), self._longest)
        self._failures += 1
        return self._jitter.uniform(most / 2, most)
