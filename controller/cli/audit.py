"""``mcoa audit``: are the switches' tables what they should be?"""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, WatchOption, connect
from controller.cli.output import FAILED, make_table, present


def audit(
    names: Annotated[list[str] | None, typer.Argument(help="Only these switches.", metavar="[SWITCH]...")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
    watch: WatchOption = False,
) -> None:
    """Read the tables of switches back and show what is not as it should be. Exit status 1: something is, or cannot be read."""
    drifted = False
    with connect(url) as client:

        def ask() -> dict[str, Any]:
            nonlocal drifted
            wanted = names or [switch["name"] for switch in client.get("v1", "switches")["items"]]
            found = [client.get("v1", "switches", name, "audit") for name in wanted]
            drifted = any(one["problem"] is not None or one["drift"] for one in found)
            return {"items": found, "total": len(found)}

        present(ask, _shown, as_json=as_json, watch=watch)
    if drifted:
        raise typer.Exit(FAILED)


def _shown(answer: dict[str, Any]) -> RenderableType:
    found = answer["items"]
    parts: list[RenderableType] = [
        make_table(
            ("switch", "entries", "drift", "adopted", "problem"),
            [(one["switch"], one["entries"], one["drift"], one["adopted"], one["problem"]) for one in found],
            "no switches",
        )
    ]
    rows = [
        (one["switch"], other["kind"], other["table"], other["key"], other["actual"], other["wanted"])
        for one in found
        for other in one["differences"]
    ]
    if rows:
        parts += ["", make_table(("switch", "is", "table", "key", "has", "should have"), rows, "")]
    left_out = sum(one["drift"] - len(one["differences"]) for one in found)
    if left_out:
        parts.append(f"and {left_out} more")
    return Group(*parts)
