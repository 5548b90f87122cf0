"""Table updates in names, for operators."""

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Lpm, Range, Ternary, Update
from controller.dataplane.text import spelled
from controller.northbound.views import TableUpdate


def described(update: Update) -> TableUpdate:
    """Return a table update in names."""
    entry = update.entry
    op = update.op.name.lower()
    if entry.table == p.MULTICAST_GROUPS:
        bids = {f"bid_{position}": bid for position, bid in enumerate(entry.params, start=1)}
        return TableUpdate(op, entry.table, {"group_id": str(entry.match[0])}, entry.action, bids)
    table = p.TABLES[entry.table]
    action = next(action for action in table.actions if action.name == entry.action)
    match = {
        field.name: text
        for field, value in zip(table.fields, entry.match, strict=True)
        if (text := _matched(value, field.width)) is not None
    }
    params = {
        param.name: spelled(value, param.width) for param, value in zip(action.params, entry.params, strict=False)
    }
    return TableUpdate(op, entry.table, match, entry.action, params, entry.priority)


def _matched(value: object, width: int) -> str | None:
    match value:
        case int():
            return str(spelled(value, width))
        case Lpm(network, length):
            return f"{spelled(network, width)}/{length}"
        case Ternary(bits, mask):
            length = mask.bit_count()
            if width == 128 and mask == ((1 << length) - 1) << (width - length):
                return f"{spelled(bits, width)}/{length}"
            return str(spelled(bits, width)) if mask == (1 << width) - 1 else f"{bits:#x} &&& {mask:#x}"
        case Range(low, high):
            return f"{low}-{high}"
    return None
