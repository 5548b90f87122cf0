"""`mcoa node`: be a mobile node on this machine, and ask such a node how it is."""

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from testbed.node.config import NodeFile

app = typer.Typer(add_completion=False, help="A mobile node or mobile router on this machine.")

_ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="The node's settings.")]


@app.callback(invoke_without_command=True)
def node(
    context: typer.Context,
    config: _ConfigOption = None,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell of ignored packets too.")] = False,
) -> None:
    """Register this machine's care-of addresses with a home agent, until SIGINT or SIGTERM. Needs root."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        _fail("give the settings: mcoa node --config FILE", 2)
    settings = _load(config)
    if os.geteuid() != 0:
        _fail("needs root: it opens raw sockets and makes a tunnel interface", 2)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(settings, config.parent))
    except OSError as error:  # SocketError among them
        _fail(" ".join(str(error).split()), 2)


@app.command()
def status(
    config: _ConfigOption = None,
    *,
    control: Annotated[
        Path | None, typer.Option(metavar="SOCKET", help="Instead of --config: its control socket.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Show the bindings of a node that runs on this machine."""
    from testbed.node.control import ask_status  # noqa: PLC0415

    if control is None:
        if config is None:
            _fail("say which node: --config FILE or --control SOCKET", 2)
        control = config.parent / _load(config).node.control
    try:
        found = ask_status(control)
    except OSError as error:
        _fail(str(error), 1)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    place = f"at home on {found['at_home']}" if found["at_home"] else "away"
    typer.echo(f"{found['home_address']} ({place}), home agent {found['home_agent']}")
    _show_interfaces(found["interfaces"])


def _show_interfaces(interfaces: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415  it takes a while to import
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("interface", "BID", "priority", "care-of address", "state", "expires in"):
        table.add_column(column, overflow="fold")
    for one in interfaces:
        left = "-" if one["expires_in"] is None else f"{one['expires_in']:.0f} s"
        care_of = one["care_of"] or "-"
        table.add_row(one["name"], str(one["bid"]), str(one["priority"] or "-"), care_of, one["state"], left)
    Console().print(table)


def _load(path: Path) -> "NodeFile":
    from testbed.node.config import NodeConfigError, load_node  # noqa: PLC0415  its models take a while to build

    try:
        return load_node(path)
    except NodeConfigError as error:
        for line in str(error).splitlines():
            typer.echo(f"mcoa node: {line}", err=True)
        raise typer.Exit(2) from None


async def _run(settings: "NodeFile", folder: Path) -> None:
    from testbed.node.agent import NodeAgent  # noqa: PLC0415  as above
    from testbed.node.control import ControlSocket  # noqa: PLC0415

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    agent = NodeAgent(settings, settings.engine_config(folder))
    async with ControlSocket(folder / settings.node.control, agent.status):
        typer.echo(f"ready: {settings.node.tunnel}, {len(settings.interface)} interfaces")
        await agent.run(stop)


def _fail(reason: str, code: int) -> NoReturn:
    typer.echo(f"mcoa node: {reason}", err=True)
    raise typer.Exit(code)
