"""What a dry run would write to the tables."""

from typing import Any

from rich.console import Group
from rich.text import Text

from controller.cli.output import make_table, show


def show_updates(found: dict[str, Any]) -> None:
    """Print what a request would write to the tables."""
    rows = [
        (
            one["op"],
            one["table"],
            " ".join(f"{key}={value}" for key, value in one["match"].items()),
            one["action"],
            " ".join(f"{key}={value}" for key, value in one["params"].items()) or None,
            one["priority"] or None,
        )
        for one in found["updates"]
    ]
    table = make_table(
        ("update", "table", "match", "action", "parameters", "priority"), rows, "nothing would be written"
    )
    show(Group(Text("It can be carried out."), table))
