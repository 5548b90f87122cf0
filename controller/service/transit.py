"""Drives OpenFlow transit switches by a process of its own (`controller.fabric.openflow`), and hears of their ports."""

import asyncio
import contextlib
import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from typing import Any, Final

from controller.fabric.openflow import datapaths, lost_links
from controller.fabric.paths import NO_OUTAGE, Outage
from controller.fabric.topology import Topology

LOG: Final = logging.getLogger(__name__)

INSTALL_HINT: Final = "install the extra 'openflow' (pip install 'mcoa[openflow]'): it brings os-ken"
RESTART_PAUSE: Final = 1.0
"""Seconds before the process is started again after it ended."""


class TransitError(RuntimeError):
    """OpenFlow switches cannot be driven; one line that says why."""


def check_installed() -> None:
    """See whether os-ken is there.

    Raises:
        TransitError: it is not.
    """
    if importlib.util.find_spec("os_ken") is None:
        raise TransitError(f"the topology has OpenFlow switches: {INSTALL_HINT}")


class Transit:
    """The OpenFlow switches of a topology.

    Args:
        topology: the network.
        listen: host:port where the switches connect to.
        changed: hears which nodes and which links do not work.
    """

    def __init__(
        self, topology: Topology, listen: str, changed: Callable[[frozenset[str], frozenset[int]], None]
    ) -> None:
        self._topology: Final = topology
        self._listen: Final = listen
        self._changed: Final = changed
        self._names: Final = {node.datapath_id: name for name, node in topology.openflow.items()}
        self._outage = NO_OUTAGE
        self._process: asyncio.subprocess.Process | None = None
        self._down: Final[set[tuple[str, int]]] = set()
        self._gone: Final[set[str]] = set()
        self.installed: Final[dict[str, int]] = {}
        """Flows that each switch was given so far, by name."""

    async def run(self) -> None:
        """Keep the process running."""
        while True:
            command = [sys.executable, "-m", "controller.fabric.openflow_app", "--listen", self._listen]
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            try:
                self._tell(self._process)
                assert self._process.stdout is not None
                async for line in self._process.stdout:
                    self._hear(json.loads(line))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
            LOG.error("the OpenFlow process ended (status %s): it is started again", self._process.returncode)
            await asyncio.sleep(RESTART_PAUSE)

    def lead_around(self, outage: Outage) -> None:
        """Have the switches lead around an outage."""
        self._outage = outage
        if self._process is not None and self._process.returncode is None:
            self._tell(self._process)

    def _tell(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        document = {"datapaths": [one.to_json() for one in datapaths(self._topology, self._outage)]}
        process.stdin.write(json.dumps(document).encode() + b"\n")

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "listening":
            LOG.info("OpenFlow on %s", self._listen)
            return
        name = self._names.get(event["id"])
        if name is None:
            LOG.warning("an OpenFlow switch with datapath id %d is not in the topology", event["id"])
            return
        match event["event"]:
            case "datapath":
                LOG.log(
                    logging.INFO if event["up"] else logging.WARNING, "%s: %s", name, "up" if event["up"] else "lost"
                )
                (self._gone.discard if event["up"] else self._gone.add)(name)
            case "port":
                end = (name, event["port"])
                LOG.info("%s: port %d is %s", name, event["port"], "up" if event["up"] else "down")
                (self._down.discard if event["up"] else self._down.add)(end)
            case "installed":
                self.installed[name] = self.installed.get(name, 0) + event["added"]
                LOG.info("%s: %d flows added, %d removed or replaced", name, event["added"], event["removed"])
                return
            case other:
                LOG.error("%s: %s: %s", name, other, event)
                return
        self._changed(frozenset(self._gone), lost_links(self._topology, self._down))
