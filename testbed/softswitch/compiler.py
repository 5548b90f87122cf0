"""Turns a program into one Python function, specialised for it, and the run-time state that the function works on.

The function is `process(p, ingress_port)`: it takes a frame and gives back what leaves, as pairs of port and frame. Parser, ingress,
egress and deparser stand in it one after the other; header fields are its local variables; tables are looked up in place.
"""

import logging
import random
import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from testbed.softswitch.controls import accounts
from testbed.softswitch.errors import ArtefactError, UnsupportedError
from testbed.softswitch.expressions import HELPERS
from testbed.softswitch.function import FunctionWriter
from testbed.softswitch.hashes import HASHES
from testbed.softswitch.meters import MeterArray
from testbed.softswitch.profiles import Member, Profile
from testbed.softswitch.program import Json, Program, Table
from testbed.softswitch.replication import Replication
from testbed.softswitch.scope import Scope
from testbed.softswitch.tables import Entry, ExactTable, MaskedTable, Part, ValueSet, make_table

_logger = logging.getLogger(__name__)

Output = Iterable[tuple[int, bytes]]
Process = Callable[[bytes, int], Output]
Clock = Callable[[], float]


class CounterArray:
    """An indirect counter: packets and bytes of every cell."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.packets = [0] * size
        self.bytes = [0] * size


class Hooks:
    """What the generated code calls on its way."""

    def __init__(self) -> None:
        self.learn: Callable[[int, tuple[int, ...]], None] = lambda _list, _values: None
        """Takes the number of a learn list and the values of a digest."""
        self.failures = 0
        """Packets that were dropped because an assertion failed."""

    def take(self, list_id: int, values: tuple[int, ...]) -> None:
        """Pass a digest on."""
        self.learn(list_id, values)

    def failed(self, where: str) -> Output:
        """Count an assertion that failed; nothing leaves."""
        self.failures += 1
        _logger.error("assertion failed in %s: the packet is dropped", where)
        return ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program that is ready to run, with empty tables."""

    program: Program
    process: Process
    source: str
    """The generated Python, for reading."""
    tables: dict[str, ExactTable | MaskedTable]
    """By name; tables that only wrap statements of a control are not among them."""
    counters: dict[str, CounterArray]
    meters: dict[str, MeterArray]
    registers: dict[str, list[int]]
    profiles: dict[str, Profile]
    value_sets: dict[str, ValueSet]
    hooks: Hooks
    replication: Replication


def compile_program(program: Program, clock: Clock = time.monotonic, visible: Collection[str] = ()) -> Compiled:
    """Generate and build the function.

    Args:
        program: from `load_program`.
        clock: seconds; what meters and timestamps go by.
        visible: names of tables that the control plane can see; a table without key and with a constant default action that is
            not among them is written out as plain statements.

    Raises:
        ArtefactError: the program is inconsistent.
        UnsupportedError: a construct that this switch does not run.
    """
    try:
        return _Compiler(program, clock, visible).compile()
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise UnsupportedError(f"a construct that nests this deeply or is this large ({error})", "program") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"the BMv2 JSON is inconsistent: {type(error).__name__} {error}") from error


