"""What an audit of a switch found, in words."""

from collections.abc import Iterator

from controller.dataplane.text import format_action, format_key
from controller.northbound.switch_views import Difference, DriftKind
from controller.southbound.readback import Drift


def differences(drift: Drift) -> Iterator[Difference]:
    """Yield each entry that is not as it should be."""
    for entry in drift.missing:
        yield Difference(DriftKind.MISSING, entry.table, format_key(entry), None, format_action(entry))
    for actual, wanted in drift.different:
        key, is_, should = format_key(actual), format_action(actual), format_action(wanted)
        yield Difference(DriftKind.DIFFERENT, actual.table, key, is_, should)
    for entry in drift.foreign:
        yield Difference(DriftKind.FOREIGN, entry.table, format_key(entry), format_action(entry), None)
