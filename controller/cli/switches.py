"""``mcoa switches``: the switches and their tables."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.groups import DefaultGroup
from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, WatchOption, connect
from controller.cli.output import make_table, present, show_json

_PATIENCE = 30.0
"""Seconds for paths to change everywhere."""
_COLUMNS = ("switch", "state", "in sync", "target", "address", "device", "entries", "dropped", "drift", "last error")


app = typer.Typer(cls=DefaultGroup, help="Show switches; take one out of service, and put it back.")

SwitchName = Annotated[str, typer.Argument(help="Name of the switch.")]


@app.command("show")
def show_switches(
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


@app.command("drain")
def drain(name: SwitchName, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Take a switch out of service, also after a restart: registrations do not wait for it, and paths lead around it."""
    with connect(url) as client:
        found = client.put("v1", "switches", name, "drain", body={}, timeout=_PATIENCE)
    if as_json:
        show_json(found)
        return
    typer.echo(f"{name}: out of service; paths lead around it")


@app.command("undrain")
def undrain(name: SwitchName, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Put a switch back into service."""
    with connect(url) as client:
        client.delete("v1", "switches", name, "drain")
    if as_json:
        show_json({"name": name, "drained": False})
        return
    typer.echo(f"{name}: in service")


def _shown(found: dict[str, Any]) -> RenderableType:
    rows = [
        (
            item["name"],
            f"{item['state']}, drained" if item["drained"] else item["state"],
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
