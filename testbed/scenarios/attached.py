"""A world around namespaces and switches that somebody else has made and holds, as Mininet does.

``python -m testbed.scenarios.attached FILE`` reads which they are, starts controller, air and agents, runs a scenario if there is
one, and stays until its standard input ends or it gets SIGTERM. When its parent was killed it takes away what that would have, as far
as it is in the core's network. It talks with its parent by lines:

| line | direction | meaning |
|---|---|---|
| ``ready`` | out | everything runs and every node is registered |
| ``do kill s1``, ``do start s1`` | out | asks for a switch to be killed or started; a line comes back when it is done |
| ``report {...}`` | out | the scenario is over |
| ``error ...`` | out | it cannot go on |
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from controller.fabric.loader import load_topology
from testbed.netns.processes import Process, ProcessError, die_with_parent, run_script
from testbed.netns.scripts import core_ports, removal_script
from testbed.netns.world import World
from testbed.scenarios.model import Scenario, load_scenario
from testbed.scenarios.play import perform, world_options


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class ForeignProcess(Process):
    """A switch that the parent runs: it is killed and started by asking for it.

    Args:
        name: of the switch.
        log: where it writes.
    """

    def __init__(self, name: str, log: Path) -> None:
        super().__init__(name, [], log)
        self._up = True

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as we asked."""
        return self._up

    def start(self) -> None:
        """Have it started."""
        self._mark()
        self._ask("start", up=True)

    def kill(self) -> None:
        """Have it killed."""
        self._ask("kill", up=False)

    def stop(self, patience: float = 6.0) -> int | None:
        """Leave it to the parent."""
        del patience
        return None

    def _ask(self, what: str, *, up: bool) -> None:
        _say(f"do {what} {self.name}")
        answer = sys.stdin.readline().strip()
        if answer != "done":
            raise ProcessError(f"{what} {self.name}: {answer or 'nobody answers'}")
        self._up = up


async def _run(document: dict[str, Any]) -> int:
    folder = Path(document["folder"])
    topology = load_topology(Path(document["topology"]))
    scenario = None if document["scenario"] is None else load_scenario(Path(document["scenario"]))
    options = world_options(scenario, topology, document["switch"], document["rest_port"], capture=document["capture"])
    servers = {
        name: (one["server"], ForeignProcess(name, Path(one["log"]))) for name, one in document["switches"].items()
    }
    world = World(topology, document["pids"], folder, options, servers)
    parent, ports = os.getppid(), core_ports(world.plan)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with world:
            _say("ready")
            try:
                return await _stay(world, scenario, document, stop)
            finally:
                if os.getppid() != parent:
                    # A namespace goes with its last socket, which may be minutes later: its end of a cable would be here until
                    # then. It is done before the controller ends: the next run waits for its port.
                    await asyncio.to_thread(run_script, None, removal_script(ports), "the core")
    except (ProcessError, OSError, TimeoutError) as error:
        _say("error " + " ".join(str(error).split()))
        return 1


async def _stay(world: World, scenario: Scenario | None, document: dict[str, Any], stop: asyncio.Event) -> int:
    """Run the scenario, and stay if that is wanted; return the exit status."""
    if scenario is not None:
        playing = asyncio.ensure_future(perform(world, scenario, document["switch"]))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([playing, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            return 1
        stopping.cancel()
        _say(f"report {json.dumps(playing.result())}")
    if document["stay"]:
        await stop.wait()
    return 0


def main() -> int:
    """Be a world until told to stop. Return the exit status."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("document", type=Path)
    options = parser.parse_args()
    die_with_parent()
    return asyncio.run(_run(json.loads(options.document.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    sys.exit(main())
