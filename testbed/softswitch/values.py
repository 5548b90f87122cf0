"""P4Runtime's byte strings, FieldMatch and Action messages, to and from integers."""

from collections.abc import Mapping

from finsy.proto import p4r

from testbed.softswitch.errors import invalid
from testbed.softswitch.schema import ActionRef, MatchField
from testbed.softswitch.tables import Args, Part

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


def decode(data: bytes, width: int, what: str) -> int:
    """A byte string as an integer; leading zeros are allowed, P4Runtime section "Bytestrings".

    Raises:
        EntityError: empty, or does not fit into the width.
    """
    if not data:
        raise invalid(f"{what}: the value is an empty byte string")
    value = int.from_bytes(data)
    if value >> width:
        raise invalid(f"{what}: {value:#x} does not fit into {width} bits")
    return value


def encode(value: int) -> bytes:
    """The canonical byte string: the shortest one, at least one byte."""
    return value.to_bytes((value.bit_length() + 7) // 8 or 1)


def wildcard(field: MatchField) -> Part:
    """What an omitted match field means."""
    return Part(0, (1 << field.width) - 1) if field.kind == "range" else Part(0, 0)


def decode_match(field: MatchField, match: p4r.FieldMatch, table: str) -> Part:
    """One FieldMatch as value and mask (range: low and high).

    Raises:
        EntityError: of another kind than the field, a "don't care" that must be omitted, bits outside of the mask.
    """
    what = f"table {table}, field {field.name}"
    if match.WhichOneof("field_match_type") != field.kind:
        raise invalid(f"{what}: the match must be of kind {field.kind}, not {match.WhichOneof('field_match_type')}")
    full = (1 << field.width) - 1
    if field.kind in {"exact", "optional"}:
        value = match.exact.value if field.kind == "exact" else match.optional.value
        return Part(decode(value, field.width, what), full)
    if field.kind == "range":
        return _range(match.range, field.width, what)
    return _masked(field, match, what)


def _range(match: p4r.FieldMatch.Range, width: int, what: str) -> Part:
    low, high = decode(match.low, width, what), decode(match.high, width, what)
    if low > high:
        raise invalid(f"{what}: the range ends at {high}, before it begins at {low}")
    if low == 0 and high == (1 << width) - 1:
        raise invalid(f"{what}: a range of all values must be left out")
    return Part(low, high)


def _masked(field: MatchField, match: p4r.FieldMatch, what: str) -> Part:
    if field.kind == "lpm":
        length, full = match.lpm.prefix_len, (1 << field.width) - 1
        if not 0 < length <= field.width:
            raise invalid(f"{what}: the prefix length {length} is not in 1 to {field.width}; leave the field out for 0")
        value, mask = decode(match.lpm.value, field.width, what), full ^ (full >> length)
    else:
        value, mask = decode(match.ternary.value, field.width, what), decode(match.ternary.mask, field.width, what)
        if mask == 0:
            raise invalid(f"{what}: a mask of zeros must be left out")
    if value & ~mask:
        raise invalid(f"{what}: the value {value:#x} has bits outside of its mask {mask:#x}")
    return Part(value, mask)


def encode_match(field: MatchField, part: Part, match: p4r.FieldMatch) -> None:
    """The reverse of `decode_match`, into a new message."""
    match.field_id = field.id
    if field.kind == "exact":
        match.exact.value = encode(part.value)
    elif field.kind == "optional":
        match.optional.value = encode(part.value)
    elif field.kind == "range":
        match.range.low, match.range.high = encode(part.value), encode(part.mask)
    elif field.kind == "lpm":
        match.lpm.value, match.lpm.prefix_len = encode(part.value), part.mask.bit_count()
    else:
        match.ternary.value, match.ternary.mask = encode(part.value), encode(part.mask)


def decode_action(message: p4r.Action, offered: Mapping[int, ActionRef], where: str) -> tuple[ActionRef, Args]:
    """An action that a table or a profile offers, with its arguments in order.

    Raises:
        EntityError: it is not offered, or its parameters are not those of the action; or it is for default entries only.
    """
    ref = offered.get(message.action_id)
    if ref is None:
        raise invalid(f"{where}: no action with id {message.action_id}")
    given = {param.param_id: param.value for param in message.params}
    if len(given) != len(message.params):
        raise invalid(f"{where}, action {ref.name}: a parameter is given twice")
    args = []
    for param in ref.params:
        if param.id not in given:
            raise invalid(f"{where}, action {ref.name}: the parameter {param.name} is missing")
        args.append(decode(given.pop(param.id), param.width, f"{where}, action {ref.name}, parameter {param.name}"))
    if given:
        raise invalid(f"{where}, action {ref.name}: no parameter with id {min(given)}")
    return ref, tuple(args)


def encode_action(message: p4r.Action, ref: ActionRef, args: Args) -> None:
    """The reverse of `decode_action`, into a new message."""
    message.action_id = ref.id
    for param, value in zip(ref.params, args, strict=True):
        message.params.add(param_id=param.id, value=encode(value))
