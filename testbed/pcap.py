"""Writes captures: pcapng (draft-ietf-opsawg-pcapng), Ethernet, one interface for each port, nanoseconds, with direction.

Wireshark and tshark read it, whatever the file is called.
"""

import struct
import time
from pathlib import Path
from typing import Self

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_ENHANCED_PACKET = 6
_LINKTYPE_ETHERNET = 1
_SNAP_LENGTH = 65535
_OPTION_END = bytes(4)
_OPTION_FLAGS = 2
_OPTION_IF_NAME = 2
_OPTION_IF_TSRESOL = 9
_OPTION_USER_APPLICATION = 4
_INBOUND, _OUTBOUND = 1, 2

_PACKET_HEAD = struct.Struct("<IIIIIII")
_PACKET_TAILS = {
    outbound: struct.pack("<HHI", _OPTION_FLAGS, 4, _OUTBOUND if outbound else _INBOUND) + _OPTION_END
    for outbound in (False, True)
}


class PcapWriter:
    """A capture file that is being written. Close it, or use it in a with statement.

    Args:
        path: the file; it is replaced.
    """

    def __init__(self, path: Path) -> None:
        self.packets = 0
        """Packets written so far."""
        self._file = path.open("wb", buffering=1 << 20)
        self._interfaces: dict[str, int] = {}
        # Byte order magic, version 1.0, section length unknown (-1).
        body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(_OPTION_USER_APPLICATION, b"mcoa") + _OPTION_END
        self._file.write(_block(_SECTION_HEADER, body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write out what is buffered and close the file; safe to call twice."""
        self._file.close()

    def flush(self) -> None:
        """Write out what is buffered."""
        self._file.flush()

    def write(self, interface: str, frame: bytes, *, outbound: bool, when_ns: int | None = None) -> None:
        """Add one Ethernet frame.

        Args:
            interface: the port's name; a new name adds an interface to the capture.
            frame: without frame check sequence.
            outbound: whether the owner of the port sent it, rather than received.
            when_ns: nanoseconds since 1970; None: now.
        """
        if self._file.closed:
            return
        number = self._interfaces.get(interface)
        if number is None:
            number = self._add_interface(interface)
        when = time.time_ns() if when_ns is None else when_ns
        length = len(frame)
        padding = -length % 4
        tail = _PACKET_TAILS[outbound]
        total = _PACKET_HEAD.size + length + padding + len(tail) + 4
        head = _PACKET_HEAD.pack(_ENHANCED_PACKET, total, number, when >> 32, when & 0xFFFFFFFF, length, length)
        self._file.write(b"".join((head, frame, bytes(padding), tail, struct.pack("<I", total))))
        self.packets += 1

    def _add_interface(self, name: str) -> int:
        number = self._interfaces[name] = len(self._interfaces)
        options = _option(_OPTION_IF_NAME, name.encode()) + _option(_OPTION_IF_TSRESOL, b"\x09") + _OPTION_END
        self._file.write(
            _block(_INTERFACE_DESCRIPTION, struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, _SNAP_LENGTH) + options)
        )
        return number


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total
