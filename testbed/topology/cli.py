"""`mcoa topology check|show|draw`: topology files, beside the live network that the controller's own command shows."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from controller.fabric.topology import Topology

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Topology files: check, show, draw.")

_File = Annotated[Path, typer.Argument(help="A topology file, or the name of one that comes with mcoa.")]


def _fail(reason: str, code: int) -> NoReturn:
    for line in reason.splitlines():
        typer.echo(f"mcoa topology: {line}", err=True)
    raise typer.Exit(code)


def _load(file: Path) -> "Topology":
    from controller.fabric.loader import TopologyError, load_topology, sample_topologies  # noqa: PLC0415  pydantic takes a while

    sample = sample_topologies() / f"{file}.yaml"
    try:
        return load_topology(sample if not file.exists() and sample.exists() else file)
    except TopologyError as error:
        _fail(str(error), 2)


@app.command()
def check(file: _File) -> None:
    """Check a topology file; each thing that is wrong is named with its line. Exit status 2: it is wrong."""
    from controller.fabric.openflow import datapaths  # noqa: PLC0415
    from controller.fabric.paths import NoPathError  # noqa: PLC0415  networkx takes a while
    from controller.fabric.statics import switch_entries  # noqa: PLC0415
    from testbed.netns.plan import PlanError, make_plan  # noqa: PLC0415

    topology = _load(file)
    try:
        for switch in topology.switches:
            switch_entries(topology, switch)
        datapaths(topology)
    except NoPathError as error:
        _fail(f"{file}: {error}", 2)
    try:
        make_plan(topology)
    except PlanError as error:
        typer.echo(f"{file}: good for a controller; not for the testbed: {error}")
        return
    typer.echo(
        f"{file}: good: {len(topology.nodes)} nodes, {len(topology.switches)} switches, {len(topology.links)} links"
    )


@app.command()
def show(
    file: _File,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not tables.")] = False,
) -> None:
    """List nodes, links, and where each switch sends what."""
    from testbed.topology.describe import describe  # noqa: PLC0415  networkx takes a while

    found = describe(_load(file))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"{found['name']}: {found['description']}")
    for title in ("home_networks", "nodes", "links", "routes"):
        typer.echo(f"\n{title.replace('_', ' ')}")
        rows: list[dict[str, Any]] = found[title]
        if rows:
            _table(list(rows[0]), ([row[key] for key in rows[0]] for row in rows))


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    import sys  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415  it takes a while
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell in {None, ""} else str(cell)) for cell in row))
    console = Console(file=sys.stdout)
    (console if console.is_terminal else Console(file=sys.stdout, width=160)).print(table)


@app.command()
def draw(
    file: _File,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A .png or .svg file.")] = Path(
        "topology.png"
    ),
    bindings: Annotated[
        Path | None, typer.Option(metavar="JSON", help="What `mcoa bindings --json` printed: draws what is registered.")
    ] = None,
) -> None:
    """Draw roles, links, paths of equal cost, and bindings: those that the file foresees, or those that are registered."""
    from testbed.demo.timeline import PlotError  # noqa: PLC0415  matplotlib takes a while
    from testbed.topology.drawing import draw as draw_picture  # noqa: PLC0415
    from testbed.topology.drawing import foreseen, registered  # noqa: PLC0415

    if out.suffix not in {".png", ".svg"}:
        _fail(f"{out}: name a .png or .svg file", 2)
    topology = _load(file)
    try:
        tunnels = foreseen(topology)
        if bindings is not None:
            tunnels = registered(topology, json.loads(bindings.read_text(encoding="utf-8")))
        draw_picture(out, topology, tunnels)
    except PlotError as error:
        _fail(str(error), 1)
    except (OSError, ValueError) as error:
        _fail(f"{bindings or out}: {error}", 2)
    typer.echo(f"{out}: {topology.name}")
