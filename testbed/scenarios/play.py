"""A scenario from beginning to end: world, runner, report, picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.fabric.topology import Topology
from testbed.demo.timeline import PlotError
from testbed.netns.world import World, WorldOptions
from testbed.scenarios.model import Scenario
from testbed.scenarios.report import draw, report, write_report
from testbed.scenarios.run import Runner
from testbed.settings import ControllerSettings, make_credentials


def world_options(
    scenario: Scenario | None, topology: Topology, switch: str, rest_port: int = 0, *, capture: bool = False
) -> WorldOptions:
    """Return the options of the world that a scenario asks for. Its mobile nodes prove themselves with new keys."""
    settings = ControllerSettings(
        credentials=make_credentials(topology),
        open_networks=scenario is not None and scenario.open_networks,
        extra={} if scenario is None else scenario.controller,
        network={"link": "real"} if scenario is not None and scenario.real_home_link else {},
    )
    agents = {} if scenario is None else scenario.agents
    return WorldOptions(switch=switch, settings=settings, agents=agents, rest_port=rest_port, capture=capture)


async def perform(world: World, scenario: Scenario, switch: str) -> dict[str, Any]:
    """Run a scenario in a world; write report and picture into its folder; return the report."""
    outcome = await Runner(world, scenario).run()
    document = report(scenario, outcome, switch)
    try:
        draw(world.folder / "timeline.png", scenario, outcome)
    except PlotError as error:
        document["picture"] = str(error)
    write_report(world.folder, document)
    return document


async def play(
    scenario: Scenario, topology: Topology, switch: str, out: Path, pids: Mapping[str, int]
) -> dict[str, Any]:
    """Start everything, run a scenario, stop everything; return the report, which is in the folder too.

    Args:
        scenario: what to do.
        topology: the network; its namespaces stand.
        switch: kind of the P4 switches.
        out: folder of the run.
        pids: of a process in each node's namespace.

    Raises:
        ProcessError: something did not start.
    """
    async with World(topology, pids, out, world_options(scenario, topology, switch)) as world:
        return await perform(world, scenario, switch)
