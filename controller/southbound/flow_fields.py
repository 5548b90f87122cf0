"""How one program's table of flow bindings says what a key of ours says: read from P4Info, whatever the target's name.

A key of ours has every field of `dataplane.pipeline`, ports as ranges. A program may have ports as ternary fields, as chips with
stages want it; then a range is an aligned block. It may have no field for the SPI: of ESP and AH the halves of the SPI stand
where ports do. And it may have none for the IP version. Everything else has to be there.
"""

from collections.abc import Iterable
from typing import Any, Final

from finsy.proto import p4i

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Match, Range, Ternary
from controller.mobility.expansion import FULL, WITH_SPI, KeyShape

_FIELDS: Final = {field.name: field for field in p.TABLES[p.FLOW_BINDINGS].fields}
_PORTS: Final = ("source_port", "destination_port")
_PORT_BITS: Final = 16
_SPI: Final = "spi"
_VERSION: Final = "ipv4"
OPTIONAL: Final = frozenset({_SPI, _VERSION})
"""Fields that a program may do without."""


class FlowFields:
    """Translates keys of one program's `flow_bindings`.

    Args:
        info: its `p4.config.v1.P4Info`, which has what `requirements` asks for.
    """

    def __init__(self, info: Any) -> None:  # noqa: ANN401  finsy's messages have no types
        fields = {
            field.name: field.match_type
            for table in info.tables
            if table.preamble.alias == p.FLOW_BINDINGS
            for field in table.match_fields
        }
        self._names: Final = tuple(fields)
        self._ternary_ports: Final = any(fields.get(name) == p4i.MatchField.TERNARY for name in _PORTS)
        self._folded: Final = _SPI not in fields
        self.shape: Final = KeyShape(not self._ternary_ports, not self._folded, _VERSION in fields)
        """What its keys can say."""
        self.same: Final = self.shape == FULL and self._names == tuple(_FIELDS)
        """Its keys are as ours: there is nothing to translate."""

    def to_switch(self, match: tuple[Match, ...]) -> tuple[Match, ...]:
        """Return the key in the fields of the program.

        Raises:
            ValueError: it says what the program's keys cannot say.
        """
        values = dict(zip(_FIELDS, match, strict=True))
        if self._ternary_ports:
            for name in _PORTS:
                values[name] = _as_block(values[name])
        if self._folded and (spi := values.pop(_SPI)) is not None:
            if not isinstance(spi, Ternary) or not _is_spi(values["protocol"]):
                raise ValueError("an SPI says something only together with ESP or AH as protocol")
            for name, half in zip(_PORTS, _halves(spi), strict=True):
                if values[name] is not None:
                    raise ValueError(f"it has an SPI and {name}")
                values[name] = half
        found = tuple(values.pop(name) for name in self._names)
        if any(left is not None for left in values.values()):
            raise ValueError(f"the program cannot match {', '.join(values)}")
        return found

    def from_switch(self, match: tuple[Match, ...]) -> tuple[Match, ...]:
        """Return the key in our fields. What no entry of ours looks like stays as it is."""
        values = dict.fromkeys(_FIELDS) | dict(zip(self._names, match, strict=True))
        if self._folded and _is_spi(values["protocol"]):
            values[_SPI] = _joined(*(values[name] for name in _PORTS))
            values |= dict.fromkeys(_PORTS)
        elif self._ternary_ports:
            for name in _PORTS:
                values[name] = _as_range(values[name])
        return tuple(values[name] for name in _FIELDS)


def _is_spi(protocol: Match) -> bool:
    return isinstance(protocol, Ternary) and protocol.mask == 0xFF and protocol.value in WITH_SPI


def _as_block(ports: Match) -> Match:
    """Return a range of ports as value under mask.

    Raises:
        ValueError: it is no aligned block.
    """
    if not isinstance(ports, Range):
        return ports
    low, high = ports
    size = high - low + 1
    if size & (size - 1) or low & (size - 1):
        raise ValueError(f"the program matches ports under a mask, and {low} to {high} is no aligned block")
    return Ternary(low, (1 << _PORT_BITS) - size)


def _as_range(ports: Match) -> Match:
    if not isinstance(ports, Ternary):
        return ports
    size = (1 << _PORT_BITS) - ports.mask
    return ports if size & (size - 1) else Range(ports.value, ports.value + size - 1)


def _halves(spi: Ternary) -> Iterable[Ternary | None]:
    """Return what stands in the place of the source port, and of the destination port."""
    value, mask = spi
    for shift in (_PORT_BITS, 0):
        part = mask >> shift & 0xFFFF
        yield Ternary(value >> shift & 0xFFFF, part) if part else None


def _joined(upper: Match, lower: Match) -> Ternary | None:
    value = mask = 0
    for half in (upper, lower):
        one = half if isinstance(half, Ternary) else Ternary(0, 0)
        value, mask = value << _PORT_BITS | one.value, mask << _PORT_BITS | one.mask
    return Ternary(value, mask) if mask else None
