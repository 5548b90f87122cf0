"""HTTP/2 frames and header blocks as octets (RFC 9113 sections 4 and 6, RFC 7541 section 6)."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first (RFC 9113 section 3.4)."""
HEAD: Final = 9
"""Octets before a frame's content."""
MAX_FRAME: Final = 1 << 14
"""Octets of the largest content that we take, and that everyone takes."""
WINDOW: Final = 65_535
"""Octets that may be under way before the first WINDOW_UPDATE, unless settings say otherwise."""
MAX_WINDOW: Final = (1 << 31) - 1

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

_HEAD: Final = Struct(">BHBBI")
_SETTING: Final = Struct(">HI")


class Kind(IntEnum):
    """Types of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """Settings that mean something to us."""

    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Code(IntEnum):
    """Error codes (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ProtocolError(Exception):
    """The peer broke a rule of HTTP/2: the connection ends.

    Attributes:
        code: what it is told.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """Return what stands before the content of a frame."""
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream)


def frame(kind: Kind, flags: int, stream: int, content: bytes = b"") -> bytes:
    """Return a frame."""
    return head(len(content), kind, flags, stream) + content


def number_frame(kind: Kind, stream: int, number: int) -> bytes:
    """Return a frame whose content is one number: WINDOW_UPDATE or RST_STREAM."""
    return frame(kind, 0, stream, number.to_bytes(4))


def settings_frame(settings: Iterable[tuple[Setting, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings))


def settings_of(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield numbers and values of a SETTINGS frame.

    Raises:
        ProtocolError: it has a part of one.
    """
    if len(content) % _SETTING.size:
        raise ProtocolError(Code.FRAME_SIZE_ERROR, "a SETTINGS frame ends within a setting")
    return _SETTING.iter_unpack(content)


def unpadded(flags: int, content: bytes) -> bytes:
    """Return the content of a DATA or HEADERS frame without padding and priority.

    Raises:
        ProtocolError: there is more padding than content.
    """
    padding = 0
    if flags & PADDED:
        padding, content = content[0] if content else 1, content[1:]
    if flags & PRIORITISED:
        content = content[5:]
    if padding > len(content):
        raise ProtocolError(Code.PROTOCOL_ERROR, "a frame has more padding than content")
    return content[: len(content) - padding]


def headers_frames(stream: int, block: bytes, size: int, *, end: bool) -> bytes:
    """Return a header block in frames with at most so many octets of content; `end`: nothing follows on the stream."""
    kind, found = Kind.HEADERS, []
    flags = END_STREAM if end else 0
    while len(block) > size:
        found.append(frame(kind, flags, stream, block[:size]))
        kind, flags, block = Kind.CONTINUATION, 0, block[size:]
    found.append(frame(kind, flags | END_HEADERS, stream, block))
    return b"".join(found)


def header(name: bytes, value: bytes) -> bytes:
    """Return a header that no table keeps, as it is (RFC 7541 section 6.2.2)."""
    return b"\0" + _length(len(name)) + name + _length(len(value)) + value


def _length(number: int) -> bytes:
    """Return a length (RFC 7541 section 5.1), without Huffman's code."""
    if number < 0x7F:
        return bytes((number,))
    octets = bytearray((0x7F,))
    number -= 0x7F
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
