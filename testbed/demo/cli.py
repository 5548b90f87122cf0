"""`mcoa demo`: the demonstration as a command."""

import asyncio
import json
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

T = TypeVar("T")

_SAMPLE = "three-access.yaml"


def demo(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for capture, report and picture.")] = Path(
        "demo-out"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, nothing else.")] = False,
    topology: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Topology file; none: {_SAMPLE}, which comes with mcoa.")
    ] = None,
) -> None:
    """Show what it does on the embedded switch: three care-of addresses, steering by BID, a mobile router, handover, restart.

    Exit status: 0 every check holds, 1 one failed, 2 wrong input.
    """
    # All this takes a second to import: `mcoa --help` need not wait for it.
    from controller.fabric.loader import TopologyError, load_topology, sample_topologies  # noqa: PLC0415
    from testbed.demo.plan import PlanError  # noqa: PLC0415
    from testbed.demo.run import clear, run_demo  # noqa: PLC0415
    from testbed.network import NetworkError  # noqa: PLC0415
    from testbed.process import ControllerError  # noqa: PLC0415

    console = Console(stderr=as_json, quiet=as_json)
    try:
        network = load_topology(topology or sample_topologies() / _SAMPLE)
        clear(out)
        report = asyncio.run(_until_stopped(run_demo(network, out, console)))
    except (TopologyError, NetworkError, PlanError, OSError) as error:
        raise _fail(str(error), 2) from None
    except ControllerError as error:
        raise _fail(str(error), 1) from None
    except asyncio.CancelledError:
        raise _fail("stopped by SIGTERM", 128 + signal.SIGTERM) from None
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        failed = sum(not check.ok for check in report.checks)
        verdict = (
            f"{failed} of {len(report.checks)} checks failed" if failed else f"all {len(report.checks)} checks hold"
        )
        console.print(f"{verdict}; took {report.seconds:.1f} s. See {out}: home-agent.pcap, report.json, timeline.png")
    raise typer.Exit(0 if report.ok else 1)


async def _until_stopped(work: Coroutine[object, object, T]) -> T:
    """Do some work; SIGTERM ends it as SIGINT does, so the controller does not stay behind."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _fail(reason: str, status: int) -> typer.Exit:
    for line in reason.splitlines():
        typer.echo(f"mcoa demo: {line}", err=True)
    return typer.Exit(status)
