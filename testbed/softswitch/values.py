"""P4Runtime's FieldMatch, Action and MeterConfig messages, to and from what the tables hold."""

from collections.abc import Iterable, Mapping
from typing import Any

from finsy.proto import p4r

from testbed.softswitch.bytestrings import decode, encode
from testbed.softswitch.errors import invalid
from testbed.softswitch.meters import MeterConfig
from testbed.softswitch.schema import ActionRef, MatchField
from testbed.softswitch.tables import Args, Match, Part

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


def wildcard(field: MatchField) -> Part:
    """What an omitted match field means."""
    return Part(0, (1 << field.width) - 1) if field.kind == "range" else Part(0, 0)


def decode_match(field: MatchField, match: p4r.FieldMatch, where: str) -> Part:
    """One FieldMatch as value and mask (range: low and high).

    Raises:
        EntityError: of another kind than the field, a "don't care" that must be omitted, bits outside of the mask.
    """
    what = f"{where}, field {field.name}"
    if match.WhichOneof("field_match_type") != field.kind:
        raise invalid(f"{what}: the match must be of kind {field.kind}, not {match.WhichOneof('field_match_type')}")
    full = (1 << field.width) - 1
    if field.kind in {"exact", "optional"}:
        value = match.exact.value if field.kind == "exact" else match.optional.value
        return Part(decode(value, field.width, what), full)
    if field.kind == "range":
        return _range(match.range, field.width, what)
    return _masked(field, match, what)


def decode_key(given: Iterable[p4r.FieldMatch], fields: Iterable[MatchField], where: str) -> Match:
    """A whole key, in the order of the fields; what is omitted is a wildcard.

    Raises:
        EntityError: a field that is unknown, given twice, or exact and missing; or as `decode_match`.
    """
    known: dict[int, p4r.FieldMatch] = {}
    for match in given:
        if match.field_id in known:
            raise invalid(f"{where}: the match field {match.field_id} is given twice")
        known[match.field_id] = match
    parts = []
    for field in fields:
        match = known.pop(field.id, None)
        if match is not None:
            parts.append(decode_match(field, match, where))
        elif field.kind == "exact":
            raise invalid(f"{where}: the exact field {field.name} is missing")
        else:
            parts.append(wildcard(field))
    if known:
        raise invalid(f"{where}: no match field with id {min(known)}")
    return tuple(parts)


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


def encode_key(messages: Any, fields: Iterable[MatchField], match: Match) -> None:  # noqa: ANN401 - a repeated field has no public type
    """The reverse of `decode_key`, into a repeated field; wildcards are left out."""
    for field, part in zip(fields, match, strict=True):
        if field.kind == "exact" or part != wildcard(field):
            encode_match(field, part, messages.add())


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


def meter_config(message: p4r.MeterConfig) -> MeterConfig:
    """A two-rate meter's configuration.

    Raises:
        EntityError: a negative number, a peak rate below the committed rate, or an excess burst.
    """
    if min(message.cir, message.cburst, message.pir, message.pburst) < 0:
        raise invalid("meter: rates and bursts cannot be negative")
    if message.eburst:
        raise invalid("meter: a two-rate meter has no excess burst")
    if message.pir < message.cir:
        raise invalid(f"meter: the peak rate {message.pir} is below the committed rate {message.cir}")
    return MeterConfig(message.cir, message.cburst, message.pir, message.pburst)


def fill_meter(message: p4r.MeterConfig, config: MeterConfig | None) -> None:
    """The reverse of `meter_config`."""
    if config is not None:
        message.cir, message.cburst, message.pir, message.pburst = config.cir, config.cburst, config.pir, config.pburst
