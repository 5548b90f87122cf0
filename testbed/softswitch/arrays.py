"""Indirect counters, meters and registers as P4Runtime writes and reads them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.bytestrings import decode, encode
from testbed.softswitch.errors import EntityError, invalid, unimplemented
from testbed.softswitch.schema import ArraySchema, Schema
from testbed.softswitch.values import MODIFY, fill_meter, meter_config

_T = TypeVar("_T")


class _Indexed(Protocol):
    index: p4r.Index

    def HasField(self, field_name: str) -> bool: ...  # noqa: N802 - protobuf's own name


class Arrays:
    """Writes and reads the cells of one pipeline's arrays.

    Args:
        schema: the pipeline.
        clock: seconds; when a meter's buckets start to fill.
    """

    def __init__(self, schema: Schema, clock: Callable[[], float]) -> None:
        self._schema = schema
        self._clock = clock

    def write_counter(self, kind: int, message: p4r.CounterEntry) -> None:
        """Set one cell or, without index, all.

        Raises:
            EntityError: unknown counter, bad index, or an update other than MODIFY.
        """
        array, counter = self._find(kind, self._schema.counters, message.counter_id, "counter")
        for index in _indices(array, message):
            if message.HasField("data"):
                counter.packets[index] = message.data.packet_count
                counter.bytes[index] = message.data.byte_count

    def write_meter(self, kind: int, message: p4r.MeterEntry) -> None:
        """Configure one cell or, without index, all; without a configuration they are always green.

        Raises:
            EntityError: unknown meter, bad index or configuration, or an update other than MODIFY.
        """
        array, meter = self._find(kind, self._schema.meters, message.meter_id, "meter")
        if message.HasField("counter_data"):
            raise unimplemented("counters by colour of a meter")
        config = meter_config(message.config) if message.HasField("config") else None
        for index in _indices(array, message):
            meter.configure(index, config, self._clock())

    def write_register(self, kind: int, message: p4r.RegisterEntry) -> None:
        """Set one cell or, without index, all.

        Raises:
            EntityError: unknown register, bad index or value, or an update other than MODIFY.
        """
        array, cells = self._find(kind, self._schema.registers, message.register_id, "register")
        if message.data.WhichOneof("data") != "bitstring":
            raise invalid(f"register {array.name}: the value must be a bit string")
        value = decode(message.data.bitstring, array.width, f"register {array.name}")
        for index in _indices(array, message):
            cells[index] = value

    def read_counter(self, message: p4r.CounterEntry) -> Iterator[p4r.Entity]:
        """Cells that a request asks for; id 0 is every counter, no index every cell.

        Raises:
            EntityError: unknown counter or bad index.
        """
        for array, counter in self._select(self._schema.counters, message.counter_id, "counter"):
            for index in _indices(array, message):
                entity = p4r.Entity()
                entry = entity.counter_entry
                entry.counter_id = array.id
                entry.index.index = index
                entry.data.SetInParent()
                if array.packets:
                    entry.data.packet_count = counter.packets[index]
                if array.bytes:
                    entry.data.byte_count = counter.bytes[index]
                yield entity

    def read_meter(self, message: p4r.MeterEntry) -> Iterator[p4r.Entity]:
        """As `read_counter`, for meters: a cell without configuration has none in the answer.

        Raises:
            EntityError: unknown meter or bad index.
        """
        for array, meter in self._select(self._schema.meters, message.meter_id, "meter"):
            for index in _indices(array, message):
                entity = p4r.Entity()
                entity.meter_entry.meter_id = array.id
                entity.meter_entry.index.index = index
                fill_meter(entity.meter_entry.config, meter.config(index)) if meter.config(index) else None
                yield entity

    def read_register(self, message: p4r.RegisterEntry) -> Iterator[p4r.Entity]:
        """As `read_counter`, for registers.

        Raises:
            EntityError: unknown register or bad index.
        """
        for array, cells in self._select(self._schema.registers, message.register_id, "register"):
            for index in _indices(array, message):
                entity = p4r.Entity()
                entity.register_entry.register_id = array.id
                entity.register_entry.index.index = index
                entity.register_entry.data.bitstring = encode(cells[index])
                yield entity

    @staticmethod
    def _find(kind: int, known: dict[int, tuple[ArraySchema, _T]], number: int, what: str) -> tuple[ArraySchema, _T]:
        if kind != MODIFY:
            raise invalid(f"a {what} can only be modified")
        if number not in known:
            raise invalid(f"no {what} with id {number}")
        return known[number]

    @staticmethod
    def _select(known: dict[int, tuple[ArraySchema, _T]], number: int, what: str) -> Iterable[tuple[ArraySchema, _T]]:
        if number and number not in known:
            raise invalid(f"no {what} with id {number}")
        return [known[number]] if number else list(known.values())


def _indices(array: ArraySchema, message: _Indexed) -> Iterable[int]:
    if not message.HasField("index"):
        return range(array.size)
    index = message.index.index
    if index < 0:
        raise invalid(f"{array.name}: the index {index} is negative")
    if index >= array.size:
        raise EntityError(errors.OUT_OF_RANGE, f"{array.name}: the index {index} is beyond its {array.size} cells")
    return (index,)
