"""Expressions of the program as Python expressions, with just the masking that they need.

BMv2 computes with integers of any size and cuts to the field's width on assignment; so does this. Each piece of text comes with a
bound of its width, so that a mask is only written where the value could be too large or negative.
"""

from collections.abc import Callable
from typing import NamedTuple

from testbed.softswitch.errors import UnsupportedError
from testbed.softswitch.program import Field, Json
from testbed.softswitch.scope import Scope

SHIFT_LIMIT = 4096
"""No field is wider; what is shifted further to the left has no bits left."""


class Text(NamedTuple):
    """A Python expression."""

    code: str
    bits: int | None
    """The value is in 0 … 2**bits - 1; None when it may be negative or of any size."""


def divide(left: int, right: int) -> int:
    """BMv2's division; what it leaves undefined, division by zero, gives zero."""
    return left // right if right else 0


def modulo(left: int, right: int) -> int:
    """BMv2's modulo; by zero: zero."""
    return left % right if right else 0


def shift_left(left: int, right: int) -> int:
    """A shift by a number that came from a packet: bounded, so that it cannot take the machine's memory."""
    return left << right if 0 <= right < SHIFT_LIMIT else 0


def shift_right(left: int, right: int) -> int:
    """A right shift; negative amounts give zero."""
    return left >> right if right >= 0 else 0


HELPERS: dict[str, object] = {
    "divide": divide,
    "modulo": modulo,
    "shift_left": shift_left,
    "shift_right": shift_right,
    "from_bytes": int.from_bytes,
}


