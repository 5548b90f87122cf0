"""Table entries as people read them: names, and addresses where there are addresses."""

from collections import Counter

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Lpm, Match, Range, Ternary
from controller.mobility.address import Address, format_address


def spelled(value: int, width: int) -> str | int:
    """Return a number of so many bits as people write it: an IPv6 or MAC address as text, any other number as it is."""
    match width:
        case 128:
            return format_address(Address(value.to_bytes(16)))
        case 48:
            return value.to_bytes(6).hex(":")
    return value


def _number(value: int, width: int) -> str:
    return str(spelled(value, width))


def _value(match: Match, width: int) -> str:
    match match:
        case None:
            return "any"
        case Lpm(value, length):
            return f"{_number(value, width)}/{length}"
        case Ternary(value, mask):
            whole = mask == (1 << width) - 1
            return _number(value, width) if whole else f"{_number(value, width)} & {mask:#x}"
        case Range(low, high):
            return str(low) if low == high else f"{low}-{high}"
    return _number(match, width)


def format_key(entry: Entry) -> str:
    """Return an entry's key: the name and value of each field that is given, and the priority if it has one."""
    if entry.table == p.MULTICAST_GROUPS:
        return f"group_id={entry.match[0]}"
    table = p.TABLES[entry.table]
    parts = [
        f"{field.name}={_value(match, field.width)}"
        for field, match in zip(table.fields, entry.match, strict=True)
        if match is not None
    ]
    if entry.priority:
        parts.append(f"priority={entry.priority}")
    return " ".join(parts) or "any"


def format_action(entry: Entry) -> str:
    """Return an entry's action with the names and values of its parameters, and its rate if it has one."""
    if entry.table == p.MULTICAST_GROUPS:
        return f"copy(bids={', '.join(map(str, entry.params))})"
    table = p.TABLES[entry.table]
    action = next((one for one in table.actions if one.name == entry.action), None)
    if action is not None and table.selector:
        size = len(action.params)
        several = Counter(entry.params[start : start + size] for start in range(0, len(entry.params), size))
        text = " or ".join(
            _call(action, params) if len(several) == 1 else f"{times}/{several.total()} {_call(action, params)}"
            for params, times in several.items()
        )
    else:
        text = f"{entry.action}{entry.params}" if action is None else _call(action, entry.params)
    return text if entry.rate is None else f"{text} at {entry.rate.per_second}/s burst {entry.rate.burst}"


def _call(action: p.Action, params: tuple[int, ...]) -> str:
    if len(action.params) != len(params):
        return f"{action.name}{params}"
    named = (f"{param.name}={_number(value, param.width)}" for param, value in zip(action.params, params, strict=True))
    return f"{action.name}({', '.join(named)})"
