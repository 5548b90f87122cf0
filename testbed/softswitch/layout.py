"""How a header is laid out in bytes: source text that decodes and encodes exactly the fields that are needed.

A header is cut into chunks at field boundaries that are byte boundaries. A chunk is one item of a `struct` format; fields that
share a chunk are shifted out of it.
"""

import struct
from dataclasses import dataclass

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


def chunks(header: Header) -> list[Chunk]:
    """Cut a header at its byte boundaries."""
    found: list[Chunk] = []
    pending: list[Field] = []
    bits = 0
    for field in header.fields:
        pending.append(field)
        bits += field.width
        if bits % 8 == 0:
            size = sum(f.width for f in pending) // 8
            found.append(Chunk(bits // 8 - size, size, tuple(pending)))
            pending = []
    return found


class Layout:
    """Source text for one header instance."""

    def __init__(self, scope: Scope, header: Header, environment: dict[str, object]) -> None:
        self._scope = scope
        self._header = header
        self._environment = environment
        self._live = {field.name: name for name, field in scope.live_fields(header.name)}

    @property
    def size(self) -> int:
        """Bytes."""
        return self._header.bits // 8

    def decode(self) -> list[str]:
        """Statements that read the live fields out of the packet `p` at offset `o`."""
        form = ">"
        targets: list[str] = []
        after: list[str] = []
        for chunk in chunks(self._header):
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
                after.append(f"{item} = from_bytes({item})")
            after += self._split(chunk, item)
        if not targets:
            return []
        reader = f"U_{self._scope.raw(self._header.name)}"
        self._environment[reader] = struct.Struct(form).unpack_from
        return [f"{', '.join(targets)}, = {reader}(p, o)", *after]

    def encode(self) -> str:
        """An expression for the header's bytes made from its fields."""
        form, items = ">", []
        raw = self._scope.raw(self._header.name)
        for chunk in chunks(self._header):
            live = [field for field in chunk.fields if field.name in self._live]
            if not live:
                form += f"{chunk.size}s"
                items.append(f"{raw}[{chunk.start}:{chunk.start + chunk.size}]")
                continue
            value = self._join(chunk, raw)
            form += _WHOLE.get(chunk.size, f"{chunk.size}s")
            items.append(value if chunk.size in _WHOLE else f"({value}).to_bytes({chunk.size})")
        if not items:
            return raw
        writer = f"P_{raw}"
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

    def _join(self, chunk: Chunk, raw: str) -> str:
        parts, rest = [], chunk.size * 8
        for field in chunk.fields:
            rest -= field.width
            if field.name in self._live:
                value = self._live[field.name]
                if field.signed:
                    value = f"({value} & {(1 << field.width) - 1:#x})"
            else:
                whole = f"from_bytes({raw}[{chunk.start}:{chunk.start + chunk.size}])"
                value = f"({whole} >> {rest} & {(1 << field.width) - 1:#x})"
            parts.append(f"{value} << {rest}" if rest else value)
        return parts[0] if len(parts) == 1 else " | ".join(f"({part})" for part in parts)
