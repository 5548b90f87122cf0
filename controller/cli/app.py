"""The command line as a whole: which commands there are."""

from typing import Annotated

import typer

from controller.cli import (
    audit,
    bindings,
    control,
    drill,
    events,
    nodes,
    p4,
    policies,
    preferences,
    replay,
    shell,
    switches,
    system,
    token,
    top,
    topology,
)
from controller.cli.extensions import ExtensibleGroup

app = typer.Typer(
    cls=ExtensibleGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A Mobile IPv6 home agent for nodes with several care-of addresses, on P4 switches.",
    epilog="Exit status: 0 done, 1 failed, 2 wrong input, 3 no controller reached, 4 no or not the right token, 5 no such"
    " thing. MCOA_URL says where the controller is, MCOA_TOKEN or MCOA_TOKEN_FILE who asks, MCOA_CA_FILE whom to trust.",
)


def _version(wanted: bool) -> None:  # noqa: FBT001  typer calls it with the option's value
    if wanted:
        from controller.northbound.version import mcoa_version  # noqa: PLC0415  brings FastAPI with it, seldom needed

        typer.echo(f"mcoa {mcoa_version()}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Run one command."""


app.command()(control.run)
app.command("check-config")(control.check_config)
app.add_typer(token.app, name="token")
app.add_typer(nodes.app, name="nodes")
app.add_typer(bindings.app, name="bindings")
app.add_typer(policies.app, name="policies")
app.add_typer(preferences.app, name="preferences")
app.add_typer(switches.app, name="switches")
app.add_typer(topology.app, name="topology")
app.command()(events.events)
app.command()(top.top)
app.command()(system.health)
app.add_typer(system.drain_app, name="drain")
app.add_typer(drill.app, name="drill")
app.add_typer(p4.app, name="p4")
app.command()(system.reload)
app.command("audit-log")(system.audit_log)
app.command()(audit.audit)
app.command()(replay.replay)
app.command()(shell.shell)
