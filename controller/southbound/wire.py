"""Protocol buffers as octets: tags, numbers, lengths, and messages of which all but some values stays the same."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

LENGTH_DELIMITED: Final = 2
VARINT: Final = 0
"""Wire types."""


class CodecError(ValueError):
    """An entry does not fit the program, or a switch sent what does not."""


def varint(number: int) -> bytes:
    """Return a number as protocol buffers write it: seven bits an octet, the lowest first."""
    octets_ = bytearray()
    while number > 0x7F:
        octets_.append(number & 0x7F | 0x80)
        number >>= 7
    octets_.append(number)
    return bytes(octets_)


def varint_at(data: bytes, position: int) -> tuple[int, int]:
    """Return a number as protocol buffers write it, and where it ends.

    Raises:
        IndexError: the data end before it.
        CodecError: it is too long.
    """
    number = data[position]
    position += 1
    if number < 0x80:
        return number, position
    number &= 0x7F
    shift = 7
    while True:
        octet = data[position]
        position += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise CodecError("a number does not end")


def tag(number: int, wire_type: int = LENGTH_DELIMITED) -> bytes:
    """Return what stands before a field."""
    return varint(number << 3 | wire_type)


def number_field(number: int, value: int) -> bytes:
    """Return a field that is a number."""
    return tag(number, VARINT) + varint(value)


_LENGTHS: Final = tuple(map(varint, range(1024)))


def framed(head: bytes, content: bytes) -> bytes:
    """Return a length-delimited field: its tag, its length, its content."""
    size = len(content)
    return head + (_LENGTHS[size] if size < 1024 else varint(size)) + content


class Piece(NamedTuple):
    """A part of a message whose values are still to come."""

    text: bytes
    """Its octets, `%b` in the place of each value."""
    size: int
    """How many octets it has with the values."""


def constant(content: bytes) -> Piece:
    """Return octets that never change."""
    return Piece(content.replace(b"%", b"%%"), len(content))


def member(number: int, *pieces: Piece) -> Piece:
    """Return a length-delimited field with these pieces in it."""
    size = sum(piece.size for piece in pieces)
    head = constant(tag(number) + varint(size))
    return Piece(head.text + b"".join(piece.text for piece in pieces), head.size + size)


class Template:
    """A message, or a part of one, that holds unsigned integers as octets and is otherwise always the same.

    Only lengths depend on the values, so for each way to have so many octets in the values there is one text, made when it is
    first needed. A program's fields allow for some hundreds of ways at most.

    Args:
        widths: of the values, in bits.
        make: gives the message from the values' places.
    """

    __slots__ = ("_make", "_odd", "_texts", "_widths")

    def __init__(self, widths: Sequence[int], make: Callable[[Sequence[Piece]], Piece]) -> None:
        self._widths: Final = tuple(widths)
        self._odd: Final = tuple((place, width) for place, width in enumerate(widths) if width % 8)
        self._make: Final = make
        self._texts: Final[dict[bytes, bytes]] = {}

    def encode(self, values: Sequence[Any]) -> bytes:
        """Return the message with these values, each as the shortest octets (P4Runtime section 8.4).

        This is where most of the time of a reconciliation goes, so it calls nothing of ours.

        Raises:
            ValueError, OverflowError, TypeError, AttributeError: a value is no unsigned integer of its width, or their number is wrong.
        """
        counts: list[int] = []
        octets: list[bytes] = []
        for value in values:
            count = (value.bit_length() + 7) >> 3 or 1
            counts.append(count)
            octets.append(value.to_bytes(count))
        shape = bytes(counts)
        text = self._texts.get(shape)
        if text is None:
            text = self._texts[shape] = self._text(counts)
        for place, width in self._odd:
            if values[place] >> width:
                raise CodecError(f"{values[place]} does not fit into {width} bits")
        return text % tuple(octets)

    def _text(self, counts: Sequence[int]) -> bytes:
        for count, width in zip(counts, self._widths, strict=True):
            if count > (width + 7) >> 3:
                raise CodecError(f"a value of {count} octets does not fit into {width} bits")
        return self._make([Piece(b"%b", count) for count in counts]).text
