"""Table updates in names, for operators."""

from typing import TYPE_CHECKING

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Lpm, Range, Ternary, Update
from controller.mobility.address import Address, format_address
from controller.northbound.views import TableUpdate

if TYPE_CHECKING:
    from collections.abc import Callable


def described(update: Update) -> TableUpdate:
    """Return a table update in names."""
    entry = update.entry
    if entry.table == p.MULTICAST_GROUPS:
        bids = {f"bid_{position}": bid for position, bid in enumerate(entry.params, start=1)}
        return TableUpdate(update.op.name.lower(), entry.table, {"group_id": str(entry.match[0])}, entry.action, bids)
    table = p.TABLES[entry.table]
    action = next(action for action in table.actions if action.name == entry.action)
    match = {
        field.name: text
        for field, value in zip(table.fields, entry.match, strict=True)
        if (text := _matched(value, field.width)) is not None
    }
    params = dict(zip((param.name for param in action.params), entry.params, strict=False))
    return TableUpdate(update.op.name.lower(), entry.table, match, entry.action, params, entry.priority)


def _matched(value: object, width: int) -> str | None:
    spell: Callable[[int], str] = _address if width == 128 else str
    match value:
        case int():
            return spell(value)
        case Lpm(network, length):
            return f"{spell(network)}/{length}"
        case Ternary(bits, mask):
            length = mask.bit_count()
            if width == 128 and mask == ((1 << length) - 1) << (width - length):
                return f"{spell(bits)}/{length}"
            return spell(bits) if mask == (1 << width) - 1 else f"{bits:#x} &&& {mask:#x}"
        case Range(low, high):
            return f"{low}-{high}"
    return None


def _address(number: int) -> str:
    return format_address(Address(number.to_bytes(16)))
