"""Source text for the ingress and egress controls.

A control is a graph without cycles. Nodes that one edge leads to are written where that edge is; nodes where edges join become a
block `if n == 7:` further down, in topological order. Tables are looked up in place, and the bodies of their actions stand below an
if on the number of the action.
"""

from collections.abc import Mapping

from testbed.softswitch.actions import Body, exits
from testbed.softswitch.calculations import hash_over
from testbed.softswitch.errors import ArtefactError
from testbed.softswitch.expressions import Expressions, Text
from testbed.softswitch.program import Action, ActionProfile, Condition, Pipeline, Table
from testbed.softswitch.scope import Scope
from testbed.softswitch.source import Source
from testbed.softswitch.tables import COUNTER_BITS, key_factors

DEPTH = 10


class ControlWriter:
    """Writes one control.

    Args:
        scope: the variables.
        source: where the text goes.
        arrays: names in the generated code of counter, meter and register arrays.
        tables: names in the generated code of tables; those that are missing run their default action and nothing else.
        pipeline: the control.
    """

    def __init__(
        self, scope: Scope, source: Source, arrays: Mapping[str, str], tables: Mapping[str, str], pipeline: Pipeline
    ) -> None:
        self._scope = scope
        self._source = source
        self._arrays = arrays
        self._tables = tables
        self._pipeline = pipeline
        self._order = self._topological()
        self._number = {name: index + 1 for index, name in enumerate(self._order)}
        self._labelled = self._joins()

    def write(self) -> None:
        """Write all of it.

        Raises:
            UnsupportedError: a construct that this switch does not run.
        """
        if self._pipeline.start is None:
            return
        self._source.line("n = 0")
        self._go(self._pipeline.start)
        for name in self._order:
            if name in self._labelled:
                with self._source.block(f"if n == {self._number[name]}:"):
                    self._node(name)

    # -- the graph -----------------------------------------------------------------------------------------------------

    def _targets(self, name: str) -> list[str]:
        node = self._pipeline.nodes.get(name)
        if node is None:
            raise ArtefactError(f"control {self._pipeline.name}: no node {name!r}")
        if isinstance(node, Condition):
            edges = [node.true_next, node.false_next]
        elif _common_next(node):
            edges = [next(iter(node.next.values()))]
        elif _by_hit(node):
            edges = [node.next.get("__HIT__"), node.next.get("__MISS__")]
        else:
            edges = [node.next.get(action.name) for action in self._possible(node)]
        return [edge for edge in edges if edge is not None]

    def _possible(self, table: Table) -> tuple[Action, ...]:
        return table.actions if table.name in self._tables else (table.actions[table.default],)

    def _topological(self) -> list[str]:
        done: list[str] = []
        state: dict[str, int] = {}
        stack = [(self._pipeline.start, False)] if self._pipeline.start else []
        while stack:
            name, finished = stack.pop()
            if finished:
                state[name] = 2
                done.append(name)
                continue
            if name in state:
                continue
            state[name] = 1
            stack.append((name, True))
            for target in self._targets(name):
                if state.get(target) == 1 and any(item == (target, True) for item in stack):
                    raise ArtefactError(f"control {self._pipeline.name}: the nodes {name} and {target} form a cycle")
                stack.append((target, False))
        return done[::-1]

    def _joins(self) -> set[str]:
        seen: set[str] = set()
        joins: set[str] = set()
        depth = {self._pipeline.start: 0}
        for name in self._order:
            for target in self._targets(name):
                if target in seen:
                    joins.add(target)
                seen.add(target)
        for name in self._order:
            for target in self._targets(name):
                if target not in joins:
                    depth[target] = (0 if name in joins else depth[name]) + 1
                    if depth[target] > DEPTH:
                        joins.add(target)
        return joins

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def _go(self, target: str | None) -> None:
        if target is None:
            return
        if target in self._labelled:
            self._source.line(f"n = {self._number[target]}")
        else:
            self._node(target)

    def _node(self, name: str) -> None:
        node = self._pipeline.nodes[name]
        if isinstance(node, Condition):
            text = Expressions(self._scope, f"condition {name}").condition(node.expression)
            with self._source.block(f"if {text}:"):
                self._go(node.true_next)
            if node.false_next is not None:
                with self._source.block("else:"):
                    self._go(node.false_next)
        elif name in self._tables:
            self._table(node)
        else:
            self._inlined(node)

    def _inlined(self, table: Table) -> None:
        """A table without key whose default action is constant: p4c's form of plain statements in a control."""
        action = table.actions[table.default]
        params = tuple(
            Text(hex(value), width) for value, (_, width) in zip(table.default_args, action.params, strict=True)
        )
        if exits(action):
            self._source.line("ended = 0")
        self._action(table, action, params)
        target = table.next.get("__MISS__") if _by_hit(table) else table.next.get(action.name)
        self._unless_ended(target, guarded=exits(action))

    def _table(self, table: Table) -> None:
        name, source = self._tables[table.name], self._source
        if table.keys:
            exact = all(key.kind == "exact" for key in table.keys)
            key = self._key(table, packed=exact)
            if not exact:
                with source.block(f"if {name}_entries:"):
                    source.line(f"k = {key}")
                    source.line(f"x = {name}_get(k)")
                    source.line(f"if x is None: x = {name}.find(k)")
                    self._account(table, "if x[1]:")
                source.line(f"else: x = {name}.miss")
            elif accounts(table):
                source.line(f"x = {name}_get({key})")
                with source.block("if x is None:"):
                    source.line(f"x = {name}.miss")
                self._account(table, "else:")
            else:
                source.line(f"x = {name}_get({key})")
                source.line(f"if x is None: x = {name}.miss")
        else:
            source.line(f"x = {name}.miss")
        guarded = any(exits(action) for action in table.actions)
        if guarded:
            source.line("ended = 0")
        if _by_hit(table):
            source.line("hit = x[1]")
        if table.profile is not None:
            self._target(table.profile, name, table)
        self._actions(table)
        if _by_hit(table):
            with source.block("if hit:"):
                self._unless_ended(table.next.get("__HIT__"), guarded=guarded)
            with source.block("else:"):
                self._unless_ended(table.next.get("__MISS__"), guarded=guarded)
        elif _common_next(table):
            self._unless_ended(next(iter(table.next.values())), guarded=guarded)

    def _target(self, profile: ActionProfile, name: str, table: Table) -> None:
        """Leave in `x` the row of the member that an entry refers to, or that the selector takes from its group; an empty group is a miss."""
        self._source.line("x = x[2]")
        if profile.algorithm is not None:
            with self._source.block("if x.slots is not None:"):
                self._source.line("if x.count == 1: x = x.slots[0]")
                with self._source.block("else:"):
                    self._source.lines(hash_over(self._scope, profile.algorithm, profile.inputs, f"table {table.name}"))
                    self._source.line(f"x = x.slots[digest % x.count] if x.count else {name}.miss[2]")
        self._source.line("x = x.row")

    def _unless_ended(self, target: str | None, *, guarded: bool) -> None:
        """Go on, unless an action has ended the control with `exit`."""
        if target is None:
            return
        if guarded:
            with self._source.block("if not ended:"):
                self._go(target)
        else:
            self._go(target)

    def _key(self, table: Table, *, packed: bool) -> str:
        parts = []
        for key in table.keys:
            name, field = self._scope.field(key.header, key.field, f"table {table.name}")
            full = (1 << field.width) - 1
            mask = full if key.mask is None else key.mask & full
            parts.append(f"{name} & {mask:#x}" if mask != full or field.signed else name)
        factors = key_factors(key.width for key in table.keys) if packed else ()
        if factors:
            return " + ".join(
                f"({part})" if factor == 1 else f"({part}) * {factor}"
                for part, factor in zip(parts, factors, strict=True)
            )
        return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"

    def _account(self, table: Table, head: str) -> None:
        """Direct counter and meter, and the time of the hit: for entries only, as in BMv2, never for the default action."""
        if not accounts(table):
            return
        with self._source.block(head):
            self._source.line("e = x[1]")
            if table.timeouts:
                self._source.line("e.last_hit = now()")
            if table.counters:
                self._source.line(f"e.tally += {1 << COUNTER_BITS:#x} + size")
            if table.meter:
                meter = self._scope.program.meters[table.meter]
                if meter.target is None:
                    raise ArtefactError(f"meter {meter.name}: no field for its result")
                variable, _ = self._scope.field(*meter.target, f"meter {meter.name}")
                unit = "1" if meter.unit == "packets" else "size"
                self._source.line("m = e.meter")
                self._source.line(f"{variable} = 0 if m is None else m.execute({unit}, now())")

    def _actions(self, table: Table) -> None:
        separate = not _common_next(table) and not _by_hit(table)
        todo = [(i, a) for i, a in enumerate(table.actions) if a.primitives or separate]
        if len(table.actions) > 1 and len(todo) > 1:
            self._source.line("a = x[0]")
        for position, (index, action) in enumerate(todo):
            if len(table.actions) == 1:
                self._entry_action(table, action)
            else:
                what = "a" if len(todo) > 1 else "x[0]"
                with self._source.block(f"{'elif' if position else 'if'} {what} == {index}:"):
                    self._entry_action(table, action)

    def _entry_action(self, table: Table, action: Action) -> None:
        params = tuple(Text(f"q{i}", width) for i, (_, width) in enumerate(action.params))
        if params:
            self._source.line(f"_, _, {', '.join(p.code for p in params)} = x")
        self._action(table, action, params)
        if not _common_next(table) and not _by_hit(table):
            self._unless_ended(table.next.get(action.name), guarded=exits(action))

    def _action(self, table: Table, action: Action, params: tuple[Text, ...]) -> None:
        where = f"action {action.name} of table {table.name}"
        body = Body(self._scope, self._source, self._arrays, where, params)
        if exits(action):
            with self._source.block("while 1:"):
                body.write(action.primitives)
                self._source.line("break")
        else:
            body.write(action.primitives)


def accounts(table: Table) -> bool:
    """Whether packets change the table's entries."""
    return bool(table.counters or table.meter or table.timeouts)


def _by_hit(table: Table) -> bool:
    return "__HIT__" in table.next or "__MISS__" in table.next


def _common_next(table: Table) -> bool:
    return not _by_hit(table) and len(set(table.next.values())) == 1
