"""Source text for the bodies of actions: one method for each primitive of BMv2 that this switch runs."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from testbed.softswitch.calculations import hash_of
from testbed.softswitch.errors import ArtefactError, UnsupportedError
from testbed.softswitch.expressions import Expressions, Text, literal, store
from testbed.softswitch.jumps import MAX_LAPS, branch, is_nested, leaders, target
from testbed.softswitch.program import Action, Field, Json
from testbed.softswitch.scope import Scope
from testbed.softswitch.source import Source

DROP_PORT = 511
"""egress_spec of a packet that is dropped."""


class Body:
    """Writes the primitives of one action where it is applied.

    Args:
        scope: the variables.
        source: where the text goes.
        arrays: names in the generated code of counter, meter and register arrays.
        where: the place, for errors.
        params: the action's parameters as variables or literals.
    """

    def __init__(
        self, scope: Scope, source: Source, arrays: Mapping[str, str], where: str, params: tuple[Text, ...]
    ) -> None:
        self._scope = scope
        self._source = source
        self._arrays = arrays
        self._where = where
        self._expressions = Expressions(scope, where, params)
        self._dirtied: set[str] = set()
        self._pending = 0

    def write(self, primitives: Sequence[Json]) -> None:
        """Write all primitives.

        Raises:
            UnsupportedError: a primitive or an operand that this switch does not run.
        """
        if is_nested(primitives, self._where):
            self._range(primitives, 0, len(primitives))
        else:
            self._blocks(primitives)

    # -- control flow inside of an action --------------------------------------------------------------------------------

    def _range(self, primitives: Sequence[Json], start: int, end: int) -> None:
        self._dirtied.clear()
        index = start
        while index < end:
            primitive = primitives[index]
            if primitive["op"] == "_jump_if_zero":
                index = self._branch(primitives, index, end)
                self._dirtied.clear()
                continue
            if primitive["op"] == "_jump":
                index = target(primitive, self._where, len(primitives))
                continue
            self._primitive(primitive)
            if primitive["op"] == "exit":
                return
            index += 1

    def _branch(self, primitives: Sequence[Json], index: int, end: int) -> int:
        found = branch(primitives, index, end, self._where)
        if found is None:
            raise AssertionError("is_nested has looked at all branches")
        middle, after = found
        condition = self._expressions.condition(primitives[index]["parameters"][0])
        with self._source.block(f"if {condition}:"):
            self._range(primitives, index + 1, middle - 1 if after > middle else middle)
        if after > middle:
            with self._source.block("else:"):
                self._range(primitives, middle, after)
        return after

    def _blocks(self, primitives: Sequence[Json]) -> None:
        """Jumps that are not ifs: blocks in a loop, each under an if on its number."""
        starts = leaders(primitives, self._where)
        self._source.line("block = laps = 0")
        with self._source.block("while 1:"):
            for start, end in pairwise([*starts, len(primitives)]):
                with self._source.block(f"if block == {start}:"):
                    self._block(primitives, start, end)
            self._source.line("break")
        if any(primitive["op"] == "exit" for primitive in primitives):
            self._source.line("if ended: break")

    def _block(self, primitives: Sequence[Json], start: int, end: int) -> None:
        self._dirtied.clear()
        for primitive in primitives[start : end - 1]:
            self._primitive(primitive)
        last = primitives[end - 1]
        if last["op"] == "_jump_if_zero":
            with self._source.block(f"if {self._expressions.condition(last['parameters'][0])}:"):
                self._source.line(f"block = {end}")
            with self._source.block("else:"):
                self._jump(target(last, self._where, len(primitives)), start)
        elif last["op"] == "_jump":
            self._jump(target(last, self._where, len(primitives)), start)
        else:
            self._primitive(last)
            self._source.line(f"block = {end}")

    def _jump(self, place: int, start: int) -> None:
        self._source.line(f"block = {place}")
        if place <= start:
            self._source.line("laps += 1")
            self._source.line(f"if laps > {MAX_LAPS}: break")
            self._source.line("continue")

    def _primitive(self, primitive: Json) -> None:
        name = primitive["op"]
        writer: Callable[..., None] | None = getattr(self, f"_{name.lower()}", None) if name in PRIMITIVES else None
        if writer is None:
            raise UnsupportedError(f"the primitive {name!r}", self._where)
        writer(*primitive["parameters"])

    # -- fields --------------------------------------------------------------------------------------------------------

    def _assign(self, target: Json, source: Json) -> None:
        value = self._expressions.value(source)
        self._set(target, lambda field: store(field, value))

    _modify_field = _assign

    def _assign_vl(self, target: Json, source: Json) -> None:
        """A varbit to a varbit: both are byte strings."""
        value = self._expressions.value(source)
        self._set(target, lambda _field: value.code)

    def _set(self, target: Json, text: Callable[[Field], str]) -> None:
        """Write a field; an element of a stack at an index known per packet becomes a chain of ifs."""
        node = target
        while node["type"] == "expression" and "op" not in node["value"]:
            node = node["value"]
        if node["type"] == "field":
            self._set_field(node["value"][0], node["value"][1], text)
        elif node["type"] == "stack_field":
            stack, name = node["value"]
            index = f"{self._scope.next(stack)} - 1"
            self._each(self._scope.program.stacks[stack], index, lambda member: self._set_field(member, name, text))
        elif node["type"] == "expression" and node["value"]["op"] == "access_field":
            members, index = self._expressions.index(node["value"]["left"])
            offset = node["value"]["right"]

            def write(member: str) -> None:
                self._set_field(member, self._scope.program.headers[member].fields[offset].name, text)

            self._each(members, index, write)
        else:
            raise UnsupportedError(f"an assignment to {node['type']!r}", self._where)

    def _set_field(self, header: str, name: str, text: Callable[[Field], str]) -> None:
        if name == "$valid$":
            raise UnsupportedError("an assignment to a header's validity", self._where)
        variable, field = self._scope.field(header, name, self._where)
        self._source.line(f"{variable} = {text(field)}")
        self._touch(header)

    def _touch(self, header: str) -> None:
        if not self._scope.program.headers[header].metadata and header not in self._dirtied:
            self._dirtied.add(header)
            self._source.line(f"{self._scope.dirty(header)} = 1")

    def _each(self, members: Sequence[str], index: str, write: Callable[[str], None]) -> None:
        if len(members) == 1 and index == "0":
            write(members[0])
            return
        self._dirtied.clear()
        for number, member in enumerate(members):
            with self._source.block(f"{'elif' if number else 'if'} {index} == {number}:"):
                write(member)
            self._dirtied.clear()

    # -- headers -------------------------------------------------------------------------------------------------------

    def _assign_header(self, target: Json, source: Json) -> None:
        members, index = self._expressions.index(target)
        origins, origin_index = self._expressions.index(source)
        self._each(members, index, lambda to: self._each(origins, origin_index, lambda from_: self._copy(to, from_)))

    _copy_header = _assign_header

    def _copy(self, target: str, source: str) -> None:
        scope = self._scope
        if target == source:
            return
        if [f.width for f in scope.program.headers[target].fields] != [
            f.width for f in scope.program.headers[source].fields
        ]:
            raise ArtefactError(f"{self._where}: {source} is copied to {target}, which is of another type")
        pairs = list(zip(scope.live_fields(target), scope.live_fields(source), strict=True))
        left, right = [a for (a, _), _ in pairs], [b for _, (b, _) in pairs]
        if not scope.program.headers[target].metadata:
            left += [scope.raw(target), scope.dirty(target)]
            right += [scope.raw(source), scope.dirty(source)]
            with self._source.block(f"if {scope.valid(source)}:"):
                self._source.line(f"{scope.valid(target)} = 1")
                self._source.lines(f"{a} = {b}" for a, b in zip(left, right, strict=True))
            self._source.line(f"else: {scope.valid(target)} = 0")
        else:
            self._source.lines(f"{a} = {b}" for a, b in zip(left, right, strict=True))
        self._dirtied.discard(target)

    def _assign_header_stack(self, target: Json, source: Json) -> None:
        to, origin = target["value"], source["value"]
        for left, right in zip(self._scope.program.stacks[to], self._scope.program.stacks[origin], strict=True):
            self._copy(left, right)
        self._source.line(f"{self._scope.next(to)} = {self._scope.next(origin)}")

    def _add_header(self, target: Json) -> None:
        members, index = self._expressions.index(target)
        self._each(members, index, self._make_valid)

    def _make_valid(self, header: str) -> None:
        scope, size = self._scope, self._scope.program.headers[header].bits // 8
        if scope.program.headers[header].metadata:
            return
        with self._source.block(f"if not {scope.valid(header)}:"):
            names = [name for name, field in scope.live_fields(header) if not field.variable]
            if names:
                self._source.line(f"{' = '.join(names)} = 0")
            self._source.lines(f'{name} = b""' for name, field in scope.live_fields(header) if field.variable)
            self._source.line(f"{scope.valid(header)} = {scope.dirty(header)} = 1")
            self._source.line(f"{scope.raw(header)} = {'zero' + str(size)}")
            if scope.standard("packet_length"):
                self._source.line(f"length += {size}")
        self._dirtied.discard(header)

    def _remove_header(self, target: Json) -> None:
        members, index = self._expressions.index(target)
        self._each(members, index, self._make_invalid)

    def _make_invalid(self, header: str) -> None:
        if self._scope.program.headers[header].metadata:
            return
        if self._scope.standard("packet_length"):
            size = str(self._scope.program.headers[header].bits // 8)
            for name, field in self._scope.live_fields(header):
                size += f" + len({name})" if field.variable else ""
            self._source.line(f"if {self._scope.valid(header)}: length -= {size}")
        self._source.line(f"{self._scope.valid(header)} = 0")

    def _push(self, stack: Json, count: Json) -> None:
        self._shift(stack["value"], int(count["value"], 16))

    def _pop(self, stack: Json, count: Json) -> None:
        self._shift(stack["value"], -int(count["value"], 16))

    def _shift(self, stack: str, count: int) -> None:
        members = self._scope.program.stacks[stack]
        places = list(range(len(members)))
        for place in reversed(places) if count > 0 else places:
            origin = place - count
            if 0 <= origin < len(members):
                self._copy(members[place], members[origin])
            else:
                self._source.line(f"{self._scope.valid(members[place])} = 0")
        self._source.line(
            f"{self._scope.next(stack)} = min(max({self._scope.next(stack)} + {count}, 0), {len(members)})"
        )

    # -- fate of the packet --------------------------------------------------------------------------------------------

    def _mark_to_drop(self, *_header: Json) -> None:
        self._source.line(f"{self._scope.standard('egress_spec')} = {DROP_PORT}")
        group = self._scope.standard("mcast_grp")
        if group:
            self._source.line(f"{group} = 0")

    _drop = _mark_to_drop

    def _exit(self) -> None:
        self._source.line("ended = 1")
        self._source.line("break")

    def _no_op(self) -> None:
        """Nothing to write."""

    def _truncate(self, length: Json) -> None:
        self._source.line(f"cut = {self._expressions.value(length).code}")

    def _clone_ingress_pkt_to_egress(self, session: Json, fields: Json) -> None:
        self._source.line(f"clone_id = {self._expressions.value(session).code}")
        self._source.line(f"clone_list = {self._expressions.value(fields).code}")

    _clone_egress_pkt_to_egress = _clone_ingress_pkt_to_egress

    def _resubmit(self, fields: Json) -> None:
        self._source.line(f"resubmit_list = {self._expressions.value(fields).code}")

    def _recirculate(self, fields: Json) -> None:
        self._source.line(f"recirculate_list = {self._expressions.value(fields).code}")

    def _generate_digest(self, _receiver: Json, number: Json) -> None:
        self._source.line(f"learn_list = {self._expressions.value(number).code}")

    def _assert(self, condition: Json) -> None:
        """An assertion that fails would end simple_switch as a whole; here the packet is dropped, counted and logged."""
        self._source.line(f"if not {self._expressions.condition(condition)}: return failed({self._where!r})")

    _assume = _assert

    def _log_msg(self, form: Json, values: Json | None = None) -> None:
        items = ", ".join(self._expressions.value(v).code for v in (values or {"value": []})["value"])
        self._source.line(f"log_msg({form['value']!r}, [{items}])")

    # -- stateful things -----------------------------------------------------------------------------------------------

    def _array(self, node: Json) -> tuple[str, str]:
        """Name of an array in the generated code, and a fresh name for an index."""
        self._pending += 1
        return self._arrays[node["value"]], f"i{self._pending}"

    def _count(self, array: Json, index: Json) -> None:
        name, i = self._array(array)
        self._source.line(f"{i} = {self._expressions.value(index).code}")
        with self._source.block(f"if {i} < {name}_size:"):
            self._source.line(f"{name}_packets[{i}] += 1")
            self._source.line(f"{name}_bytes[{i}] += size")

    def _execute_meter(self, array: Json, index: Json, target: Json) -> None:
        name, i = self._array(array)
        unit = "1" if self._scope.program.meters[array["value"]].unit == "packets" else "size"
        self._source.line(f"{i} = {self._expressions.value(index).code}")
        with self._source.block(f"if {i} < {name}_size:"):
            self._source.line(f"colour = {name}.execute({i}, {unit}, now())")
            self._set(target, lambda field: store(field, Text("colour", 2)))
        self._dirtied.clear()

    def _register_read(self, target: Json, array: Json, index: Json) -> None:
        name, i = self._array(array)
        width = self._scope.program.registers[array["value"]].width
        self._source.line(f"{i} = {self._expressions.value(index).code}")
        with self._source.block(f"if {i} < {name}_size:"):
            self._set(target, lambda field: store(field, Text(f"{name}[{i}]", width)))
        self._dirtied.clear()

    def _register_write(self, array: Json, index: Json, value: Json) -> None:
        name, i = self._array(array)
        field = Field("", self._scope.program.registers[array["value"]].width, signed=False)
        self._source.line(f"{i} = {self._expressions.value(index).code}")
        with self._source.block(f"if {i} < {name}_size:"):
            self._source.line(f"{name}[{i}] = {store(field, self._expressions.value(value))}")

    def _modify_field_with_hash_based_offset(self, target: Json, base: Json, calculation: Json, size: Json) -> None:
        self._source.lines(hash_of(self._scope, calculation["value"], self._where))
        low, limit = self._expressions.value(base), self._expressions.value(size)
        known = literal(limit)
        if known is None:
            code, bits = f"digest % ({limit.code} or 1)", limit.bits
        elif known > 1 and known & (known - 1) == 0:
            code, bits = f"digest & {known - 1:#x}", known.bit_length() - 1
        else:
            code, bits = f"digest % {known or 1}", known.bit_length()
        text = Text(f"({code})", bits) if literal(low) == 0 else Text(f"({code}) + {low.code}", None)
        self._set(target, lambda field: store(field, text))

    def _modify_field_rng_uniform(self, target: Json, low: Json, high: Json) -> None:
        first, last = self._expressions.value(low).code, self._expressions.value(high).code
        with self._source.block(f"if {first} <= {last}:"):
            self._set(target, lambda field: store(field, Text(f"randint({first}, {last})", None)))
        self._dirtied.clear()


PRIMITIVES = frozenset({
    "assign", "assign_VL", "modify_field", "assign_header", "copy_header", "assign_header_stack", "add_header", "remove_header", "push", "pop",
    "mark_to_drop", "drop", "exit", "no_op", "truncate", "log_msg", "count", "execute_meter", "register_read", "register_write",
    "generate_digest", "assert", "assume", "modify_field_with_hash_based_offset", "modify_field_rng_uniform",
    "clone_ingress_pkt_to_egress", "clone_egress_pkt_to_egress", "resubmit", "recirculate",
})  # fmt: skip
"""What this switch runs, besides `_jump` and `_jump_if_zero`."""


def exits(action: Action) -> bool:
    """Whether the action can end the whole control."""
    return any(primitive["op"] == "exit" for primitive in action.primitives)
