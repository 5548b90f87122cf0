"""``mcoa topology``: the network as the controller sees it now. The testbed adds what there is to do with topology files."""

from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.extensions import OpenGroup
from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, WatchOption, connect
from controller.cli.output import make_table, present

app = typer.Typer(
    cls=OpenGroup, help="Show the network as the controller sees it now; check, show, draw topology files."
)


@app.callback()
def topology() -> None:
    """Hold the command below as one of several, although it is the only one of this package."""


@app.command()
def live(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False, watch: WatchOption = False) -> None:
    """Show the network as the controller sees it now: switches, links and their state, the path of each binding."""
    with connect(url) as client:
        present(lambda: client.get("v1", "topology"), _table, as_json=as_json, watch=watch)


def _table(found: dict[str, Any]) -> RenderableType:
    nodes = [
        (
            node["name"],
            node["kind"],
            node["role"],
            node["state"],
            ", ".join(node["prefixes"] or node["addresses"]) or None,
        )
        for node in found["nodes"]
    ]
    links = [
        (
            link["a"],
            link["b"],
            "up" if link["up"] else "down",
            link["cost"],
            f"{link['delay_ms']:g} ms",
            None if link["rate_mbps"] is None else f"{link['rate_mbps']:g} Mbit/s",
        )
        for link in found["links"]
    ]
    paths = [(path["home_address"], path["bid"], " > ".join(path["nodes"]) or "unknown") for path in found["paths"]]
    return Group(
        Text(found["name"], style="bold"),
        make_table(("node", "kind", "role", "state", "where"), nodes, "no nodes"),
        Text(),
        make_table(("end", "end", "state", "cost", "delay", "rate"), links, "no links"),
        Text(),
        make_table(("home address", "BID", "path"), paths, "no paths"),
    )
