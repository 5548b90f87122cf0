"""Source text for hashes and checksums over lists of fields."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from testbed.softswitch.errors import UnsupportedError
from testbed.softswitch.expressions import Expressions, store
from testbed.softswitch.hashes import HASHES
from testbed.softswitch.program import Json, whole
from testbed.softswitch.scope import Scope


def hash_of(scope: Scope, name: str, where: str) -> list[str]:
    """Statements that leave the output of a calculation in the variable `digest`.

    Fields of headers that are not valid are left out, as BMv2 does.
    """
    calculation = scope.program.calculations[name]
    return hash_over(scope, calculation["algo"], calculation["input"], where)


def hash_over(scope: Scope, algorithm: str, inputs: Iterable[Json], where: str) -> list[str]:
    """The same for an algorithm and its inputs, as a selector has them."""
    if algorithm not in HASHES:
        raise UnsupportedError(f"the hash algorithm {algorithm!r}", where)
    inputs = list(inputs)
    payload = any(item["type"] == "payload" for item in inputs)
    items = [part for item in inputs if item["type"] != "payload" for part in _parts(scope, item, where)]
    tail = " + p[o:]" if payload else ""
    if all(part.valid == "1" and isinstance(part.width, int) for part in items):
        return [f"digest = hash_{algorithm}({_concatenate(items)}{tail})"]
    lines = ["acc = width = 0"]
    for part in items:
        text = f"acc = acc << {part.width} | {part.code}; width += {part.width}"
        lines.append(text if part.valid == "1" else f"if {part.valid}: {text}")
    lines.append(f"digest = hash_{algorithm}((acc << -width % 8).to_bytes((width + 7) // 8){tail})")
    return lines


class _Part(NamedTuple):
    """A piece of what is hashed."""

    code: str
    width: int | str
    """Bits, or an expression for them."""
    valid: str
    """Whether it is there: a variable, or 1."""


def _concatenate(items: list[_Part]) -> str:
    """The bytes of pieces that are always there, with zeros behind."""
    width = sum(int(part.width) for part in items)
    rest = -width % 8
    shift, terms = width + rest, []
    for part in items:
        shift -= int(part.width)
        terms.append(f"{part.code} << {shift}" if shift else part.code)
    return f"({' | '.join(terms) or '0'}).to_bytes({(width + rest) // 8})"


def _parts(scope: Scope, item: Json, where: str) -> Iterator[_Part]:
    if item["type"] == "hexstr":
        yield _Part(hex(int(item["value"], 16)), whole(item["bitwidth"]), "1")
        return
    if item["type"] == "field":
        pairs = [scope.field(item["value"][0], item["value"][1], where)]
        header = item["value"][0]
    elif item["type"] == "header":
        header = item["value"]
        pairs = list(scope.live_fields(header))
    else:
        raise UnsupportedError(f"the calculation input {item['type']!r}", where)
    for name, field in pairs:
        if field.variable:
            yield _Part(f"from_bytes({name})", f"8 * len({name})", scope.valid(header))
        else:
            code = f"({name} & {(1 << field.width) - 1:#x})" if field.signed else name
            yield _Part(code, field.width, scope.valid(header))


def checksum(scope: Scope, item: Json, *, update: bool) -> list[str]:
    """Statements of one entry of the `checksums` section: update the field, or set `bad_checksum` when it is wrong."""
    where = f"checksum {item['name']}"
    header, name = item["target"]
    variable, field = scope.field(header, name, where)
    condition = item.get("if_cond")
    expressions = Expressions(scope, where)
    guards = [] if condition is None else [expressions.condition(condition)]
    if not update and not scope.program.headers[header].metadata:
        guards.append(scope.valid(header))
    lines = [f" {line}" for line in hash_of(scope, item["calculation"], where)]
    if update:
        from_digest = store(
            field, expressions.value({"type": "hexstr", "value": "0x0"})._replace(code="digest", bits=None)
        )
        lines.append(f" {variable} = {from_digest}")
        if not scope.program.headers[header].metadata:
            lines.append(f" {scope.dirty(header)} = 1")
    else:
        lines.append(f" if digest & {(1 << field.width) - 1:#x} != {variable}: bad_checksum = 1")
    return [f"if {' and '.join(guards) or '1'}:", *lines]
