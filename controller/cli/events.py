"""``mcoa events``: what happens, as it happens."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, connect
from controller.cli.output import show_json

if TYPE_CHECKING:
    from controller.client import Client


def events(
    kind: Annotated[list[str] | None, typer.Option(help="Only events of this kind. May be repeated.")] = None,
    last: Annotated[
        int, typer.Option("--last", "-n", help="Begin with so many that were before.", min=0, max=1000)
    ] = 10,
    after: Annotated[str | None, typer.Option(help="Go on after the event with this id.")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    follow: Annotated[bool, typer.Option("--follow", "--watch", "-f", "-w", help="Go on until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show events: registrations, handovers, refusals, switches, policies. With --json one object a line when following."""
    kinds = kind or []
    with connect(url) as client:
        if not follow and after is None:
            found = client.get("v1", "events", query={"limit": max(last, 1), "kind": kinds})
            items = list(reversed(found["items"]))[-last:] if last else []
            if as_json:
                show_json({**found, "items": items})
                return
            for item in items:
                typer.echo(_line(item))
            return
        try:
            for item in _following(client, kinds, last, after):
                typer.echo(json.dumps(item, ensure_ascii=False) if as_json else _line(item))
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _following(client: "Client", kinds: list[str], last: int, after: str | None) -> Iterator[dict[str, Any]]:
    if after is None and last:
        found = client.get("v1", "events", query={"limit": last, "kind": kinds})["items"]
        yield from reversed(found)
        after = found[0]["id"] if found else None
    for event in client.events(after, kinds):
        if event.kind == "gap":
            yield {"id": event.id, "time": "", "kind": "gap", "details": event.data}
        else:
            yield event.data


def _line(item: dict[str, Any]) -> str:
    details = item["details"]
    told = [f"{key.replace('_', ' ')} {_value(value)}" for key, value in details.items() if value not in (None, [], "")]
    return f"{item['time'][11:23]:12} {item['kind']:<14} {', '.join(told)}"


def _value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_value, value))
    if isinstance(value, dict) and "care_of_address" in value:
        return f"{value['bid']}={value['care_of_address']}"
    if isinstance(value, dict):
        return " ".join(f"{key} {_value(one)}" for key, one in value.items())
    return str(value)
