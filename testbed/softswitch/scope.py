"""What the generated function holds in local variables: which fields of which headers, and under which names.

Only fields that the program touches are decoded. The rest of a header stays in the bytes it came in, and a header that no action
has written leaves as those bytes.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from testbed.softswitch.errors import ArtefactError
from testbed.softswitch.program import Field, Json, Program

STANDARD = "standard_metadata"


class Scope:
    """Names and liveness of everything a packet carries through the program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._names: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()
        self.live = self._close(set(self._mentioned()))

    def field(self, header: str, name: str, where: str) -> tuple[str, Field]:
        """The local variable of a field, and its type; validity for `$valid$`."""
        field = self.program.field(header, name, where)
        return (self.valid(header) if name == "$valid$" else self._name(header, name)), field

    def valid(self, header: str) -> str:
        """The variable that is 1 while the header is valid, else 0 (metadata: the literal 1)."""
        if header not in self.program.headers:
            raise ArtefactError(f"no header instance {header!r} in the program")
        return "1" if self.program.headers[header].metadata else self._name(header, "valid")

    def raw(self, header: str) -> str:
        """The variable with the bytes the header came in."""
        return self._name(header, "raw")

    def dirty(self, header: str) -> str:
        """The variable that is 1 once a field differs from the raw bytes."""
        return self._name(header, "dirty")

    def next(self, stack: str) -> str:
        """The variable with the index of a stack's next element."""
        return self._name(stack, "next index")

    def live_fields(self, header: str) -> Iterator[tuple[str, Field]]:
        """Variables and types of the fields of a header that the program touches, in order."""
        for field in self.program.headers[header].fields:
            if (header, field.name) in self.live or field.variable:
                yield self._name(header, field.name), field

    def varbits(self) -> list[str]:
        """The variables of the variable-length fields among `variables`."""
        headers = self.program.headers
        return [name for header in headers for name, field in self.live_fields(header) if field.variable]

    def variables(self) -> list[str]:
        """Every variable that must have a value before the parser starts."""
        found = []
        for header in self.program.headers.values():
            found += [name for name, _ in self.live_fields(header.name)]
            if not header.metadata:
                found += [self.valid(header.name), self.dirty(header.name)]
        return found + [self.next(stack) for stack in self.program.stacks]

    def standard(self, name: str) -> str | None:
        """The variable of a field of the standard metadata, None when the program never touches it."""
        for prefix in (STANDARD, "intrinsic_metadata", "queueing_metadata"):
            header, field = self.program.aliases.get(f"{prefix}.{name}", (prefix, name))
            if (header, field) in self.live:
                return self._name(header, field)
        return None

    def _name(self, header: str, part: str) -> str:
        key = (header, part)
        if key not in self._names:
            wish = re.sub(r"\W", "_", f"{header}_{part}" if part else header)
            wish = wish if not wish[0].isdigit() else f"_{wish}"
            number, name = 2, f"h_{wish}"
            while name in self._taken:
                name, number = f"h_{wish}_{number}", number + 1
            self._taken.add(name)
            self._names[key] = name
        return self._names[key]

    # -- liveness ------------------------------------------------------------------------------------------------------

    def _mentioned(self) -> Iterator[tuple[str, str]]:
        program = self.program
        for state in program.states.values():
            yield from self._scan(state.ops)
            yield from self._scan(state.key)
        for action in program.actions.values():
            yield from self._scan(action.primitives)
        for pipeline in program.pipelines.values():
            for node in pipeline.nodes.values():
                if hasattr(node, "expression"):
                    yield from self._scan(node.expression)
        yield from self._mentioned_elsewhere()

    def _mentioned_elsewhere(self) -> Iterator[tuple[str, str]]:
        program = self.program
        for table in program.tables.values():
            yield from ((key.header, key.field) for key in table.keys)
        for meter in program.meters.values():
            if meter.target:
                yield meter.target
        for checksum in program.checksums:
            yield checksum["target"][0], checksum["target"][1]
            yield from self._scan(checksum)
        for calculation in program.calculations.values():
            yield from self._scan_input(calculation["input"])
        for profile in program.profiles.values():
            yield from self._scan_input(profile.inputs)
        for pairs in program.field_lists.values():
            yield from pairs
        for learn in program.learn_lists.values():
            yield from self._scan(learn.elements)
        egress_spec = program.aliases.get("standard_metadata.egress_spec", (STANDARD, "egress_spec"))
        yield egress_spec

    def _scan(self, node: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - a JSON tree has any shape
        if isinstance(node, dict):
            kind, value = node.get("type"), node.get("value")
            if kind == "field" and value is not None and isinstance(value[0], str):
                yield value[0], value[1]
            elif kind == "stack_field" and value is not None:
                yield from ((member, value[1]) for member in self.program.stacks.get(value[0], ()))
            if node.get("op") == "access_field":
                yield from self._accessed(node)
            if node.get("op") in {"==", "!="}:
                yield from self._compared(node)
            for child in node.values():
                yield from self._scan(child)
        elif isinstance(node, (list, tuple)):
            for child in node:
                yield from self._scan(child)

    def _accessed(self, node: Json) -> Iterator[tuple[str, str]]:
        inner = node["left"].get("value")
        stack = inner["left"]["value"] if isinstance(inner, dict) and "left" in inner else None
        for member in self.program.stacks.get(stack or "", ()):
            yield member, self.program.headers[member].fields[node["right"]].name

    def _compared(self, node: Json) -> Iterator[tuple[str, str]]:
        for side in (node["left"], node["right"]):
            if side and side.get("type") == "header":
                yield from self._all(side["value"])

    def _scan_input(self, items: Iterable[Json]) -> Iterator[tuple[str, str]]:
        for item in items:
            if item["type"] == "header":
                yield from self._all(item["value"])
            elif item["type"] == "field":
                yield item["value"][0], item["value"][1]

    def _all(self, header: str) -> Iterator[tuple[str, str]]:
        if header in self.program.headers:
            yield from ((header, field.name) for field in self.program.headers[header].fields)

    def _close(self, live: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Headers that are copied to one another have the same live fields."""
        groups: dict[str, str] = {name: name for name in self.program.headers}

        def root(name: str) -> str:
            while groups[name] != name:
                name = groups[name]
            return name

        for left, right in self._copies():
            if left in groups and right in groups:
                groups[root(left)] = root(right)
        by_root: dict[str, set[str]] = {}
        for header, field in live:
            if header in groups:
                by_root.setdefault(root(header), set()).add(field)
        return {
            (name, field.name)
            for name, header in self.program.headers.items()
            for field in header.fields
            if field.name in by_root.get(root(name), ())
        }

    def _copies(self) -> Iterator[tuple[str, str]]:
        stacks = self.program.stacks
        for members in stacks.values():
            yield from ((members[0], member) for member in members)
        bodies = [action.primitives for action in self.program.actions.values()]
        bodies += [
            tuple(op["parameters"]) for s in self.program.states.values() for op in s.ops if op["op"] == "primitive"
        ]
        for primitives in bodies:
            for primitive in primitives:
                if primitive["op"] in {"assign_header", "copy_header", "assign_header_stack"}:
                    left, right = (self._base(parameter) for parameter in primitive["parameters"])
                    yield stacks.get(left, (left,))[0], stacks.get(right, (right,))[0]

    def _base(self, parameter: Json) -> str:
        """The header, or the stack, that a header expression is about."""
        value: Any = parameter
        while isinstance(value, dict):
            value = value["left"] if value.get("op") == "dereference_header_stack" else value["value"]
        return str(value[0] if isinstance(value, list) else value)  # a list: the last element of a stack
