"""``mcoa switches``: the switches and their tables."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, WatchOption, connect
from controller.cli.output import make_table, present

_COLUMNS = ("switch", "state", "in sync", "target", "address", "device", "entries", "dropped", "drift", "last error")


def switches(
    name: Annotated[str | None, typer.Argument(help="Only this switch, with its tables and drops.")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
    watch: WatchOption = False,
) -> None:
    """Show switches: sessions, how full their tables are, what they dropped."""
    with connect(url) as client:
        path = ("v1", "switches") if name is None else ("v1", "switches", name)
        present(lambda: client.get(*path), _shown, as_json=as_json, watch=watch)


def _shown(found: dict[str, Any]) -> RenderableType:
    rows = [
        (
            item["name"],
            item["state"],
            "yes" if item["in_sync"] else "no",
            item["target"],
            item["address"],
            item["device_id"],
            sum(table["entries"] for table in item["tables"]),
            sum(drop["packets"] for drop in item["drops"].values()),
            item["drift"],
            item["last_error"],
        )
        for item in found.get("items", [found])
    ]
    table = make_table(_COLUMNS, rows, "no switches")
    return table if "items" in found else Group(table, *_details(found))


def _details(switch: dict[str, Any]) -> list[RenderableType]:
    tables = [(table["name"], table["entries"], table["size"] or None) for table in switch["tables"]]
    drops = [(reason, drop["packets"], drop["bytes"]) for reason, drop in switch["drops"].items()]
    return [
        Text(),
        make_table(("table", "entries", "size"), tables, "its tables cannot be read now"),
        Text(),
        make_table(("dropped because", "packets", "bytes"), drops, "its drop counters cannot be read now"),
        *(Text(f"suspicious: {one}") for one in switch["suspicions"]),
    ]