class Expressions:
    """Translates expressions in one place of the program.

    Args:
        scope: the variables.
        where: the place, for errors.
        params: in an action: the variables of its parameters and their widths.
    """

    def __init__(self, scope: Scope, where: str, params: tuple[Text, ...] = ()) -> None:
        self.scope = scope
        self.where = where
        self._params = params
        self.lookahead = 0
        """Bytes that the expressions so far look ahead in the packet."""

    def value(self, node: Json) -> Text:
        """A node of the JSON as Python text."""
        kind = node["type"]
        reader: Callable[[Json], Text] | None = getattr(self, f"_{kind}", None) if kind in _OPERANDS else None
        if reader is None:
            raise UnsupportedError(f"the operand type {kind!r}", self.where)
        return reader(node)

    def condition(self, node: Json) -> str:
        """A node as something to put after `if`."""
        return self.value(node).code

    # -- leaves --------------------------------------------------------------------------------------------------------

    def _field(self, node: Json) -> Text:
        value = node["value"]
        if not isinstance(value[0], str):
            return self._dynamic_validity(node)
        name, field = self.scope.field(value[0], value[1], self.where)
        return Text(name, None if field.signed else field.width)

    def _dynamic_validity(self, node: Json) -> Text:
        inner, field = node["value"]
        if field != "$valid$":
            raise UnsupportedError(f"the field reference {node['value']}", self.where)
        return self._choose(inner, lambda member: Text(self.scope.valid(member), 1))

    def _hexstr(self, node: Json) -> Text:
        number = int(node["value"], 16)
        return Text(str(number) if abs(number) < 10 else hex(number), number.bit_length() if number >= 0 else None)

    def _bool(self, node: Json) -> Text:
        return Text("1" if node["value"] else "0", 1)

    def _local(self, node: Json) -> Text:
        return self._params[node["value"]]

    _runtime_data = _local

    def _header(self, node: Json) -> Text:
        return Text(self.scope.valid(node["value"]), 1)

    def _lookahead(self, node: Json) -> Text:
        offset, width = node["value"]
        first, last = offset // 8, (offset + width + 7) // 8
        self.lookahead = max(self.lookahead, last)
        shift = last * 8 - offset - width
        text = f"from_bytes(p[o + {first}:o + {last}])" if first else f"from_bytes(p[o:o + {last}])"
        if shift:
            text = f"({text} >> {shift})"
        if offset % 8:
            text = f"({text} & {(1 << width) - 1:#x})"
        return Text(text, width)

    def _stack_field(self, node: Json) -> Text:
        stack, field = node["value"]
        members = self.scope.program.stacks[stack]
        return self._pick(members, f"{self.scope.next(stack)} - 1", lambda m: self._field({"value": [m, field]}))

    # -- operators -----------------------------------------------------------------------------------------------------

    def _expression(self, node: Json) -> Text:
        value = node["value"]
        if "op" not in value:  # an expression around an operand
            return self.value(value)
        operator = value["op"]
        if operator in _BINARY:
            return self._binary(operator, value)
        reader = getattr(self, f"_op_{_NAMES.get(operator, 'none')}", None)
        if reader is None:
            raise UnsupportedError(f"the operator {operator!r}", self.where)
        text: Text = reader(value)
        return text

    def _binary(self, operator: str, node: Json) -> Text:
        if operator in {"==", "!="} and node["left"].get("type") in {"header", "header_stack"}:
            return self._compare_headers(operator, node)
        left, right = self.value(node["left"]), self.value(node["right"])
        symbol, width = _BINARY[operator]
        if operator == "&" and _covers(right, left):
            return left
        return Text(f"({left.code} {symbol} {right.code})", width(left.bits, right.bits))

    def _compare_headers(self, operator: str, node: Json) -> Text:
        if node["left"]["type"] != "header" or node["right"]["type"] != "header":
            raise UnsupportedError("the comparison of header stacks", self.where)
        one, two = node["left"]["value"], node["right"]["value"]
        pairs = zip(self.scope.live_fields(one), self.scope.live_fields(two), strict=True)
        same = " and ".join(f"{a} == {b}" for (a, _), (b, _) in pairs)
        text = f"({self.scope.valid(one)} == {self.scope.valid(two)} and (not {self.scope.valid(one)} or ({same})))"
        return Text(text if operator == "==" else f"(not {text})", 1)

    def _op_shift_left(self, node: Json) -> Text:
        left, right = self.value(node["left"]), self.value(node["right"])
        amount = literal(right)
        if amount is not None and amount < SHIFT_LIMIT:
            return Text(f"({left.code} << {amount})", None if left.bits is None else left.bits + amount)
        return Text(f"shift_left({left.code}, {right.code})", None)

    def _op_shift_right(self, node: Json) -> Text:
        left, right = self.value(node["left"]), self.value(node["right"])
        if right.bits is None:
            return Text(f"shift_right({left.code}, {right.code})", left.bits)
        amount = literal(right)
        if left.bits is not None and amount is not None:
            return Text(f"({left.code} >> {amount})", max(left.bits - amount, 0))
        return Text(f"({left.code} >> {right.code})", left.bits)

    def _op_divide(self, node: Json) -> Text:
        return Text(f"divide({self.value(node['left']).code}, {self.value(node['right']).code})", None)

    def _op_modulo(self, node: Json) -> Text:
        return Text(f"modulo({self.value(node['left']).code}, {self.value(node['right']).code})", None)

    def _op_negate(self, node: Json) -> Text:
        return Text(f"(~{self.value(node['right']).code})", None)

    def _op_not(self, node: Json) -> Text:
        return Text(f"(not {self.value(node['right']).code})", 1)

    def _op_same(self, node: Json) -> Text:
        return self.value(node["right"])

    def _op_d2b(self, node: Json) -> Text:
        inner = self.value(node["right"])
        return inner if inner.bits == 1 else Text(f"({inner.code} != 0)", 1)

    def _op_b2d(self, node: Json) -> Text:
        inner = self.value(node["right"])
        return inner if inner.code in {"0", "1"} else Text(f"(1 if {inner.code} else 0)", 1)

    def _op_two_comp_mod(self, node: Json) -> Text:
        width = self._constant(node["right"])
        half = 1 << (width - 1)
        return Text(f"((({self.value(node['left']).code} + {half:#x}) & {(1 << width) - 1:#x}) - {half:#x})", None)

    def _op_usat_cast(self, node: Json) -> Text:
        width = self._constant(node["right"])
        return Text(self._saturate(node["left"], 0, (1 << width) - 1), width)

    def _op_sat_cast(self, node: Json) -> Text:
        half = 1 << (self._constant(node["right"]) - 1)
        return Text(self._saturate(node["left"], -half, half - 1), None)

    def _saturate(self, node: Json, low: int, high: int) -> str:
        """A value between two bounds: calls of min and max would take several times as long."""
        return f"({low:#x} if (s := {self.value(node).code}) < {low:#x} else s if s <= {high:#x} else {high:#x})"

    def _op_choose(self, node: Json) -> Text:
        yes, no = self.value(node["left"]), self.value(node["right"])
        text = f"({yes.code} if {self.condition(node['cond'])} else {no.code})"
        return Text(text, _widest(yes.bits, no.bits))

    def _op_access_field(self, node: Json) -> Text:
        def read(member: str) -> Text:
            field = self.scope.program.headers[member].fields[node["right"]]
            return self._field({"value": [member, field.name]})

        return self._choose(node["left"], read)

    def _op_last_stack_index(self, node: Json) -> Text:
        return Text(f"({self.scope.next(node['right']['value'])} - 1)", None)

    def _op_size_stack(self, node: Json) -> Text:
        return Text(str(len(self.scope.program.stacks[node["right"]["value"]])), 32)

    # -- header stacks -------------------------------------------------------------------------------------------------

    def index(self, node: Json) -> tuple[tuple[str, ...], str]:
        """The members of the stack and the index expression of a `dereference_header_stack`; one header: itself, index 0."""
        while node.get("type") == "expression" or "op" not in node:
            if node.get("type") == "header":
                return (node["value"],), "0"
            if node.get("type") == "stack_field" and node["value"][1] == "last":
                stack = node["value"][0]
                return self.scope.program.stacks[stack], f"{self.scope.next(stack)} - 1"
            node = node["value"]
        if node["op"] != "dereference_header_stack":
            raise UnsupportedError(f"a header given by {node['op']!r}", self.where)
        return self.scope.program.stacks[node["left"]["value"]], self.value(node["right"]).code

    def _choose(self, node: Json, read: Callable[[str], Text]) -> Text:
        members, index = self.index(node)
        return self._pick(members, index, read)

    @staticmethod
    def _pick(members: tuple[str, ...], index: str, read: Callable[[str], Text]) -> Text:
        """The member at an index known per packet; outside of the stack BMv2 leaves it undefined: zero here."""
        if len(members) == 1 and index == "0":
            return read(members[0])
        bits, text = 0 if members else None, "0"
        for number, member in reversed(list(enumerate(members))):
            item = read(member)
            bits = _widest(bits, item.bits)
            text = f"({item.code} if {index} == {number} else {text})"
        return Text(text, bits)

    def _constant(self, node: Json) -> int:
        if node["type"] != "hexstr":
            raise UnsupportedError("a cast to a width that is not constant", self.where)
        return int(node["value"], 16)


