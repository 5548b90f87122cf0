"""A ring file of everything that was written to switches: when, where, what, and what became of it.

The file has a fixed size; the oldest records make room for new ones. It is a memory of the last minutes for whoever looks for
a fault, not a promise: records reach the disk when the kernel likes, and a loss of power can cost the last ones.

A header says where the oldest record begins and where the newest ends, as counts of octets since the file was made; records
wrap round its end. Each has its length and checksum before it, so a reader tells a whole record from half of one.
"""

import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

_HEADER: Final = struct.Struct("<8sQQQ")
"""Magic, size of the ring, oldest, newest."""
_MAGIC: Final = b"mcoajrn1"
_FRAME: Final = struct.Struct("<II")
"""Length and CRC-32 of a record."""
_RECORD: Final = struct.Struct("<dQBi")
"""Wall time, pipeline cookie, length of the switch's name, number of refused updates or -1: no answer."""
_REFUSED: Final = struct.Struct("<IB")
"""Position in the request, canonical code."""


class JournalError(Exception):
    """A journal cannot be opened or read. The text says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Write."""

    when: float
    """Wall time, seconds since 1970."""
    cookie: int
    """Of the pipeline that it was for."""
    switch: str
    refused: Mapping[int, int] | None
    """Of the updates, by position, those that were refused, with the canonical code; None: the switch did not answer."""
    request: bytes
    """A serialised `p4.v1.WriteRequest`."""

    def pack(self) -> bytes:
        """Return the record as the file holds it."""
        name = self.switch.encode()
        refused = self.refused or {}
        count = -1 if self.refused is None else len(refused)
        codes = b"".join(_REFUSED.pack(position, code) for position, code in refused.items())
        return _RECORD.pack(self.when, self.cookie, len(name), count) + name + codes + self.request

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Return the record that `data` holds.

        Raises:
            struct.error, ValueError: it holds none.
        """
        when, cookie, size, count = _RECORD.unpack_from(data)
        at = _RECORD.size + size
        name = data[_RECORD.size : at].decode()
        refused: dict[int, int] | None = None
        if count >= 0:
            refused = dict(_REFUSED.iter_unpack(data[at : at + count * _REFUSED.size]))
            at += count * _REFUSED.size
        return cls(when, cookie, name, refused, data[at:])


class Journal:
    """A journal that is being written. It fits `options.WriteLog`.

    Args:
        path: of the file; made when it does not exist, its directory is not.
        size: octets of the ring, at least 4096.
        cookie: of the pipeline that is written to.
        clock: gives wall time.
        others: by switch, the cookies of other pipelines.

    Raises:
        JournalError: it is something else, has another size, or cannot be made.
    """

    def __init__(
        self,
        path: Path,
        size: int,
        cookie: int,
        clock: Callable[[], float] = time.time,
        others: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._path, self._size, self._cookie, self._clock = path, size, cookie, clock
        self._others = others
        self.skipped = 0
        """Records that were larger than the ring."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                there = os.fstat(descriptor).st_size
                if there == 0:
                    os.posix_fallocate(descriptor, 0, _HEADER.size + size)
                elif there != _HEADER.size + size:
                    raise JournalError(
                        f"{path}: has {there} octets, not {_HEADER.size + size}: move it away, or set its former size"
                    )
                self._map = mmap.mmap(descriptor, _HEADER.size + size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JournalError(f"{path}: cannot be opened: {error.strerror}") from error
        if there == 0:
            self._oldest = self._newest = 0
            self._mark()
        else:
            self._oldest, self._newest = _marks(self._map, path, size)

    def append(self, switch: str, request: bytes, refused: Mapping[int, int] | None) -> None:
        """Keep one Write (see `options.WriteLog`)."""
        data = Record(self._clock(), self._others.get(switch, self._cookie), switch, refused, request).pack()
        data = _FRAME.pack(len(data), zlib.crc32(data)) + data
        if len(data) > self._size:
            self.skipped += 1
            return
        while self._newest + len(data) - self._oldest > self._size:
            length, _ = _FRAME.unpack(_at(self._map, self._size, self._oldest, _FRAME.size))
            self._oldest += _FRAME.size + length
        # What is overwritten is given up first, and what is new counts last: a process that dies in between leaves whole records.
        self._mark()
        position = self._newest % self._size
        first = min(len(data), self._size - position)
        self._map[_HEADER.size + position : _HEADER.size + position + first] = data[:first]
        self._map[_HEADER.size : _HEADER.size + len(data) - first] = data[first:]
        self._newest += len(data)
        self._mark()

    def close(self) -> None:
        """Close the file. Calling it again does nothing."""
        if not self._map.closed:
            self._map.flush()
            self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mark(self) -> None:
        _HEADER.pack_into(self._map, 0, _MAGIC, self._size, self._oldest, self._newest)


def _marks(data: bytes | mmap.mmap, path: Path, size: int) -> tuple[int, int]:
    magic, ring, oldest, newest = _HEADER.unpack_from(data)
    if magic != _MAGIC or ring != size or not oldest <= newest <= oldest + size:
        raise JournalError(f"{path}: is no journal, or a damaged one: move it away")
    return oldest, newest


def _at(data: bytes | mmap.mmap, size: int, offset: int, length: int) -> bytes:
    position = offset % size
    first = data[_HEADER.size + position : _HEADER.size + min(position + length, size)]
    return first + data[_HEADER.size : _HEADER.size + length - len(first)] if len(first) < length else first


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a journal, the oldest first. A controller may be writing to it.

    Raises:
        JournalError: it cannot be read, is none, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror}") from error
    size = len(data) - _HEADER.size
    if size <= 0:
        raise JournalError(f"{path}: is no journal")
    offset, newest = _marks(data, path, size)
    while offset < newest:
        length, checksum = _FRAME.unpack(_at(data, size, offset, _FRAME.size))
        if length > newest - offset:
            raise JournalError(f"{path}: the record at octet {offset} is damaged: those after it are lost")
        record = _at(data, size, offset + _FRAME.size, length)
        if zlib.crc32(record) != checksum:
            raise JournalError(f"{path}: the record at octet {offset} is damaged: those after it are lost")
        try:
            yield Record.unpack(record)
        except (struct.error, ValueError) as error:
            raise JournalError(f"{path}: the record at octet {offset} is damaged: {error}") from error
        offset += _FRAME.size + length
