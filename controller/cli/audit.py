"""``mcoa audit``: are the switches' tables what they should be?"""

from typing import Annotated, Any

import typer

from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, connect
from controller.cli.output import FAILED, show_json, show_table


def audit(
    names: Annotated[list[str] | None, typer.Argument(help="Only these switches.", metavar="[SWITCH]...")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Read the tables of switches back and show what is not as it should be. Exit status 1: something is, or cannot be read."""
    with connect(url) as client:
        wanted = names or [switch["name"] for switch in client.get("v1", "switches")["items"]]
        found = [client.get("v1", "switches", name, "audit") for name in wanted]
    if as_json:
        show_json({"items": found, "total": len(found)})
    else:
        _show(found)
    if any(one["problem"] is not None or one["drift"] for one in found):
        raise typer.Exit(FAILED)


def _show(found: list[dict[str, Any]]) -> None:
    show_table(
        ("switch", "entries", "drift", "adopted", "problem"),
        [(one["switch"], one["entries"], one["drift"], one["adopted"], one["problem"]) for one in found],
        "no switches",
    )
    rows = [
        (one["switch"], other["kind"], other["table"], other["key"], other["actual"], other["wanted"])
        for one in found
        for other in one["differences"]
    ]
    if rows:
        typer.echo()
        show_table(("switch", "is", "table", "key", "has", "should have"), rows, "")
    left_out = sum(one["drift"] - len(one["differences"]) for one in found)
    if left_out:
        typer.echo(f"and {left_out} more")
