"""Source text for the parser: states as labelled blocks in one loop, in an order in which almost every transition goes down."""

from collections.abc import Mapping

from testbed.softswitch.actions import Body
from testbed.softswitch.errors import ArtefactError, UnsupportedError
from testbed.softswitch.expressions import Expressions, store
from testbed.softswitch.layout import Layout
from testbed.softswitch.program import Json, State, whole
from testbed.softswitch.scope import Scope
from testbed.softswitch.source import Source
from testbed.softswitch.tables import ValueSet

_ERRORS = {
    "PacketTooShort": 1,
    "NoMatch": 2,
    "StackOutOfBounds": 3,
    "HeaderTooShort": 4,
    "ParserTimeout": 5,
    "ParserInvalidArgument": 6,
}
MAX_TURNS = 1 << 16
"""How often a parser may go back to an earlier state: more than any frame has bytes. Then it ends with ParserTimeout."""
DEPTH = 12
"""How deep states nest before they become a labelled block."""


class ParserWriter:
    """Writes `while 1:` with one block a state; `o` is the offset, `end` the length, `n` the state, `error` the parser error."""

    def __init__(
        self, scope: Scope, source: Source, environment: dict[str, object], value_sets: Mapping[str, ValueSet]
    ) -> None:
        self._scope = scope
        self._source = source
        self._environment = environment
        self._value_sets = value_sets
        self._layouts = {
            h.name: Layout(scope, h, environment) for h in scope.program.headers.values() if not h.metadata
        }
        self._order = self._topological()
        self._number = {name: index + 1 for index, name in enumerate(self._order)}
        self._labelled: set[str] = set()
        self._returns = any(scope.program.start in self._targets(state) for state in scope.program.states.values())
        """Whether a transition leads back to the first state."""

    def write(self) -> None:
        """Write the whole parser.

        Raises:
            UnsupportedError: an operation that this switch does not run.
        """
        self._labelled = self._joins()
        self._source.line("n = 1")
        self._source.line("turns = 0")
        with self._source.block("while 1:"):
            for name in self._order:
                if name in self._labelled:
                    with self._source.block(f"if n == {self._number[name]}:"):
                        self._state(self._scope.program.states[name], 0)
            self._source.line("break")

    def _targets(self, state: State) -> list[str]:
        found = [t["next_state"] for t in state.transitions if t["next_state"] is not None]
        for name in found:
            if name not in self._scope.program.states:
                raise ArtefactError(f"parser state {state.name}: no state {name!r}")
        return found

    def _topological(self) -> list[str]:
        done: list[str] = []
        seen: set[str] = set()
        stack: list[tuple[str, bool]] = [(self._scope.program.start, False)]
        while stack:
            name, finished = stack.pop()
            if finished:
                done.append(name)
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack += [(target, False) for target in self._targets(self._scope.program.states[name])]
        return done[::-1]

    def _joins(self) -> set[str]:
        """States that more than one transition leads to, and those that a transition leads up to."""
        seen: set[str] = set()
        joins = {self._scope.program.start}
        for name in self._order:
            for target in self._targets(self._scope.program.states[name]):
                if target in seen or self._number[target] <= self._number[name]:
                    joins.add(target)
                seen.add(target)
        depth = {self._scope.program.start: 0}
        for name in self._order:
            for target in self._targets(self._scope.program.states[name]):
                if target not in joins:
                    depth[target] = (0 if name in joins else depth[name]) + 1
                    if depth[target] > DEPTH:
                        joins.add(target)
        return joins

    def _state(self, state: State, depth: int) -> None:
        where = f"parser state {state.name}"
        entered_once = state.name == self._scope.program.start and not self._returns
        for position, op in enumerate(state.ops):
            if entered_once and _removes(op) and all(_removes(before) for before in state.ops[:position]):
                continue  # p4c removes all headers where the parser starts: none is there yet
            self._op(op, where)
        self._select(state, where, depth)

    # -- operations ----------------------------------------------------------------------------------------------------

    def _op(self, op: Json, where: str) -> None:
        kind, parameters = op["op"], op["parameters"]
        if kind in {"extract", "extract_VL"}:
            self._length(parameters[1:], where)
            self._extract(parameters[0], where)
        elif kind == "set":
            expressions = Expressions(self._scope, where)
            value = expressions.value(parameters[1])
            self._need(expressions.lookahead)
            header, name = parameters[0]["value"]
            variable, field = self._scope.field(header, name, where)
            self._source.line(f"{variable} = {store(field, value)}")
            if not self._scope.program.headers[header].metadata:
                self._source.line(f"{self._scope.dirty(header)} = 1")
        elif kind == "verify":
            expressions = Expressions(self._scope, where)
            condition, code = expressions.condition(parameters[0]), expressions.value(parameters[1])
            self._need(expressions.lookahead)
            with self._source.block(f"if not {condition}:"):
                self._source.line(f"error = {code.code}")
                self._source.line("break")
        elif kind in {"advance", "shift"}:
            self._advance(kind, parameters[0], where)
        elif kind == "primitive":
            if parameters[0]["op"] == "exit":
                raise UnsupportedError("the primitive 'exit'", where)
            Body(self._scope, self._source, {}, where, ()).write(parameters)
        else:
            raise UnsupportedError(f"the parser operation {kind!r}", where)

    def _length(self, parameters: list[Json], where: str) -> None:
        """Leave in `v` the bytes of the variable-length field that is extracted next."""
        if parameters:
            expressions = Expressions(self._scope, where)
            amount = expressions.value(parameters[0])
            self._need(expressions.lookahead)
            self._source.line(f"v = {amount.code}")
            self._fail("v & 7 or v < 0", "ParserInvalidArgument")
            self._source.line("v >>= 3")
        elif any(header.variable for header in self._scope.program.headers.values()):
            self._source.line("v = 0")

    def _extract(self, parameter: Json, where: str) -> None:
        if parameter["type"] == "regular":
            self._extract_header(parameter["value"])
        elif parameter["type"] == "stack":
            stack = parameter["value"]
            members, index = self._scope.program.stacks[stack], self._scope.next(stack)
            self._fail(f"{index} >= {len(members)}", "StackOutOfBounds")
            for number, member in enumerate(members):
                with self._source.block(f"{'elif' if number else 'if'} {index} == {number}:"):
                    self._extract_header(member)
            self._source.line(f"{index} += 1")
        else:
            raise UnsupportedError(f"an extraction to {parameter['type']!r}", where)

    def _extract_header(self, header: str) -> None:
        layout, scope = self._layouts[header], self._scope
        self._source.line(f"e = o + {layout.size}{' + v' if layout.varbit else ''}")
        self._fail("e > end", "PacketTooShort")
        longest = scope.program.headers[header].max_bytes
        if layout.varbit and longest:
            self._fail(f"v > {longest - layout.size}", "HeaderTooShort")
        self._source.line(f"{scope.raw(header)} = p[o:e]")
        self._source.lines(layout.decode())
        self._source.line(f"{scope.valid(header)} = 1")
        self._source.line(f"{scope.dirty(header)} = 0")
        self._source.line("o = e")

    def _advance(self, kind: str, parameter: Json, where: str) -> None:
        if kind == "shift":
            self._source.line(f"e = o + {whole(parameter)}")
        else:
            expressions = Expressions(self._scope, where)
            amount = expressions.value(parameter)
            self._need(expressions.lookahead)
            self._source.line(f"e = {amount.code}")
            if parameter["type"] != "hexstr" or int(parameter["value"], 16) % 8:
                self._fail("e & 7", "ParserInvalidArgument")
            self._source.line("e = o + (e >> 3)")
        self._fail("e > end", "PacketTooShort")
        self._source.line("o = e")

    def _need(self, size: int) -> None:
        if size:
            self._fail(f"o + {size} > end", "PacketTooShort")

    def _fail(self, condition: str, name: str) -> None:
        code = self._scope.program.errors.get(name, _ERRORS[name])
        with self._source.block(f"if {condition}:"):
            self._source.line(f"error = {code}")
            self._source.line("break")

    # -- transitions ---------------------------------------------------------------------------------------------------

    def _select(self, state: State, where: str, depth: int) -> None:
        expressions = Expressions(self._scope, where)
        texts = [expressions.value(item) for item in state.key]
        self._need(expressions.lookahead)
        keys, widths = [], []
        for number, (item, text) in enumerate(zip(state.key, texts, strict=True)):
            width = text.bits if text.bits is not None else self._signed_width(item, where)
            code = text.code if text.bits is not None else f"{text.code} & {(1 << width) - 1:#x}"
            if not code.isidentifier():
                self._source.line(f"s{number} = {code}")
                code = f"s{number}"
            keys.append(code)
            widths.append(width)
        word = "if"
        for transition in state.transitions:
            if transition.get("type", "hexstr") == "parse_vset":
                condition = self._in_set(transition["value"], keys, widths, where)
                with self._source.block(f"{word} {condition}:"):
                    self._go(transition["next_state"], state, depth)
                word = "elif"
                continue
            if transition["value"] in {None, "default"} or transition.get("type") == "default":
                self._otherwise(word, transition["next_state"], state, depth)
                return
            condition = _matches(keys, widths, transition)
            with self._source.block(f"{word} {condition}:"):
                self._go(transition["next_state"], state, depth)
            word = "elif"
        self._otherwise(word, None, state, depth)

    def _in_set(self, name: str, keys: list[str], widths: list[int], where: str) -> str:
        values = self._value_sets[name]
        if values.widths not in {None, tuple(widths)}:
            raise UnsupportedError(f"the value set {name} for keys of different widths", where)
        values.widths = tuple(widths)
        self._environment[f"V_{list(self._value_sets).index(name)}"] = values.contains
        return f"V_{list(self._value_sets).index(name)}({', '.join(keys)})"

    def _otherwise(self, word: str, target: str | None, state: State, depth: int) -> None:
        if word == "if":
            self._go(target, state, depth)
        else:
            with self._source.block("else:"):
                self._go(target, state, depth)

    def _go(self, target: str | None, state: State, depth: int) -> None:
        if target is None:
            self._source.line("break")
        elif target not in self._labelled:
            self._state(self._scope.program.states[target], depth + 1)
        else:
            self._source.line(f"n = {self._number[target]}")
            if self._number[target] <= self._number[state.name]:
                self._source.line("turns += 1")
                self._fail(f"turns > {MAX_TURNS}", "ParserTimeout")
                self._source.line("continue")

    def _signed_width(self, item: Json, where: str) -> int:
        if item["type"] == "field":
            return self._scope.field(item["value"][0], item["value"][1], where)[1].width
        raise UnsupportedError(f"a transition key of type {item['type']!r}", where)


def _removes(op: Json) -> bool:
    return bool(op["op"] == "primitive" and op["parameters"][0]["op"] == "remove_header")


def _matches(keys: list[str], widths: list[int], transition: Json) -> str:
    """The condition of one transition; its value is the key's fields one after the other, each padded to bytes."""
    value = int(transition["value"], 16)
    mask = None if transition.get("mask") is None else int(transition["mask"], 16)
    parts = []
    shift = sum((width + 7) // 8 * 8 for width in widths)
    for key, width in zip(keys, widths, strict=True):
        shift -= (width + 7) // 8 * 8
        full = (1 << width) - 1
        want = value >> shift & full
        bits = full if mask is None else mask >> shift & full
        if bits == full:
            parts.append(f"{key} == {want:#x}")
        elif bits:
            parts.append(f"{key} & {bits:#x} == {want & bits:#x}")
    return " and ".join(parts) or "1"
