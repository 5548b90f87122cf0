"""The nonces of a correspondent: a new one every half minute, each good for four (RFC 6275 section 5.2.2)."""

from collections import deque
from collections.abc import Callable
from typing import Final

from controller.mobility.return_routability import MAX_NONCE_LIFETIME
from controller.values import value

NONCE_OCTETS: Final = 8
ROTATION: Final = 30.0
"""Seconds after which a new nonce is made."""
KEPT: Final = 8
"""Nonces that are remembered: with their rotation, exactly the longest time that one is good."""


@value
class _Nonce:
    index: int
    made: float
    octets: bytes


class Nonces:
    """Nonces by index. One is made when it is asked for and the last one is too old, so an idle node makes none."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes: Final = random_bytes
        self._nonces: Final[deque[_Nonce]] = deque(maxlen=KEPT)

    def current(self, now: float) -> tuple[int, bytes]:
        """Return index (0 to 65535) and octets of the nonce for a token that is handed out now."""
        newest = self._nonces[-1] if self._nonces else None
        if newest is None or now - newest.made >= ROTATION:
            index = 1 if newest is None else (newest.index + 1) & 0xFFFF
            newest = _Nonce(index, now, self._random_bytes(NONCE_OCTETS))
            self._nonces.append(newest)
        return newest.index, newest.octets

    def find(self, index: int, now: float) -> bytes | None:
        """Return the octets of a nonce that is still good, None when there is none."""
        for nonce in self._nonces:
            if nonce.index == index and now - nonce.made <= MAX_NONCE_LIFETIME:
                return nonce.octets
        return None
