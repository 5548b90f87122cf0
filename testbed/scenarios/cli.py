"""`mcoa scenario`: run a scenario in network namespaces of its own."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from controller.fabric.topology import Topology
    from testbed.scenarios.model import Scenario

TOOLS = {"ip": "iproute2", "tc": "iproute2", "ethtool": "ethtool", "nsenter": "util-linux", "unshare": "util-linux"}
"""Commands that the testbed runs, and the Debian package of each."""


class UnusableError(Exception):
    """The run cannot begin; one line for each reason."""


def scenario(
    name: Annotated[str, typer.Argument(help="A scenario that comes with mcoa, or a file.")],
    topology: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of the scenario's own.")] = None,
    switch: Annotated[str, typer.Option(help="Kind of the P4 switches: embedded or bmv2.")] = "embedded",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for logs, report and picture.")] = Path(
        "scenario-out"
    ),
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, nothing else.")] = False,
) -> None:
    """Run a scenario with real kernels, sockets and applications, in network namespaces of its own. Needs root.

    Exit status: 0 every check holds, 1 one failed, 2 wrong input.
    """
    try:
        what, network = read(name, topology)
        check_machine(what, switch, network)
        clear(out)
    except UnusableError as error:
        _fail(str(error))
    try:
        document = run_private(what, network, switch, out)
    except (RuntimeError, OSError, TimeoutError) as error:  # ProcessError among them: something did not start
        _fail(" ".join(str(error).split()), 1)
    except asyncio.CancelledError:
        _fail("stopped by SIGTERM", 128 + signal.SIGTERM)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        show(document, out)
    raise typer.Exit(0 if document["verdict"] == "passed" else 1)


def _fail(reason: str, code: int = 2) -> NoReturn:
    for line in reason.splitlines():
        typer.echo(f"mcoa scenario: {line}", err=True)
    raise typer.Exit(code)


def sample_scenarios() -> Path:
    """Return the folder of the scenarios that come with this package, installed or in a source tree."""
    from controller.fabric.loader import sample_topologies  # noqa: PLC0415  pydantic and networkx take a while

    return sample_topologies().parent / "scenarios"


def read(name: str, topology: Path | None) -> "tuple[Scenario, Topology]":
    """Return the scenario and the topology that are meant.

    Raises:
        UnusableError: they cannot be read.
    """
    from controller.fabric.loader import TopologyError, load_topology, sample_topologies  # noqa: PLC0415  as above
    from testbed.netns.plan import PlanError, make_plan  # noqa: PLC0415
    from testbed.scenarios.fit import check_fits  # noqa: PLC0415
    from testbed.scenarios.model import ScenarioError, load_scenario  # noqa: PLC0415

    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        path = sample_scenarios() / f"{name}.yaml"
        if not path.exists():
            known = ", ".join(sorted(one.stem for one in sample_scenarios().glob("*.yaml")))
            raise UnusableError(f"there is no scenario {name!r}: {known}")
    try:
        what = load_scenario(path)
        network = load_topology(topology or sample_topologies() / what.topology)
        make_plan(network)
        check_fits(path, what, network)
    except (ScenarioError, TopologyError, PlanError) as error:
        raise UnusableError(str(error)) from error
    return what, network


def check_machine(what: "Scenario | None", switch: str, network: "Topology") -> None:
    """See whether this machine has what a run takes.

    Raises:
        UnusableError: it has not; says what and how to get it.
    """
    from controller.service.transit import TransitError, check_installed  # noqa: PLC0415  as above
    from testbed.netns.kernel import kernel_fault  # noqa: PLC0415
    from testbed.netns.ovs import missing_tools  # noqa: PLC0415
    from testbed.netns.switches import SWITCHES  # noqa: PLC0415

    if switch not in SWITCHES:
        raise UnusableError(f"{switch!r} is no kind of switch: {' or '.join(SWITCHES)}")
    if os.geteuid() != 0:
        raise UnusableError("needs root, for network namespaces and raw sockets: sudo it")
    tools = dict(TOOLS)
    if switch == "bmv2" and shutil.which("simple_switch_grpc") is None:
        raise UnusableError(
            "simple_switch_grpc is not on PATH: install BMv2 (p4lang's packages), or use --switch embedded"
        )
    if what is not None:
        tools |= {"curl": "curl"} if what.downloads else {}
        kinds = {step.kind for step in what.steps}
        tools |= {"ping": "iputils-ping"} if "ping" in kinds else {}
        tools |= {"iperf3": "iperf3"} if "iperf3" in kinds else {}
        tools |= {"traceroute": "traceroute"} if "trace" in kinds else {}
    missing = {tool: package for tool, package in tools.items() if shutil.which(tool) is None}
    if network.openflow:
        missing |= dict.fromkeys(missing_tools(), "openvswitch-switch")
    if missing:
        raise UnusableError(
            f"{', '.join(missing)} is missing: apt-get install {' '.join(sorted(set(missing.values())))}"
        )
    try:
        if network.openflow:
            check_installed()
    except TransitError as error:
        raise UnusableError(str(error)) from error
    if (fault := kernel_fault()) is not None:
        raise UnusableError(fault)


def clear(out: Path) -> None:
    """Make the folder of a run, or empty it of an earlier run's files.

    Raises:
        UnusableError: it cannot be used.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / "report.json").exists() and not (out / "mcoa.toml").exists():
            raise UnusableError(f"{out} holds other things than an earlier run: choose another folder with --out")
        for entry in out.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except OSError as error:
        raise UnusableError(f"{out} cannot be used: {error.strerror}") from error


def run_private(what: "Scenario", network: "Topology", switch: str, out: Path) -> dict[str, Any]:
    """Run a scenario in a network of this process's own; return the report."""
    from testbed.netns.plan import make_plan  # noqa: PLC0415  as above
    from testbed.netns.processes import enter_private_network  # noqa: PLC0415
    from testbed.netns.world import namespaces  # noqa: PLC0415

    enter_private_network()
    with namespaces(make_plan(network)) as pids:
        return asyncio.run(until_stopped(what, network, switch, out, pids))


async def until_stopped(
    what: "Scenario", network: "Topology", switch: str, out: Path, pids: Mapping[str, int]
) -> dict[str, Any]:
    """Run a scenario around namespaces that stand; SIGTERM ends it in order. Return the report."""
    from testbed.scenarios.play import play  # noqa: PLC0415  as above

    task = asyncio.ensure_future(play(what, network, switch, out, pids))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def show(document: Mapping[str, Any], out: Path) -> None:
    """Print checks and verdict for people."""
    for check in document["checks"]:
        mark = "ok  " if check["ok"] else "FAIL"
        value = "not measured" if check["value"] is None else f"{check['value']:g}"
        typer.echo(f"{mark} {check['metric']}: {value} ({check['bound']})")
    if document["error"]:
        typer.echo(f"ended early: {document['error']}")
    typer.echo(
        f"{document['scenario']}: {document['verdict']} in {document['seconds']:.1f} s. See {out}: report.json, timeline.png"
    )
