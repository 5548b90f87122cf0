"""``mcoa preferences``: the operator's order of a node's paths."""

from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from controller.cli.groups import DefaultGroup
from controller.cli.options import DEFAULT_URL, CheckOption, HomeAddress, JsonOption, UrlOption, WatchOption, connect
from controller.cli.output import present, show, show_json
from controller.cli.updates import show_updates

app = typer.Typer(
    cls=DefaultGroup, help="Say in which order a node's paths are preferred, in place of its own order (BID-PRI)."
)


@app.command("show")
def show_preference(
    home_address: HomeAddress, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False, watch: WatchOption = False
) -> None:
    """Show the order of a node's paths. Exit status 5: the node's own order counts."""
    with connect(url) as client:
        present(lambda: client.get("v1", "nodes", home_address, "path-preference"), _line, as_json=as_json, watch=watch)


@app.command("set")
def set_preference(
    home_address: HomeAddress,
    bids: Annotated[list[int], typer.Argument(help="The best first.", metavar="BID...", min=1, max=65535)],
    url: UrlOption = DEFAULT_URL,
    *,
    check: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prefer paths in this order, where no policy and no flow binding says otherwise."""
    with connect(url) as client:
        query = {"validate": "only" if check else None}
        found = client.put("v1", "nodes", home_address, "path-preference", body={"bids": bids}, query=query)
    if as_json:
        show_json(found)
    elif check:
        show_updates(found)
    else:
        show(_line(found))


@app.command("remove")
def remove_preference(
    home_address: HomeAddress,
    url: UrlOption = DEFAULT_URL,
    *,
    check: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let the node's own order count again."""
    with connect(url) as client:
        query = {"validate": "only" if check else None}
        found = client.delete("v1", "nodes", home_address, "path-preference", query=query)
    if as_json:
        show_json(found or {"home_address": home_address, "removed": True})
    elif check:
        show_updates(found)
    else:
        typer.echo(f"{home_address}: its own order counts")


def _line(found: dict[str, Any]) -> RenderableType:
    order = ", then ".join(f"BID {bid}" for bid in found["bids"])
    now = "it has no binding" if found["preferred_bid"] is None else f"now BID {found['preferred_bid']}"
    return Text(f"{found['home_address']}: {order}; {now}")
