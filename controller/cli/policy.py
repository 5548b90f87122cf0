"""``mcoa policy``: flow policies of mobile nodes."""

from typing import Annotated, Any

import typer

from controller.cli.options import DEFAULT_URL, HomeAddress, JsonOption, OneHomeAddress, UrlOption, connect
from controller.cli.output import show_json, show_table

app = typer.Typer(no_args_is_help=True, help="List, set and delete policies that steer a mobile node's flows to a BID.")

PolicyName = Annotated[str, typer.Argument(help="Name of the policy, unique for the node.")]


@app.command("list")
def list_policies(
    home_address: OneHomeAddress = None, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False
) -> None:
    """Show policies, by node and priority."""
    path = ("v1", "policies") if home_address is None else ("v1", "nodes", home_address, "policies")
    with connect(url) as client:
        found = client.get(*path)
    if as_json:
        show_json(found)
        return
    rows = [
        (item["home_address"], item["priority"], item["name"], _packets(item["selector"]), item["bid"], item["state"])
        for item in found["items"]
    ]
    show_table(("home address", "priority", "name", "packets", "BID", "state"), rows, "no policies")


@app.command("set")
def set_policy(  # noqa: PLR0913, PLR0917  one parameter for each option of the command
    home_address: HomeAddress,
    name: PolicyName,
    bid: Annotated[int, typer.Option(help="Binding identifier that takes these packets.", min=1, max=65535)],
    priority: Annotated[int, typer.Option(help="1 comes first; unique for the node.", min=1, max=65535)],
    source: Annotated[str | None, typer.Option(help="Prefix of the correspondent.")] = None,
    destination: Annotated[str | None, typer.Option(help="Prefix on the node's side.")] = None,
    protocol: Annotated[str | None, typer.Option(help="tcp, udp, esp, icmpv6, or a number.")] = None,
    source_ports: Annotated[str | None, typer.Option(help="A port, or LOW-HIGH.")] = None,
    destination_ports: Annotated[str | None, typer.Option(help="A port, or LOW-HIGH.")] = None,
    dscp: Annotated[int | None, typer.Option(min=0, max=63)] = None,
    flow_label: Annotated[int | None, typer.Option(min=0, max=0xFFFFF)] = None,
    spi: Annotated[int | None, typer.Option(help="Of ESP or AH.", min=0, max=0xFFFFFFFF)] = None,
    url: UrlOption = DEFAULT_URL,
    *,
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
    body = {"priority": priority, "bid": bid, "selector": given}
    with connect(url) as client:
        found = client.put("v1", "nodes", home_address, "policies", name, body=body)
    if as_json:
        show_json(found)
        return
    typer.echo(f"{found['name']}: {_packets(found['selector'])} to BID {found['bid']}, {found['state']}")


@app.command("delete")
def delete_policy(
    home_address: HomeAddress, name: PolicyName, url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False
) -> None:
    """Remove a policy: its flows take the next policy that fits, else the preferred binding."""
    with connect(url) as client:
        client.delete("v1", "nodes", home_address, "policies", name)
    if as_json:
        show_json({"home_address": home_address, "name": name, "deleted": True})
        return
    typer.echo(f"{name}: deleted")


def _packets(selector: dict[str, Any]) -> str:
    """Return a selector in words."""
    named = [f"{key.replace('_', ' ')} {value}" for key, value in selector.items() if value is not None]
    return ", ".join(named) or "all packets"
