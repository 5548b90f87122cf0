"""Who may do what: from a request's token to an identity with a role, within a rate."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.northbound.tokens import Role, TokenFile

_MAX_BUCKETS: Final = 4096
"""Identities whose rate is remembered; more than there can be tokens."""


class AccessError(Exception):
    """A request that is turned away before anything looks at it.

    Attributes:
        status: of the answer: 401, 403 or 429.
        retry_after: whole seconds after which it may be let in; None: never as it is.
    """

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks."""

    name: str
    """Of the token; "anonymous" without one."""
    role: Role
    key: str
    """Id of the token; empty without one."""


ANONYMOUS: Final = "anonymous"


@dataclass(slots=True)
class _Bucket:
    level: float
    then: float


class RateLimit:
    """A token bucket for each identity.

    Args:
        rate: requests a second; 0: as many as come.
        burst: requests at once.
        clock: seconds of a clock that does not run backwards.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._clock: Final = clock
        self._buckets: Final[OrderedDict[str, _Bucket]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one request; return 0 when it is within the rate, else after how many seconds the next one is."""
        if not self._rate:
            return 0.0
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = _Bucket(self._burst, now)
        self._buckets.move_to_end(key)
        bucket.level = min(self._burst, bucket.level + (now - bucket.then) * self._rate)
        bucket.then = now
        if bucket.level < 1:
            return (1 - bucket.level) / self._rate
        bucket.level -= 1
        return 0.0


class Access:
    """Lets requests in.

    Args:
        tokens: the tokens that are good; None: there are none.
        anonymous: what a request without token may do; None: nothing.
        limit: how many requests each token may make.
        clock: wall time, seconds since 1970.
    """

    def __init__(
        self,
        tokens: TokenFile | None = None,
        *,
        anonymous: Role | None = None,
        limit: RateLimit | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tokens: Final = tokens
        self._anonymous: Final = anonymous
        self._limit: Final = limit or RateLimit(0, 1)
        self._clock: Final = clock

    def identify(self, authorization: str | None) -> Identity:
        """Return who asks.

        Args:
            authorization: the header of that name; None: there was none.

        Raises:
            AccessError: nobody whom we know, or too often.
        """
        if authorization is None:
            if self._anonymous is None:
                raise AccessError(
                    401,
                    "a token is needed: make one with `mcoa token create` and send it as Authorization: Bearer TOKEN",
                )
            identity = Identity(ANONYMOUS, self._anonymous, "")
        else:
            scheme, _, credentials = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise AccessError(401, "this way to log in is not known here: send Authorization: Bearer TOKEN")
            identity = self.authenticate(credentials.strip())
        self.admit(identity)
        return identity

    def authenticate(self, text: str) -> Identity:
        """Return whose token it is.

        Raises:
            AccessError: it is nobody's, or has expired.
        """
        token = self.tokens.find(text) if self.tokens is not None else None
        if token is None:
            raise AccessError(401, "the token is not known: it was never made here, or it was revoked")
        if token.expires is not None and token.expires <= self._clock():
            raise AccessError(401, f"the token {token.name!r} has expired: make a new one with `mcoa token create`")
        return Identity(token.name, token.role, token.id)

    def still_good(self, identity: Identity) -> bool:
        """Tell whether the token of an identity has been neither revoked nor outlived."""
        if not identity.key:
            return self._anonymous is not None
        token = self.tokens.current().get(identity.key) if self.tokens is not None else None
        return token is not None and (token.expires is None or token.expires > self._clock())

    def admit(self, identity: Identity) -> None:
        """Count a request.

        Raises:
            AccessError: one too many.
        """
        wait = self._limit.take(identity.key or ANONYMOUS)
        if wait:
            raise AccessError(429, "too many requests with this token: slow down", max(1, round(wait + 0.5)))
