"""What of a program packets have been through: the embedded switch, with a mark at every state, action and statement.

The code that the switch generates is the same, with calls of `mark` put in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from testbed.softswitch.controls import ControlWriter
from testbed.softswitch.expressions import HELPERS
from testbed.softswitch.parsers import ParserWriter
from testbed.softswitch.program import Program

State = tuple[str, str]
"""Kind of place and its name."""


@contextmanager
def marking(marks: set[Any]) -> Iterator[None]:
    """Let switches that load a program inside of this block note where their packets go."""
    parse, act, inline = ParserWriter._state, ControlWriter._actions, ControlWriter._inlined

    def state(self: Any, state: Any, depth: int) -> None:
        self._source.line(f"mark(('state', {state.name!r}))")
        parse(self, state, depth)

    def actions(self: Any, table: Any) -> None:
        self._source.line(f"mark(('action', {table.name!r}, x[0]))")
        act(self, table)

    def inlined(self: Any, table: Any) -> None:
        self._source.line(f"mark(('statement', {table.name!r}))")
        inline(self, table)

    with (
        patch.object(ParserWriter, "_state", state),
        patch.object(ControlWriter, "_actions", actions),
        patch.object(ControlWriter, "_inlined", inlined),
        patch.dict(HELPERS, {"mark": marks.add}),
    ):
        yield


def places(program: Program) -> dict[Any, str]:
    """Return every place of a program by its mark, with a name to show."""
    found: dict[Any, str] = {("state", name): f"parser state {name}" for name in program.states}
    for table in program.tables.values():
        if not table.keys and table.default_const:
            found["statement", table.name] = f"statement {table.name}"
        else:
            for index, action in enumerate(table.actions):
                if table.profile is not None and action.name == "NoAction":
                    continue  # with a profile, a miss is none of the table's actions
                found["action", table.name, index] = f"action {action.name} of table {table.name}"
    return found
