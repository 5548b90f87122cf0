"""Commands that show what a running controller knows. With ``--json`` each prints the REST resource as it is."""

from typing import Annotated, Any

import typer

from controller.cli.options import DEFAULT_URL, JsonOption, OneHomeAddress, UrlOption, connect
from controller.cli.output import show_json, show_table


def bindings(home_address: OneHomeAddress = None, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Show bindings: care-of address, priority, lifetime and traffic of each BID."""
    path = ("v1", "bindings") if home_address is None else ("v1", "nodes", home_address, "bindings")
    with connect(url) as client:
        found = client.get(*path)
    if as_json:
        show_json(found)
        return
    columns = ("home address", "BID", "care-of address", "priority", "lifetime", "left", "state", "down", "up")
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
        for item in found["items"]
    ]
    show_table(columns, rows, "no bindings")


def nodes(home_address: OneHomeAddress = None, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Show mobile nodes: state, BIDs, mobile network prefixes."""
    with connect(url) as client:
        found = client.get("v1", "nodes") if home_address is None else client.get("v1", "nodes", home_address)
    if as_json:
        show_json(found)
        return
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
    show_table(
        ("home address", "state", "BIDs", "preferred", "kind", "prefixes", "home agent"), rows, "no mobile nodes"
    )


def switches(
    name: Annotated[str | None, typer.Argument(help="Only this switch, with its tables and drops.")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show switches: sessions, how full their tables are, what they dropped."""
    with connect(url) as client:
        found = client.get("v1", "switches") if name is None else client.get("v1", "switches", name)
    if as_json:
        show_json(found)
        return
    items = found.get("items", [found])
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
            item["last_error"],
        )
        for item in items
    ]
    columns = ("switch", "state", "in sync", "target", "address", "device", "entries", "dropped", "last error")
    show_table(columns, rows, "no switches")
    if name is not None:
        _details(found)


def _details(switch: dict[str, Any]) -> None:
    typer.echo()
    tables = [(table["name"], table["entries"], table["size"] or None) for table in switch["tables"]]
    show_table(("table", "entries", "size"), tables, "its tables cannot be read now")
    typer.echo()
    drops = [(reason, drop["packets"], drop["bytes"]) for reason, drop in switch["drops"].items()]
    show_table(("dropped because", "packets", "bytes"), drops, "its drop counters cannot be read now")


def health(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Show in brief how the controller and its switches are."""
    with connect(url) as client:
        found = client.get("health")
    if as_json:
        show_json(found)
        return
    typer.echo(f"{found['status']}, version {found['version']}, up {found['uptime_seconds']:.0f} s")
    show_table(("switch", "state"), found["switches"].items(), "no switches")
    for problem in found["problems"]:
        typer.echo(problem)


def _traffic(count: dict[str, int] | None) -> str | None:
    return None if count is None else f"{count['packets']} packets, {count['bytes']} bytes"
