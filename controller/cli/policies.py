"""``mcoa policies``: flow policies of mobile nodes."""

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

app = typer.Typer(
    cls=DefaultGroup, help="List, set and delete policies: which of a mobile node's traffic goes to which BID."
)

PolicyName = Annotated[str, typer.Argument(help="Name of the policy, unique for the node.")]


@app.command("list")
def list_policies(
    home_address: OneHomeAddress = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
    watch: WatchOption = False,
) -> None:
    """Show policies, by node and priority."""
    with connect(url) as client:

        def ask() -> Any:  # noqa: ANN401  any JSON value
            if home_address is None:
                return client.items("v1", "policies")
            return client.get("v1", "nodes", home_address, "policies")

        present(ask, _table, as_json=as_json, watch=watch)


@app.command("set")
def set_policy(  # noqa: PLR0913, PLR0917  one parameter for each option of the command
    home_address: HomeAddress,
    name: PolicyName,
    priority: Annotated[int, typer.Option(help="1 comes first; unique for the node.", min=1, max=65535)],
    bid: Annotated[
        int | None, typer.Option(help="Binding identifier that takes these packets.", min=1, max=65535)
    ] = None,
    balance: Annotated[
        list[str] | None,
        typer.Option(help="Instead: each connection to one of these, as in 1:3,2:1 (BID:weight). May be repeated."),
    ] = None,
    replicate: Annotated[
        list[str] | None, typer.Option(help="Instead: a copy to each of these BIDs, as in 1,2. May be repeated.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Prefix of the correspondent.")] = None,
    destination: Annotated[str | None, typer.Option(help="Prefix on the node's side.")] = None,
    protocol: Annotated[str | None, typer.Option(help="tcp, udp, esp, icmpv6, or a number.")] = None,
    source_ports: Annotated[str | None, typer.Option(help="A port, or LOW-HIGH.")] = None,
    destination_ports: Annotated[str | None, typer.Option(help="A port, or LOW-HIGH.")] = None,
    dscp: Annotated[int | None, typer.Option(min=0, max=63)] = None,
    flow_label: Annotated[int | None, typer.Option(min=0, max=0xFFFFF)] = None,
    spi: Annotated[int | None, typer.Option(help="Of ESP or AH.", min=0, max=0xFFFFFFFF)] = None,
    hours: Annotated[str | None, typer.Option(help="Only within these hours (UTC), as in 08:00-18:00.")] = None,
    days: Annotated[
        list[str] | None, typer.Option(help="Only on these days, as in mon,tue,fri. May be repeated.")
    ] = None,
    not_before: Annotated[str | None, typer.Option(help="Only from then on, as in 2026-11-24T08:00:00Z.")] = None,
    not_after: Annotated[str | None, typer.Option(help="Only until then, as in 2026-11-24T18:00:00Z.")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    drop: Annotated[bool, typer.Option("--drop", help="Instead: drop these packets.")] = False,
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Take what nothing else takes, in place of the preferred binding.")
    ] = False,
    check: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a policy, or put another in its place. Selectors that are left out take any value."""
    selector = {
        "source": source,
        "destination": destination,
        "protocol": int(protocol) if protocol is not None and protocol.isdecimal() else protocol,
        "source_ports": source_ports,
        "destination_ports": destination_ports,
        "dscp": dscp,
        "flow_label": flow_label,
        "spi": spi,
    }
    given = {key: value for key, value in selector.items() if value is not None}
    body = {"priority": priority, **_treatment(bid, balance, replicate, drop=drop), "selector": given}
    if fallback:
        body["fallback"] = True
    if schedule := _schedule(hours, days, not_before, not_after):
        body["schedule"] = schedule
    with connect(url) as client:
        query = {"validate": "only" if check else None}
        found = client.put("v1", "nodes", home_address, "policies", name, body=body, query=query)
    if as_json:
        show_json(found)
    elif check:
        show_updates(found)
    else:
        typer.echo(f"{found['name']}: {_packets(found)} {_where(found)}, {found['state']}")


@app.command("delete")
def delete_policy(
    home_address: HomeAddress,
    name: PolicyName,
    url: UrlOption = DEFAULT_URL,
    *,
    check: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a policy: its flows take the next policy that fits, else the preferred binding."""
    with connect(url) as client:
        query = {"validate": "only" if check else None}
        found = client.delete("v1", "nodes", home_address, "policies", name, query=query)
    if as_json:
        show_json(found or {"home_address": home_address, "name": name, "deleted": True})
    elif check:
        show_updates(found)
    else:
        typer.echo(f"{name}: deleted")


def _treatment(
    bid: int | None, balance: list[str] | None, replicate: list[str] | None, *, drop: bool
) -> dict[str, Any]:
    if sum((bid is not None, bool(balance), bool(replicate), drop)) != 1:
        fail("say where the packets go: one of --bid, --balance, --replicate, --drop", WRONG_INPUT)
    try:
        if balance:
            pairs = [part.partition(":") for part in _parts(balance)]
            return {"action": "balance", "shares": [{"bid": int(b), "weight": int(w or 1)} for b, _, w in pairs]}
        if replicate:
            return {"action": "replicate", "bids": [int(part) for part in _parts(replicate)]}
    except ValueError:
        fail(f"{','.join(balance or replicate or [])!r} does not name BIDs: write 1:3,2:1 or 1,2", WRONG_INPUT)
    return {"action": "drop"} if drop else {"bid": bid}


def _parts(texts: list[str]) -> list[str]:
    """Return what options that may be repeated name together, each with commas or not."""
    return ",".join(texts).split(",")


def _schedule(
    hours: str | None, days: list[str] | None, not_before: str | None, not_after: str | None
) -> dict[str, Any]:
    schedule: dict[str, Any] = {"not_before": not_before, "not_after": not_after}
    if hours is not None:
        schedule["begins"], _, schedule["ends"] = hours.partition("-")
    if days:
        schedule["days"] = [day.lower() for day in _parts(days)]
    return {key: value for key, value in schedule.items() if value is not None}


def _table(found: dict[str, Any]) -> RenderableType:
    rows = [
        (item["home_address"], item["priority"], item["name"], _packets(item), _where(item), _when(item), item["state"])
        for item in found["items"]
    ]
    return make_table(("home address", "priority", "name", "packets", "go", "when (UTC)", "state"), rows, "no policies")


def _when(item: dict[str, Any]) -> str:
    """Return a schedule in words."""
    schedule = item["schedule"] or {}
    words = {"not_before": "from", "not_after": "until", "days": "on", "begins": "after", "ends": "before"}
    said = [
        f"{word} {' '.join(value) if isinstance(value, list) else value}"
        for key, word in words.items()
        if (value := schedule.get(key)) is not None
    ]
    return ", ".join(said) or "always"


def _packets(item: dict[str, Any]) -> str:
    """Return a selector in words."""
    named = [f"{key.replace('_', ' ')} {value}" for key, value in item["selector"].items() if value is not None]
    return ", ".join(named) or ("what nothing else takes" if item["fallback"] else "all packets")


def _where(item: dict[str, Any]) -> str:
    match item["action"]:
        case "steer":
            return f"to BID {item['bid']}"
        case "balance":
            return "to one of BIDs " + ", ".join(f"{one['bid']}:{one['weight']}" for one in item["shares"])
        case "replicate":
            return "copied to BIDs " + ", ".join(map(str, item["bids"]))
    return "nowhere"
