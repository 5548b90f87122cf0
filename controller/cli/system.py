"""Commands for the controller as a whole: health, draining, reloading, the audit log."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.groups import DefaultGroup
from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, WatchOption, connect
from controller.cli.output import make_table, present, show_json

drain_app = typer.Typer(cls=DefaultGroup, help="Send all nodes to other home agents (RFC 5142).")


def health(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False, watch: WatchOption = False) -> None:
    """Show in brief how the controller and its switches are."""
    with connect(url) as client:
        present(lambda: client.get("health"), _health, as_json=as_json, watch=watch)


def _health(found: dict[str, Any]) -> RenderableType:
    head = Text(f"{found['status']}, version {found['version']}, up {found['uptime_seconds']:.0f} s")
    table = make_table(("switch", "state"), found["switches"].items(), "no switches")
    return Group(head, table, *map(Text, found["problems"]))


def reload(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Have the controller read its configuration file again."""
    with connect(url) as client:
        found = client.post("v1", "reload", body={})
    if as_json:
        show_json(found)
        return
    typer.echo(
        f"nodes: {found['added']} added, {found['changed']} changed, {found['removed']} removed;"
        f" {found['revoked']} bindings are being revoked"
    )
    for field in found["at_next_start"]:
        typer.echo(f"{field}: takes effect at the next start")


def audit_log(
    limit: Annotated[int, typer.Option("--last", "-n", help="So many, the newest.", min=1, max=1000)] = 20,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
    watch: WatchOption = False,
) -> None:
    """Show who changed what, newest first; needs the role admin."""
    with connect(url) as client:
        present(lambda: client.get("v1", "audit-log", query={"limit": limit}), _changes, as_json=as_json, watch=watch)


def _changes(found: dict[str, Any]) -> RenderableType:
    rows = [
        (item["number"], item["time"][:19], item["actor"], item["role"], item["action"], item["resource"], _what(item))
        for item in found["items"]
    ]
    return make_table(("number", "time (UTC)", "who", "role", "action", "resource", "what"), rows, "no changes")


def _what(item: dict[str, Any]) -> str | None:
    """Return the fields that a change gave another value."""
    before, after = item["before"] or {}, item["after"] or {}
    if not item["before"] or not item["after"]:
        return None
    return ", ".join(f"{key}: {before.get(key)} -> {after[key]}" for key in after if before.get(key) != after[key])


# Draining


@drain_app.command("show")
def show_drain(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False, watch: WatchOption = False) -> None:
    """Show how draining stands. Exit status 5: nothing is drained."""
    with connect(url) as client:
        present(lambda: client.get("v1", "drain"), _drain, as_json=as_json, watch=watch)


@drain_app.command("begin")
def begin_drain(
    home_agent: Annotated[
        list[str] | None,
        typer.Argument(help="Where to go, best first; none: nodes find one.", metavar="[HOME_AGENT]..."),
    ] = None,
    seconds_left: Annotated[float | None, typer.Option(help="For how long this one will still be there.")] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask all nodes to go, and prolong no binding from now on, also after a restart."""
    body = {"home_agents": home_agent or [], "seconds_left": seconds_left}
    with connect(url) as client:
        present(lambda: client.put("v1", "drain", body=body), _drain, as_json=as_json)


@drain_app.command("end")
def end_drain(url: UrlOption = DEFAULT_URL, *, as_json: JsonOption = False) -> None:
    """Serve as before."""
    with connect(url) as client:
        client.delete("v1", "drain")
    if as_json:
        show_json({"drained": False})
        return
    typer.echo("nodes may stay")


def _drain(found: dict[str, Any]) -> RenderableType:
    where = ", ".join(found["home_agents"]) or "whatever home agent they find"
    left = "" if found["seconds_left"] is None else f", {found['seconds_left']:.0f} s left"
    return Text(f"nodes are sent to {where}; {found['remaining']} still have bindings{left}")
