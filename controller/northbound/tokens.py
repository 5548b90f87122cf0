"""Bearer tokens: a file that holds their hashes, written by ``mcoa token`` and read by the controller while it runs.

A token is ``mcoa_<id>_<secret>``. The secret has 256 random bits, so one SHA-256 of it is as good as a slow hash would be, and
costs a request nothing.
"""

import fcntl
import hashlib
import hmac
import json
import os
import pwd
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

MAX_TOKENS: Final = 1000
"""So many a file may hold."""
_PREFIX: Final = "mcoa"
_VERSION: Final = 1
_RECHECK: Final = 0.25
"""Seconds after which the file is looked at again: a token that was revoked is refused by then."""

WallClock: TypeAlias = Callable[[], float]


class TokenError(ValueError):
    """A token file cannot be used, or a token not be made. One line: what, where, what to do."""


class Role(StrEnum):
    """What a token is good for; each may do what those before it may."""

    VIEWER = "viewer"
    """See everything but keys and the audit log."""
    OPERATOR = "operator"
    """Steer traffic: policies, preferences, revocations, draining, drills."""
    ADMIN = "admin"
    """Say whom the home agent serves, and read the audit log."""

    def includes(self, other: "Role") -> bool:
        """Tell whether whoever has this role may do what that one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: not itself."""

    id: str
    name: str
    """Whose it is; unique in a file. It stands in the audit log."""
    role: Role
    digest: str
    """SHA-256 of the secret, in hexadecimal."""
    created: float
    """Seconds since 1970."""
    expires: float | None = None
    """Seconds since 1970; None: never."""


class TokenFile:
    """The tokens of one controller.

    Args:
        path: of the file; it need not exist.
        clock: wall time in seconds since 1970.
    """

    def __init__(self, path: Path, clock: WallClock = time.time) -> None:
        self.path: Final = path
        self._clock: Final = clock
        self._tokens: dict[str, Token] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._checked = float("-inf")
        self.error: str | None = None
        """Why the file could not be read when it changed; the tokens of before stay good."""

    def create(self, name: str, role: Role, lifetime: float | None = None) -> str:
        """Make a token and return it: this is the only time that it is seen.

        Args:
            name: whose it is.
            role: what it is good for.
            lifetime: seconds; None: for ever.

        Raises:
            TokenError: the name is taken, or the file cannot be read or written.
        """
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        token = Token(
            secrets.token_hex(4),
            name,
            role,
            _digest(secret),
            round(now, 3),
            None if lifetime is None else now + lifetime,
        )
        with self._locked():
            tokens = [one for one in self._read() if not _is_over(one, now)]
            if any(one.name == name for one in tokens):
                raise TokenError(f"{self.path}: there is a token {name!r}: revoke it first, or choose another name")
            if len(tokens) >= MAX_TOKENS:
                raise TokenError(f"{self.path}: {MAX_TOKENS} tokens are the limit: revoke some first")
            self._write([*tokens, token])
        return f"{_PREFIX}_{token.id}_{secret}"

    def revoke(self, name: str) -> None:
        """Make a token good for nothing.

        Raises:
            TokenError: there is none of that name, or the file cannot be read or written.
        """
        with self._locked():
            tokens = self._read()
            rest = [one for one in tokens if one.name != name]
            if len(rest) == len(tokens):
                raise TokenError(f"{self.path}: no token is named {name!r}")
            self._write(rest)

    def all(self) -> tuple[Token, ...]:
        """Return all tokens by name, those that have expired too.

        Raises:
            TokenError: the file cannot be read.
        """
        return tuple(sorted(self._read(), key=lambda token: token.name))

    def find(self, text: str) -> Token | None:
        """Return the token that a client showed, None when it is good for nothing. It may have expired: see `Token.expires`."""
        prefix, _, rest = text.partition("_")
        number, _, secret = rest.partition("_")
        token = self.current().get(number) if prefix == _PREFIX else None
        if token is None or not hmac.compare_digest(_digest(secret), token.digest):
            return None
        return token

    def current(self) -> dict[str, Token]:
        """Return the tokens by id as they stand in the file, or as they stood when it could be read last."""
        now = time.monotonic()
        if now - self._checked >= _RECHECK:
            self._checked = now
            try:
                stamp = _stamp(self.path)
                if stamp != self._stamp:
                    self._tokens = {token.id: token for token in self._read()}
                    self._stamp = stamp
                self.error = None
            except TokenError as error:
                self.error = str(error)
        return self._tokens

    def owner(self) -> str:
        """Return the name of the user whose the file is: who wrote it last, as it is a new one each time."""
        try:
            user = self.path.stat().st_uid
        except OSError:
            return "unknown"
        try:
            return pwd.getpwuid(user).pw_name
        except KeyError:
            return str(user)

    def _read(self) -> list[Token]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"{self.path}: cannot be read: {error}") from error
        try:
            document: dict[str, Any] = json.loads(text)
            if document["version"] != _VERSION:
                raise TokenError(f"{self.path}: version {document['version']}, this program knows {_VERSION}")
            tokens = [Token(**entry) for entry in document["tokens"]]
            return [replace(token, role=Role(token.role)) for token in tokens]
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, TokenError):
                raise
            raise TokenError(
                f"{self.path}: no token file: {error}: restore it, or delete it and make new tokens"
            ) from error

    def _write(self, tokens: list[Token]) -> None:
        beside = self.path.with_name(self.path.name + ".new")
        text = json.dumps({"version": _VERSION, "tokens": [asdict(token) for token in tokens]}, indent=1)
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise TokenError(f"{self.path}: cannot be written: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out."""
        beside = self.path.with_name(self.path.name + ".lock")
        try:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TokenError(f"{beside}: cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _is_over(token: Token, now: float) -> bool:
    return token.expires is not None and token.expires <= now


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is replaced; None: it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TokenError(f"{path}: cannot be read: {error.strerror}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size
