"""How a header is laid out in bytes: source text that decodes and encodes exactly the fields that are needed.

A header is cut into chunks at field boundaries that are byte boundaries. A chunk is one item of a `struct` format; fields that
share a chunk are shifted out of it.
"""

import struct
from dataclasses import dataclass

from testbed.softswitch.errors import UnsupportedError
from testbed.softswitch.program import Field, Header
from testbed.softswitch.scope import Scope

_WHOLE = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive fields that together fill whole bytes."""

    start: int
    """Byte offset in the header."""
    size: int
    """Bytes."""
    fields: tuple[Field, ...]


def chunks(fields: tuple[Field, ...]) -> list[Chunk]:
    """Cut fields of a fixed length at their byte boundaries."""
    found: list[Chunk] = []
    pending: list[Field] = []
    bits = 0
    for field in fields:
        pending.append(field)
        bits += field.width
        if bits % 8 == 0:
            size = sum(f.width for f in pending) // 8
            found.append(Chunk(bits // 8 - size, size, tuple(pending)))
            pending = []
    return found


class Layout:
    """Source text for one header instance.

    Raises:
        UnsupportedError: a variable-length field that does not begin at a byte.
    """

    def __init__(self, scope: Scope, header: Header, environment: dict[str, object]) -> None:
        self._scope = scope
        self._header = header
        self._environment = environment
        self._live = {field.name: name for name, field in scope.live_fields(header.name)}
        self.varbit = next((name for name, field in scope.live_fields(header.name) if field.variable), None)
        """The variable of its variable-length field."""
        cut = header.fields.index(header.variable) if header.variable else len(header.fields)
        self._head, self._tail = header.fields[:cut], header.fields[cut + 1 :]
        if sum(field.width for field in self._head) % 8:
            raise UnsupportedError("a variable-length field that does not begin at a byte", f"header {header.name}")

    @property
    def size(self) -> int:
        """Bytes, without the variable-length field."""
        return self._header.bits // 8

    def decode(self) -> list[str]:
        """Statements that read the live fields out of the packet `p` at offset `o`; a variable-length field has `v` bytes."""
        if self.varbit is None:
            return self._read(self._head, "o", "")
        start = sum(field.width for field in self._head) // 8
        lines = self._read(self._head, "o", "")
        lines.append(f"{self.varbit} = p[o + {start}:o + {start} + v]")
        return lines + self._read(self._tail, f"o + {start} + v", "_tail")

    def encode(self) -> str:
        """An expression for the header's bytes made from its fields."""
        if self.varbit is None:
            return self._write(self._head, 0, "")
        start = sum(field.width for field in self._head) // 8
        parts = [self._write(self._head, 0, "")] if self._head else []
        parts.append(self.varbit)
        if self._tail:
            parts.append(self._write(self._tail, start - self.size, "_tail"))
        return f"({' + '.join(parts)})"

    def _read(self, fields: tuple[Field, ...], where: str, suffix: str) -> list[str]:
        form = ">"
        targets: list[str] = []
        after: list[str] = []
        for chunk in chunks(fields):
            live = [field for field in chunk.fields if field.name in self._live]
            if not live:
                form += f"{chunk.size}x"
                continue
            whole = len(chunk.fields) == 1 and chunk.size in _WHOLE and not live[0].signed
            item = self._live[live[0].name] if whole else f"t{len(targets)}"
            form += _WHOLE.get(chunk.size, f"{chunk.size}s")
            targets.append(item)
            if whole:
                continue
            if chunk.size not in _WHOLE:
                alone = len(chunk.fields) == 1 and not live[0].signed
                after.append(f"{self._live[live[0].name] if alone else item} = from_bytes({item})")
                if alone:
                    continue
            after += self._split(chunk, item)
        if not targets:
            return []
        reader = f"U_{self._scope.raw(self._header.name)}{suffix}"
        self._environment[reader] = struct.Struct(form).unpack_from
        return [f"{', '.join(targets)}, = {reader}(p, {where})", *after]

    def _write(self, fields: tuple[Field, ...], offset: int, suffix: str) -> str:
        """An expression for some fields; bytes of fields that are not live come from the raw header, at the offset (negative: from its end)."""
        form, items = ">", []
        raw = self._scope.raw(self._header.name)
        whole = sum(field.width for field in fields) // 8
        for chunk in chunks(fields):
            live = [field for field in chunk.fields if field.name in self._live]
            start = offset + chunk.start
            piece = f"{raw}[{start}:{start + chunk.size or ''}]"
            if not live:
                form += f"{chunk.size}s"
                items.append(piece)
                continue
            value = self._join(chunk, piece)
            form += _WHOLE.get(chunk.size, f"{chunk.size}s")
            items.append(value if chunk.size in _WHOLE else f"({value}).to_bytes({chunk.size})")
        if not any(field.name in self._live for field in fields):
            return raw if self.varbit is None else f"{raw}[{offset}:{offset + whole or ''}]"
        writer = f"P_{raw}{suffix}"
        self._environment[writer] = struct.Struct(form).pack
        return f"{writer}({', '.join(items)})"

    def _split(self, chunk: Chunk, item: str) -> list[str]:
        lines, rest = [], chunk.size * 8
        for field in chunk.fields:
            top = rest == chunk.size * 8
            rest -= field.width
            if field.name not in self._live:
                continue
            text = f"{item} >> {rest}" if rest else item
            if not top:
                text = f"({text}) & {(1 << field.width) - 1:#x}"
            if field.signed:
                half = 1 << (field.width - 1)
                text = f"(({text}) ^ {half}) - {half}"
            lines.append(f"{self._live[field.name]} = {text}")
        return lines

    def _join(self, chunk: Chunk, piece: str) -> str:
        parts, rest = [], chunk.size * 8
        for field in chunk.fields:
            rest -= field.width
            if field.name in self._live:
                value = self._live[field.name]
                if field.signed:
                    value = f"({value} & {(1 << field.width) - 1:#x})"
            else:
                value = f"(from_bytes({piece}) >> {rest} & {(1 << field.width) - 1:#x})"
            parts.append(f"{value} << {rest}" if rest else value)
        return parts[0] if len(parts) == 1 else " | ".join(f"({part})" for part in parts)
