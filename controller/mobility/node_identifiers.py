"""Identifiers and cookies of a mobile node's requests: an answer counts when it repeats the one that was sent last."""

from typing import Final

from controller.mobility.security.policy import SecurityContext

COOKIE_OCTETS: Final = 8


class Identifiers:
    """Makes what nobody off the path can guess; without a source of randomness, at least no value twice in a row."""

    def __init__(self, context: SecurityContext | None) -> None:
        self._random: Final = None if context is None else context.random_bytes
        self._count = 0

    def next(self) -> int:
        """Return an identifier of 16 bits (RFC 6275 sections 6.5 and 6.7)."""
        self._count = (self._count + 1) & 0xFFFF
        return self._count if self._random is None else int.from_bytes(self._random(2))

    def cookie(self) -> bytes:
        """Return a cookie of 8 octets (RFC 6275 section 5.2.5).

        Raises:
            RuntimeError: there is no source of randomness, and a cookie that can be guessed proves nothing.
        """
        if self._random is None:
            raise RuntimeError("return routability needs a SecurityContext, for cookies that nobody can guess")
        return self._random(COOKIE_OCTETS)
