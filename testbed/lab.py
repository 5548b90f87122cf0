"""One process, one topology file: the switches, the wires, the stations, and a controller beside them as a process of its own."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.fabric.topology import Topology
from testbed.capture import Capture
from testbed.network import Network, NetworkError
from testbed.process import ControllerProcess
from testbed.rest import Count, Rest
from testbed.settings import ControllerSettings, free_port, make_token, write_settings
from testbed.softswitch.ports import WirePort
from testbed.softswitch.switch import SoftSwitch
from testbed.tables import Row, TableReader
from testbed.wire import Clock, WireEnd


class Lab:
    """A running network. Use it in an async with statement.

    Args:
        topology: what to build; its first anchor is the home-agent switch.
        folder: for the controller's files and its log; it must exist.
        settings: of the controller.
        capture: a file for every packet at every port of the home-agent switch; None: no capture.

    Raises:
        NetworkError: the topology has no anchor switch.
    """

    def __init__(
        self,
        topology: Topology,
        folder: Path,
        settings: ControllerSettings | None = None,
        capture: Path | None = None,
    ) -> None:
        if not topology.anchors:
            raise NetworkError(
                f"topology {topology.name!r} has no switch with role anchor: nothing could carry tunnels"
            )
        self.topology = topology
        self.anchor = next(iter(topology.anchors))
        """Name of the home-agent switch."""
        self.clock: Clock = asyncio.get_running_loop()
        self.switches: dict[str, SoftSwitch] = {}
        self.servers: dict[str, str] = {}
        """host:port of each switch's P4Runtime server."""
        self._folder = folder
        self._settings = settings or ControllerSettings()
        self.network = Network(topology, self.clock, credentials=self._settings.credentials)
        self._capture_path = capture
        self.capture: Capture | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._stack = stack
            await self._start()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def rows(self, *tables: str) -> list[Row]:
        """Return entries of the home-agent switch, read through P4Runtime; no name: of all tables."""
        return await self.reader.rows(tables)

    async def drops(self) -> dict[str, Count]:
        """Return the home-agent switch's dropped packets by reason, by REST."""
        return await self.rest.drops(self.anchor)

    def access_of(self, node: str, bid: int) -> str:
        """Return the name of the access network behind a BID of a mobile node."""
        name = self.network.mobile_nodes[node].uplinks[bid].interface.name
        for interface in self.topology.interfaces_of(node):
            if interface.name == name:
                return interface.peer.node
        raise KeyError(f"{node}:{name}")

    async def _start(self) -> None:
        self._stack.callback(self.network.close)
        if self._capture_path is not None:
            self.capture = Capture(self._capture_path)
            self._stack.callback(self.capture.close)
        for name in self.topology.switches:
            self.servers[name] = await self._start_switch(name)
        rest = f"127.0.0.1:{free_port()}"
        self.config = write_settings(self._folder, self.topology, self.servers, rest, self._settings)
        self.token = make_token(self._folder)
        self.rest = await self._stack.enter_async_context(Rest(f"http://{rest}", self.token))
        device_id = self.topology.switches[self.anchor].device_id
        self.reader = await self._stack.enter_async_context(TableReader(self.servers[self.anchor], device_id))
        self.controller = ControllerProcess(self.config, f"http://{rest}", self._folder / "controller.log")
        await self.controller.start()
        self._stack.push_async_callback(self.controller.stop)
        await self.controller.wait_ready()

    async def _start_switch(self, name: str) -> str:
        """Start a switch and plug its ports in; return host:port of its P4Runtime server."""
        switch = SoftSwitch(self.topology.switches[name].device_id)
        self.switches[name] = switch
        for (owner, port), end in self.network.switch_ports.items():
            if owner == name:
                self._plug(switch, port, end, capture=name == self.anchor)
        server = await switch.start("127.0.0.1:0")
        self._stack.push_async_callback(switch.stop)
        return server

    def _plug(self, switch: SoftSwitch, port: int, end: WireEnd, *, capture: bool) -> None:
        """Connect a wire's end with a port of a switch."""
        plug = WirePort(end.send)
        end.connect(plug.receive)
        taker = self.capture if capture else None
        if taker is None:
            switch.add_port(port, plug)
            return
        name = f"port {port}: {end.peer.name}"

        def tap(direction: str, frame: bytes) -> None:
            taker.take(name, frame, outbound=direction == "out")

        switch.add_port(port, plug, tap)
