"""Keys that never show what they are."""

import hmac
from typing import Final, NoReturn, Self

MAXIMUM_KEY: Final = 1024
"""Octets of the longest key."""


class Key:
    """Secret octets. Neither `repr`, `str`, `format` nor pickling gives them away; comparing takes the same time for any two."""

    __slots__ = ("_fingerprint", "_material")

    def __init__(self, material: bytes) -> None:
        if not 1 <= len(material) <= MAXIMUM_KEY:
            raise ValueError(f"a key has 1 to {MAXIMUM_KEY} octets, not {len(material)}")
        self._material: Final = bytes(material)
        self._fingerprint: bytes | None = None

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Return the key that hexadecimal digits spell; blanks between octets are allowed.

        Raises:
            ValueError: they spell none. The message does not repeat them.
        """
        try:
            material = bytes.fromhex(text)
        except ValueError:
            # The cause would name a place in the key; nobody gets to see even that.
            raise ValueError("not a key: it has to be hexadecimal digits, two for each octet") from None
        return cls(material)

    def reveal(self) -> bytes:
        """Return the secret, for a cryptographic primitive and nothing else."""
        return self._material

    def fingerprint(self) -> bytes:
        """Return 8 octets that tell this key from others and say nothing else of it."""
        if self._fingerprint is None:
            self._fingerprint = hmac.digest(self._material, b"which key this is", "sha256")[:8]
        return self._fingerprint

    def __len__(self) -> int:
        return len(self._material)

    def __repr__(self) -> str:
        return f"Key({len(self._material)} octets)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self._material, other._material)

    def __hash__(self) -> int:
        return hash((Key, len(self._material)))  # a hash of the material could end up in a log

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: hand over the file that holds it")
