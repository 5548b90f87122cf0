"""``mcoa drill``: try what happens when a path fails, while nobody depends on it."""

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import RenderableType

from controller.cli.options import DEFAULT_URL, JsonOption, UrlOption, connect
from controller.cli.output import FAILED, WRONG_INPUT, fail, make_table, show, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.cli.prober import Prober
    from controller.client import Client

app = typer.Typer(no_args_is_help=True, help="Try what happens when something fails, and measure it.")

_POLICY: Final = "drill-probes"
"""Name of the policy that steers probes while a drill lasts."""
_MIDDLE: Final = 1000
_BEFORE: Final = 1.0
"""Seconds of probes before and after."""


@app.callback()
def _drills() -> None:
    """Try what happens when something fails, and measure it."""


@app.command("failover")
def failover(
    node: Annotated[str, typer.Option("--node", help="Home address of the mobile node.", metavar="HOME_ADDRESS")],
    bid: Annotated[int, typer.Option("--bid", help="The path to take away.", min=1, max=65535)],
    seconds: Annotated[float, typer.Option(help="For how long it is away.", min=0.1, max=60)] = 2.0,
    interval_ms: Annotated[float, typer.Option(help="Between two probe packets.", min=1, max=1000)] = 10.0,
    agent: Annotated[
        str | None, typer.Option(help="host:port of a probe agent; left out: ICMPv6 Echo from this machine.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    *,
    probe: Annotated[bool, typer.Option("--probe/--no-probe", help="Send probe packets to the node.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Take one path of a node away as if its binding had ended, measure the outage with probe packets, and give it back.

    A policy of their own, "drill-probes", has the probes take that path while the drill lasts.

    Exit status 1: probes were lost, or nobody answers them.
    """
    prober = _prober(node, agent, interval_ms / 1000) if probe else None
    with connect(url) as client:

        def drill() -> dict[str, Any]:
            path = ("v1", "nodes", node, "bindings", str(bid), "drill")
            return client.post(*path, body={"seconds": seconds}, timeout=seconds + 30)

        if prober is None:
            found = drill()
        else:
            # A node that is not there is told before anything is probed.
            client.get("v1", "nodes", node, "bindings", str(bid))
            with _steered(client, node, bid, prober.selector), prober.probing():
                time.sleep(_BEFORE)
                prober.mark()
                found = drill()
                time.sleep(_BEFORE)
    probes = None if prober is None else _probes(prober)
    if as_json:
        show_json({**found, "probes": probes})
    else:
        show(_table(found, probes))
    if probes is not None and (probes["lost"] or not probes["answered_before"]):
        if not probes["answered_before"]:
            fail(f"{node} does not answer: nothing was measured")
        raise typer.Exit(FAILED)


@contextmanager
def _steered(client: "Client", node: str, bid: int, selector: dict[str, str]) -> "Iterator[None]":
    """Have probes take the path in question while a block runs, by a policy of their own."""
    taken = {item["priority"]: item["name"] for item in client.get("v1", "nodes", node, "policies")["items"]}
    taken = {priority: name for priority, name in taken.items() if name != _POLICY}
    priority = min(taken, default=_MIDDLE) - 1
    if priority < 1:
        fail(
            f"the policy {taken[1]!r} has priority 1: probes cannot come before it; give it another, or say --no-probe"
        )
    body = {"priority": priority, "bid": bid, "selector": selector}
    client.put("v1", "nodes", node, "policies", _POLICY, body=body)
    try:
        yield
    finally:
        client.delete("v1", "nodes", node, "policies", _POLICY)


def _prober(node: str, agent: str | None, interval: float) -> "Prober":
    from controller.cli.prober import Agent, Echo, ProbeError, Prober  # noqa: PLC0415  seldom needed

    try:
        if agent is None:
            return Prober(Echo(node), interval)
        host, _, port = agent.rpartition(":")
        if not port.isdecimal() or not host or int(port) > 65535:
            fail(f"{agent!r} is not host:port", WRONG_INPUT)
        return Prober(Agent(host.strip("[]"), int(port), node), interval)
    except (ProbeError, OSError) as error:
        fail(str(error), WRONG_INPUT)


def _probes(prober: "Prober") -> dict[str, Any]:
    result = prober.result()
    return {
        "sent": result.sent,
        "lost": result.lost,
        "outage_ms": result.outage_ms,
        "answered_before": result.answered_before,
    }


def _table(found: dict[str, Any], probes: dict[str, Any] | None) -> RenderableType:
    rows = [
        ("path away", f"BID {found['bid']} of {found['home_address']}"),
        ("taken over by", f"BID {found['taken_over_by']}"),
        ("switches changed in", f"{found['failover_ms']:.1f} ms"),
        ("and back in", f"{found['restore_ms']:.1f} ms"),
    ]
    if probes is not None:
        rows += [
            ("probes sent", str(probes["sent"])),
            ("probes lost", str(probes["lost"])),
            ("outage", f"{probes['outage_ms']:.1f} ms"),
        ]
    return make_table(("drill", ""), rows, "")
