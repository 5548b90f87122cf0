"""``mcoa nodes``: mobile nodes, what they may do, what they have signalled."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from controller.cli.groups import DefaultGroup
from controller.cli.options import (
    DEFAULT_URL,
    CheckOption,
    HomeAddress,
    JsonOption,
    OneHomeAddress,
    UrlOption,
    WatchOption,
    connect,
)
from controller.cli.output import WRONG_INPUT, fail, make_table, present, show_json
from controller.cli.updates import show_updates

app = typer.Typer(cls=DefaultGroup, help="List, provision and remove mobile nodes; show the flows that they signalled.")

_COLUMNS = ("home address", "state", "BIDs", "preferred", "kind", "prefixes", "home agent")


@app.command("list")
def list_nodes(
    home_address: OneHomeAddress = None,
    state: Annotated[str | None, typer.Option(help="Only registered, provisioned or deregistered ones.")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
    watch: WatchOption = False,
) -> None:
    """Show mobile nodes: state, BIDs, mobile network prefixes."""
    with connect(url) as client:

        def ask() -> Any:  # noqa: ANN401  any JSON value
            if home_address is not None:
                return client.get("v1", "nodes", home_address)
            return client.items("v1", "nodes", query={"state": state})

        present(ask, _table, as_json=as_json, watch=watch)


@app.command("provision")
def provision(  # noqa: PLR0913  one parameter for each option of the command
    home_address: HomeAddress,
    prefix: Annotated[
        list[str] | None, typer.Option(help="Mobile network prefix; makes it a mobile router. May be repeated.")
    ] = None,
    max_bindings: Annotated[int, typer.Option(min=1, max=255)] = 8,
    max_flows: Annotated[int, typer.Option(min=1, max=1024)] = 32,
    security: Annotated[
        Path | None, typer.Option(help="JSON file with its security policy: keys do not belong on a command line.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    home_ipv4: Annotated[str | None, typer.Option(help="An IPv4 home address too; it is not signalled.")] = None,
    mobile_router: Annotated[bool, typer.Option("--mobile-router", help="It may register as a mobile router.")] = False,
    single: Annotated[bool, typer.Option("--single", help="One care-of address only (no RFC 5648).")] = False,
    check: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a node register, or by other rules; bindings that it may not keep are revoked."""
    body: dict[str, object] = {
        "multiple_care_of": not single,
        "max_bindings": max_bindings,
        "max_flows": max_flows,
        "mobile_router": mobile_router or bool(prefix),
        "prefixes": prefix or [],
        "home_ipv4": home_ipv4,
    }
    if security is not None:
        body["security"] = _read(security)
    with connect(url) as client:
        query = {"validate": "only" if check else None}
        found = client.put("v1", "nodes", home_address, "provision", body=body, query=query)
    if as_json:
        show_json(found)
    elif check:
        show_updates(found)
    else:
        typer.echo(f"{home_address}: provisioned")


@app.command("show")
def show_provision(
    home_address: HomeAddress, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False, watch: WatchOption = False
) -> None:
    """Show what a node may do."""
    with connect(url) as client:
        present(lambda: client.get("v1", "nodes", home_address, "provision"), _rules, as_json=as_json, watch=watch)


@app.command("remove")
def remove(
    home_address: HomeAddress,
    url: UrlOption = DEFAULT_URL,
    *,
    check: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a node register no more; its bindings are revoked."""
    with connect(url) as client:
        query = {"validate": "only" if check else None}
        found = client.delete("v1", "nodes", home_address, "provision", query=query)
    if as_json:
        show_json(found or {"home_address": home_address, "removed": True})
    elif check:
        show_updates(found)
    else:
        typer.echo(f"{home_address}: removed")


@app.command("flows")
def flows(
    home_address: HomeAddress, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False, watch: WatchOption = False
) -> None:
    """Show the flow bindings that a node has signalled (RFC 6089)."""
    with connect(url) as client:
        present(lambda: client.get("v1", "nodes", home_address, "flows"), _flows, as_json=as_json, watch=watch)


def _table(found: dict[str, Any]) -> RenderableType:
    rows = [
        (
            item["home_address"],
            item["state"],
            ", ".join(map(str, item["bids"])) or None,
            item["preferred_bid"],
            "router" if item["mobile_router"] else "host",
            ", ".join(item["prefixes"]) or None,
            item["home_agent"],
        )
        for item in found.get("items", [found])
    ]
    return make_table(_COLUMNS, rows, "no mobile nodes")


def _rules(found: dict[str, Any]) -> RenderableType:
    security = ", ".join(f"{key} {value}" for key, value in found["security"].items() if value is not None)
    shown = {**found, "prefixes": ", ".join(found["prefixes"]) or None, "security": security}
    return make_table(("what", "value"), [(key.replace("_", " "), value) for key, value in shown.items()], "")


def _flows(found: dict[str, Any]) -> RenderableType:
    rows = [
        (
            item["fid"],
            item["priority"],
            ", ".join(map(str, item["bids"])),
            ", ".join(map(str, item["active_bids"])) or "none",
            ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in item["selector"].items()),
        )
        for item in found["items"]
    ]
    return make_table(("FID", "priority", "BIDs", "active", "packets"), rows, "no flow bindings")


def _read(file: Path) -> object:
    import json  # noqa: PLC0415  seldom needed

    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{file}: no JSON: {error}", WRONG_INPUT)
