"""P4Runtime's byte strings, to and from integers (specification, section "Bytestrings")."""

from functools import lru_cache

from testbed.softswitch.errors import invalid


def decode(data: bytes, width: int, what: str) -> int:
    """A byte string as an integer; leading zeros are allowed, P4Runtime section "Bytestrings".

    Raises:
        EntityError: empty, or does not fit into the width.
    """
    if not data:
        raise invalid(f"{what}: the value is an empty byte string")
    value = shared(int.from_bytes(data))
    if value >> width:
        raise invalid(f"{what}: {value:#x} does not fit into {width} bits")
    return value


@lru_cache(maxsize=1 << 14)
def shared(value: int) -> int:
    """The first of equal numbers, as far as it remembers: the argument of one table is the key of the next, and one object is fetched but once."""
    return value


def encode(value: int) -> bytes:
    """The canonical byte string: the shortest one, at least one byte."""
    return value.to_bytes((value.bit_length() + 7) // 8 or 1)
