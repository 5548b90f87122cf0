"""``mcoa bindings``: care-of addresses with their traffic, and revocation."""

from typing import Annotated, Any

import typer
from rich.console import RenderableType

from controller.cli.groups import DefaultGroup
from controller.cli.options import DEFAULT_URL, JsonOption, OneHomeAddress, UrlOption, WatchOption, connect
from controller.cli.output import WRONG_INPUT, fail, make_table, present, show_json

app = typer.Typer(cls=DefaultGroup, help="List and revoke bindings.")

_COLUMNS = ("home address", "BID", "care-of address", "priority", "lifetime", "left", "state", "down", "up")

BidOption = Annotated[int | None, typer.Option(help="Only this BID; 0: the one without.", min=0, max=65535)]


@app.command("list")
def list_bindings(
    home_address: OneHomeAddress = None,
    bid: BidOption = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
    watch: WatchOption = False,
) -> None:
    """Show bindings: care-of address, priority, lifetime and traffic of each BID."""
    with connect(url) as client:

        def ask() -> Any:  # noqa: ANN401  any JSON value
            if home_address is None:
                return client.items("v1", "bindings", query={"bid": bid})
            if bid is not None:
                return client.get("v1", "nodes", home_address, "bindings", str(bid))
            return client.get("v1", "nodes", home_address, "bindings")

        present(ask, _table, as_json=as_json, watch=watch)


@app.command("revoke")
def revoke(
    home_address: OneHomeAddress = None,
    bid: BidOption = None,
    url: UrlOption = DEFAULT_URL,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All bindings of all nodes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take bindings back (RFC 5846): one of a node, all of a node, or all there are. The node is told."""
    if everything == (home_address is not None):
        fail("name a home address, or say --all", WRONG_INPUT)
    if bid is not None and home_address is None:
        fail("--bid goes with a home address", WRONG_INPUT)
    path = ["v1", "bindings"] if home_address is None else ["v1", "nodes", home_address, "bindings"]
    with connect(url) as client:
        begun = client.delete(*path, *([] if bid is None else [str(bid)]))
    if as_json:
        show_json(begun or {"home_address": home_address, "bid": bid, "revoked": True})
        return
    if home_address is None:
        typer.echo(f"the bindings of {begun['nodes']} nodes are being revoked: `mcoa events` tells when each is gone")
        return
    typer.echo(f"{home_address}: {'all bindings' if bid is None else f'BID {bid}'} revoked")


def _table(found: dict[str, Any]) -> RenderableType:
    rows = [
        (
            item["home_address"],
            item["bid"],
            "(at home)" if item["at_home"] else item["care_of_address"],
            item["priority"],
            f"{item['lifetime_seconds']} s",
            f"{item['remaining_seconds']:.0f} s",
            item["state"],
            _traffic(item["downstream"]),
            _traffic(item["upstream"]),
        )
        for item in found.get("items", [found])
    ]
    return make_table(_COLUMNS, rows, "no bindings")


def _traffic(count: dict[str, int] | None) -> str | None:
    return None if count is None else f"{count['packets']} packets, {count['bytes']} bytes"