class _Compiler:
    def __init__(self, program: Program, clock: Clock, visible: Collection[str]) -> None:
        self._program = program
        self._visible = visible
        self._clock = clock
        self._scope = Scope(program)
        self._environment: dict[str, object] = dict(HELPERS)
        self._environment |= {f"hash_{name}": function for name, function in HASHES.items()}
        self._environment |= {"now": clock, "log_msg": _log, "randint": random.Random().randint, "start": clock()}  # noqa: S311 - the program's random() needs no secrecy
        self._table_names: dict[str, str] = {}
        self._replication = Replication()
        self._hooks = Hooks()
        self._environment |= {
            "group": self._replication.group,
            "session": self._replication.session,
            "learn": self._hooks.take,
            "failed": self._hooks.failed,
        }
        self._environment |= {f"zero{h.bits // 8}": bytes(h.bits // 8) for h in program.headers.values()}

    def compile(self) -> Compiled:
        program = self._program
        tables = self._make_tables()
        counters = {c.name: CounterArray(c.size) for c in program.counters.values() if c.direct is None}
        meters = {m.name: MeterArray(m.size) for m in program.meters.values() if m.direct is None}
        registers = {r.name: [0] * r.size for r in program.registers.values()}
        value_sets = {name: ValueSet(name) for name in program.value_sets}
        profiles = {name: Profile(name) for name in program.profiles}
        arrays = self._bind_arrays(counters, meters, registers)
        text = FunctionWriter(self._scope, arrays, self._table_names, self._environment, value_sets).write()
        code = compile(text, f"<{program.start} of {len(tables)} tables>", "exec")
        exec(code, self._environment)  # noqa: S102 - the text is our own, made from checked parts of the program
        process = self._environment["process"]
        if not callable(process):
            raise ArtefactError("the generated module has no function")
        return Compiled(
            program,
            process,
            text,
            tables,
            counters,
            meters,
            registers,
            profiles,
            value_sets,
            self._hooks,
            self._replication,
        )

    # -- run-time state ------------------------------------------------------------------------------------------------

    def _make_tables(self) -> dict[str, ExactTable | MaskedTable]:
        tables: dict[str, ExactTable | MaskedTable] = {}
        for spec in self._program.tables.values():
            if not spec.keys and spec.default_const and spec.name not in self._visible:
                continue
            _check_default(spec)
            default = Entry(spec.default, spec.default_args, hit=False)
            if spec.profile is not None:
                default.target = Member(spec.default, spec.default_args)
            table = make_table(
                spec.name,
                tuple(k.kind for k in spec.keys),
                spec.size,
                default,
                tuple(k.width for k in spec.keys),
                accounts=accounts(spec),
            )
            _fill(table, spec)
            name = f"T{len(tables)}_" + re.sub(r"\W", "_", spec.name)
            self._table_names[spec.name] = name
            self._environment[name] = table
            self._environment[f"{name}_get"] = table.get
            self._environment[f"{name}_entries"] = table.entries
            tables[spec.name] = table
        return tables

    def _bind_arrays(
        self, counters: dict[str, CounterArray], meters: dict[str, MeterArray], registers: dict[str, list[int]]
    ) -> dict[str, str]:
        names: dict[str, str] = {}

        def bind(name: str, values: dict[str, object]) -> None:
            names[name] = f"A{len(names)}_" + re.sub(r"\W", "_", name)
            self._environment |= {names[name] + suffix: value for suffix, value in values.items()}

        for name, counter in counters.items():
            bind(name, {"_packets": counter.packets, "_bytes": counter.bytes, "_size": counter.size})
        for name, meter in meters.items():
            bind(name, {"": meter, "_size": meter.size})
        for name, register in registers.items():
            bind(name, {"": register, "_size": len(register)})
        return names


def _log(form: str, values: list[int]) -> None:
    _logger.info("%s", form.format(*values) if form.count("{}") == len(values) else f"{form} {values}")


def _check_default(spec: Table) -> None:
    if len(spec.default_args) != len(spec.actions[spec.default].params):
        raise ArtefactError(
            f"table {spec.name}: the default action {spec.actions[spec.default].name} has {len(spec.default_args)} arguments,"
            f" not {len(spec.actions[spec.default].params)}"
        )


def _fill(table: ExactTable | MaskedTable, spec: Table) -> None:
    """Put the program's own entries in. Their priorities count the other way round: the smallest number wins."""
    if spec.entries and spec.profile is not None:
        raise UnsupportedError("entries in a table with an action profile", f"table {spec.name}")
    ids = [action.id for action in spec.actions]
    lowest = max((item.get("priority", 0) for item in spec.entries), default=0)
    ordered = spec.kind in {"ternary", "range"}
    for item in spec.entries:
        match = tuple(_part(part, key.width) for part, key in zip(item["match_key"], spec.keys, strict=True))
        action = item["action_entry"]
        args = tuple(int(value, 16) for value in action["action_data"])
        priority = lowest - item.get("priority", 0) + 1 if ordered else 0
        table.insert(Entry(ids.index(action["action_id"]), args, match, priority))
        table.constant = True


def _part(data: Json, width: int) -> Part:
    full = (1 << width) - 1
    kind = data["match_type"]
    if kind == "range":
        return Part(int(data["start"], 16), int(data["end"], 16))
    value = int(data["key"], 16)
    if kind == "lpm":
        mask = full ^ (full >> data["prefix_length"])
    elif kind == "ternary":
        mask = int(data["mask"], 16)
    else:
        mask = full
    return Part(value & mask, mask)
