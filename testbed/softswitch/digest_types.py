"""The types of digests: how the values of one become P4Data."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from finsy.proto import p4d, p4i, p4t

from testbed.softswitch.bytestrings import encode
from testbed.softswitch.compiler import Compiled
from testbed.softswitch.errors import ArtefactError, UnsupportedError

Values: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DigestSchema:
    """A digest: how its values become P4Data."""

    id: int
    name: str
    list_id: int
    """In the program."""
    spec: p4t.P4DataTypeSpec
    types: p4t.P4TypeInfo

    def encode(self, message: p4d.P4Data, values: Values) -> None:
        """Fill a message with the values of one digest."""
        _encode(message, self.spec, self.types, iter(values))


def digest_schema(info: p4i.P4Info, item: p4i.Digest, compiled: Compiled) -> DigestSchema:
    """Match a digest with its list in the program.

    Raises:
        ArtefactError: the two do not belong together.
        UnsupportedError: a type that is neither a bit string nor made of them.
    """
    name = item.preamble.name
    found = [(number, learn) for number, learn in compiled.program.learn_lists.items() if learn.name == name]
    if not found:
        raise ArtefactError(
            f"the P4Info has the digest {name}, which the program does not: they do not belong together"
        )
    number, learn = found[0]
    if _count(item.type_spec, info.type_info, f"digest {name}") != len(learn.elements):
        raise ArtefactError(f"digest {name}: its fields differ between P4Info and program")
    return DigestSchema(item.preamble.id, item.preamble.alias or name, number, item.type_spec, info.type_info)


def _members(spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, where: str) -> Iterable[p4t.P4DataTypeSpec] | None:
    """Specs of the parts of a compound type; None for a plain one."""
    kind = spec.WhichOneof("type_spec")
    if kind == "struct":
        return [member.type_spec for member in types.structs[spec.struct.name].members]
    if kind == "tuple":
        return list(spec.tuple.members)
    if kind in {"bitstring", "bool"} or (kind == "new_type" and spec.new_type.name in types.new_types):
        return None
    if kind == "serializable_enum":
        return None
    raise UnsupportedError(f"a digest with a part of type {kind}", where)


def _count(spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, where: str) -> int:
    members = _members(spec, types, where)
    return 1 if members is None else sum(_count(member, types, where) for member in members)


def _encode(message: p4d.P4Data, spec: p4t.P4DataTypeSpec, types: p4t.P4TypeInfo, values: Iterator[int]) -> None:
    kind, members = spec.WhichOneof("type_spec"), _members(spec, types, "digest")
    if members is not None:
        parts = message.struct.members if kind == "struct" else message.tuple.members
        for member in members:
            _encode(parts.add(), member, types, values)
    elif kind == "bool":
        message.bool = bool(next(values))
    elif kind == "serializable_enum":
        message.enum_value = encode(next(values))
    else:
        value = next(values)
        signed = spec.bitstring.int.bitwidth
        message.bitstring = encode(value & (1 << signed) - 1 if signed else value)