def store(field: Field, text: Text) -> str:
    """What to write into a field: the value cut to its width, two's complement when it is signed."""
    mask = (1 << field.width) - 1
    if field.signed:
        half = 1 << (field.width - 1)
        return f"(({text.code} + {half:#x}) & {mask:#x}) - {half:#x}"
    if text.bits is not None and text.bits <= field.width:
        return text.code
    value = literal(text)
    if value is not None:
        return hex(value & mask)
    return f"{text.code} & {mask:#x}"


def _covers(mask: Text, text: Text) -> bool:
    """Whether a mask is a literal that leaves every bit of the text as it is."""
    value = literal(mask)
    return value is not None and text.bits is not None and value + 1 >= 1 << text.bits and value & (value + 1) == 0


def literal(text: Text) -> int | None:
    """The value of a literal; None when the text is anything else."""
    return int(text.code, 0) if text.code.isdigit() or text.code.startswith(("0x", "-0x")) else None


def _widest(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else max(left, right)


def _and(left: int | None, right: int | None) -> int | None:
    known = [bits for bits in (left, right) if bits is not None]
    return min(known) if known else None


def _add(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else max(left, right) + 1


def _multiply(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right


def _truth(_left: int | None, _right: int | None) -> int | None:
    return 1


def _any(_left: int | None, _right: int | None) -> int | None:
    return None


_OPERANDS = frozenset({
    "field", "hexstr", "bool", "local", "runtime_data", "header", "lookahead", "stack_field", "expression",
})  # fmt: skip
_BINARY: dict[str, tuple[str, Callable[[int | None, int | None], int | None]]] = {
    "+": ("+", _add),
    "-": ("-", _any),
    "*": ("*", _multiply),
    "&": ("&", _and),
    "|": ("|", _widest),
    "^": ("^", _widest),
    "==": ("==", _truth),
    "!=": ("!=", _truth),
    "<": ("<", _truth),
    "<=": ("<=", _truth),
    ">": (">", _truth),
    ">=": (">=", _truth),
    "and": ("and", _truth),
    "or": ("or", _truth),
}
_NAMES = {
    "<<": "shift_left",
    ">>": "shift_right",
    "/": "divide",
    "%": "modulo",
    "~": "negate",
    "not": "not",
    "valid": "same",
    "d2b": "d2b",
    "b2d": "b2d",
    "two_comp_mod": "two_comp_mod",
    "usat_cast": "usat_cast",
    "sat_cast": "sat_cast",
    "?": "choose",
    "access_field": "access_field",
    "last_stack_index": "last_stack_index",
    "size_stack": "size_stack",
}
