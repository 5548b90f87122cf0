"""Runs the demonstration from set-up to the files that it leaves."""

import asyncio
import shutil
from contextlib import AsyncExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from controller.fabric.topology import Topology
from controller.garbage import search_in_steps
from testbed.demo.checks import Report
from testbed.demo.plan import Plan, actors
from testbed.demo.steps import Demo
from testbed.demo.timeline import PlotError, draw
from testbed.demo.view import View
from testbed.lab import Lab
from testbed.settings import ControllerSettings, make_credentials

TIME_LIMIT = 40.0
"""Seconds that the steps may take after set-up."""
CAPTURE = "home-agent.pcap"
REPORT = "report.json"
TIMELINE = "timeline.png"
CONTROLLER_LOG = "controller.log"
_REFRESH = 0.5
"""Seconds between two looks at the rates."""


async def run_demo(topology: Topology, out: Path, console: Console, pace: float = 1.0) -> Report:
    """Run the demonstration; leave capture, report, picture and the controller's log in `out`.

    Args:
        topology: with a correspondent and a mobile node of three uplinks.
        out: an existing folder.
        console: where to show it.
        pace: multiplies the time for which traffic is watched; 1 is made for people.

    Raises:
        PlanError: the topology cannot carry the demonstration.
        NetworkError: the lab cannot build the topology.
        ControllerError: the controller did not start.
    """
    actors(topology)  # before anything is started
    report = Report()
    with TemporaryDirectory(prefix="mcoa-demo-") as folder:
        try:
            async with AsyncExitStack() as stack:
                console.print("setting up: switch, wires, nodes, controller ...", style="dim")
                settings = ControllerSettings(credentials=make_credentials(topology))
                lab = await stack.enter_async_context(Lab(topology, Path(folder), settings, out / CAPTURE))
                plan = Plan(lab)
                began = lab.clock.time()
                with View(console, report) as view:
                    await _take_steps(plan, report, view, pace)
                    _judge_capture(lab, report)
                    _draw(plan, report, out / TIMELINE, began)
        finally:
            _keep_log(Path(folder), out)
    report.write(out / REPORT, began)
    return report


def clear(out: Path) -> None:
    """Make the folder for what a run leaves, without what an earlier one left."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (CAPTURE, REPORT, TIMELINE, CONTROLLER_LOG):
        (out / name).unlink(missing_ok=True)


async def _take_steps(plan: Plan, report: Report, view: View, pace: float) -> None:
    rates = asyncio.create_task(_show_rates(plan, view))
    try:
        async with search_in_steps():
            await Demo(plan, report, pace).run()
    except Exception as error:  # noqa: BLE001 - a demonstration that breaks off is a check that failed, and is reported so
        report.check("steps taken to the end", ok=False, figure=f"{type(error).__name__}: {error}")
    finally:
        rates.cancel()


async def _show_rates(plan: Plan, view: View) -> None:
    last = dict.fromkeys(plan.lanes, 0)
    while True:
        await asyncio.sleep(_REFRESH)
        now = plan.arrived()
        view.rates({f"BID {bid}": (now[bid] - last[bid]) / _REFRESH for bid in plan.lanes})
        last = now


def _judge_capture(lab: Lab, report: Report) -> None:
    report.begin("j", "what is left: the capture of every port of the home-agent switch, the timeline")
    # How long Python takes to start is the machine's affair, and has a check of its own.
    duration = round(report.seconds - report.starting, 1)
    report.at_most("duration of the steps without the controller's start", duration, TIME_LIMIT, "s")
    capture = lab.capture
    if capture is None:
        raise ValueError("the demonstration needs a capture: give the lab a file for it")
    capture.close()
    report.at_least("packets captured", capture.packets, 1, "packets")
    report.at_least("Mobility Headers", capture.mobility, 10)
    report.at_least("IPv6 packets in IPv6 packets", capture.tunnelled, 1)
    report.equal("wrong checksums, computed again", capture.wrong_checksums, 0)


def _draw(plan: Plan, report: Report, path: Path, began: float) -> None:
    arrivals = chain.from_iterable(plan.at_node.arrivals.values())
    labels = {bid: f"BID {bid} ({lane.access})" for bid, lane in plan.lanes.items()}
    try:
        draw(path, arrivals, report.events, labels, (began, plan.lab.clock.time()))
    except PlotError as error:
        report.check("timeline", ok=False, figure=str(error))
    else:
        report.check("timeline", ok=True, figure=path.name)


def _keep_log(folder: Path, out: Path) -> None:
    log = folder / CONTROLLER_LOG
    if log.exists():
        shutil.copyfile(log, out / CONTROLLER_LOG)
