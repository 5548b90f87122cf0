"""A running network out of real parts: switches, controller, air and node agents around namespaces that stand already."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from controller.fabric.topology import Topology
from testbed.netns.agents import write_agent
from testbed.netns.ovs import OpenVSwitch
from testbed.netns.parts import NetPlan
from testbed.netns.plan import make_plan
from testbed.netns.processes import Namespaces, Process, ProcessError, enter, run_script
from testbed.netns.scripts import METRIC, cable_script, core_script, host_script
from testbed.netns.switches import switch_command
from testbed.node.control import ask_status
from testbed.node.sockets import SocketError
from testbed.settings import ControllerSettings, free_port, make_token, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN: Final = "token"  # noqa: S105  the name of a file
"""File in the folder of a run that has an administrator's token for the REST server."""
_POLL: Final = 0.02


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What may be said about a run."""

    switch: str = "embedded"
    """Kind of the P4 switches: one of `SWITCHES`."""
    settings: ControllerSettings = field(default_factory=ControllerSettings)
    agents: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """More settings of node agents, by node."""
    rest_port: int = 0
    """Of the controller's REST server on the loopback interface of the core; 0: any free one."""
    capture: bool = False
    """Whether tcpdump writes down what passes the ports of the anchors."""


@contextmanager
def namespaces(plan: NetPlan) -> "Iterator[dict[str, int]]":
    """Make the namespaces and links of a plan around this process's own network, the core; yield their process ids.

    Raises:
        ProcessError: something could not be made.
    """
    with Namespaces([host.name for host in plan.hosts]) as pids:
        run_script(None, cable_script(plan.cables, pids), "the links")
        run_script(None, core_script(plan), "the core")
        for host in plan.hosts:
            run_script(pids[host.name], host_script(host), host.name)
        yield pids


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.write_text(text + "\n", encoding="utf-8")


class World:
    """All processes of a run. Use it in an async with statement.

    Args:
        topology: the network; its namespaces stand already, and this process is in the core's.
        pids: of a process in each node's namespace.
        folder: for settings, logs and captures; it must exist.
        options: the rest.
        switches: those that somebody else runs, by name: host:port of the P4Runtime server, and the process.
    """

    def __init__(
        self,
        topology: Topology,
        pids: Mapping[str, int],
        folder: Path,
        options: WorldOptions,
        switches: Mapping[str, tuple[str, Process]] | None = None,
    ) -> None:
        self.topology: Final = topology
        self.plan: Final = make_plan(topology)
        self.pids: Final = pids
        self.folder: Final = folder
        self.options: Final = options
        self._foreign: Final = switches or {}
        self.processes: Final[dict[str, Process]] = {}
        """By name: the switches, ``air``, ``controller``, routers on home links, and the nodes with an agent."""
        self.rest_url = ""
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

    async def _start(self) -> None:
        servers = {
            device.name: self._start_switch(device.name) for device in self.plan.devices if device.kind == "switch"
        }
        if self.options.capture:
            self._start_captures()
        self._start_air()
        rest = f"127.0.0.1:{self.options.rest_port or free_port()}"
        self.rest_url = f"http://{rest}"
        token = make_token(self.folder)
        headers = {"Authorization": f"Bearer {token}"}
        write_private(self.folder / TOKEN, token)
        self.client = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self.rest_url, timeout=10.0, headers=headers, trust_env=False)
        )
        topology = self.topology
        if self.options.switch != "embedded":
            nodes = {
                name: node.model_copy(update={"target": self.options.switch}) if name in topology.switches else node
                for name, node in topology.nodes.items()
            }
            topology = topology.model_copy(update={"nodes": nodes})
        settings = self.options.settings
        if topology.openflow:
            settings = replace(settings, openflow=f"127.0.0.1:{free_port()}")
            await self._start_openflow(str(settings.openflow))
        config = write_settings(self.folder, topology, servers, rest, settings)
        self._add("controller", [sys.executable, "-m", "controller.cli", "run", "--config", str(config)])
        for name in servers:
            await self._switch_ready(name)
        if "air" in self.processes:
            await self.processes["air"].wait_line("ready")
        self.processes["controller"].start()
        await self.controller_ready()
        await self._start_routers()
        for name in topology.mobile_nodes:
            self._start_agent(name)
        for name in topology.mobile_nodes:
            await self.agent_ready(name)

    def _add(self, name: str, command: Sequence[str], node: str | None = None) -> Process:
        pid = None if node is None else self.pids[node]
        process = Process(name, [*enter(pid), *command], self.folder / f"{name}.log")
        self.processes[name] = process
        self._stack.callback(process.stop)
        return process

    # Parts

    async def _start_openflow(self, controller: str) -> None:
        """Start Open vSwitch for the OpenFlow switches."""
        switch = OpenVSwitch(self.folder / "ovs")
        self._stack.callback(switch.stop)
        self.processes.update({"ovsdb-server": switch.database, "ovs-vswitchd": switch.switch})
        await switch.start()
        for device in self.plan.devices:
            if device.kind == "openflow":
                switch.add(device, controller)

    def _start_captures(self) -> None:
        """Capture what passes each port of the anchors, one file each."""
        for device in self.plan.devices:
            if device.name in self.topology.anchors:
                for number, interface, _ in device.ports:
                    file = self.folder / f"{device.name}-port{number}.pcap"
                    command = ["tcpdump", "--immediate-mode", "-U", "-s", "256", "-Z", "root", "-i", interface]
                    self._add(f"capture-{device.name}-{number}", [*command, "-w", str(file)]).start()

    def _start_switch(self, name: str) -> str:
        if name in self._foreign:
            server, self.processes[name] = self._foreign[name]
            return server
        device = next(device for device in self.plan.devices if device.name == name)
        server = f"127.0.0.1:{free_port()}"
        command = switch_command(self.options.switch, device, server)
        self._add(name, command).start()
        return server

    async def _switch_ready(self, name: str) -> None:
        if self.options.switch == "embedded":
            await self.processes[name].wait_line("ready")

    def _start_air(self) -> None:
        if not self.plan.air_ports:
            return
        plan = self.folder / "plan.json"
        plan.write_text(json.dumps(self.plan.to_json(), indent=1), encoding="utf-8")
        command = [sys.executable, "-m", "testbed.netns.air", "--plan", str(plan), "--control", str(self._air_socket)]
        self._add("air", command).start()

    @property
    def _air_socket(self) -> Path:
        return self.folder / "air.sock"

    async def _start_routers(self) -> None:
        """Have the routers on home links advertise themselves there."""
        for host in self.plan.hosts:
            for interface, prefix in host.advertised:
                command = [sys.executable, "-m", "testbed.netns.router", "--interface", interface, "--prefix", prefix]
                process = self._add(host.name, command, node=host.name)
                process.start()
                await process.wait_line("ready")

    def _start_agent(self, name: str) -> None:
        policy = self.options.settings.credentials.get(name)
        config = write_agent(self.folder / name, self.topology, name, policy, **self.options.agents.get(name, {}))
        command = [sys.executable, "-m", "controller.cli", "node", "--config", str(config)]
        self._add(name, command, node=name).start()

    # Waiting

    async def controller_ready(self, patience: float = 60.0) -> None:
        """Wait until the controller says that every switch is in sync.

        Raises:
            ProcessError: it ended, or was not ready in time.
        """
        process = self.processes["controller"]
        async with asyncio.timeout(patience):
            while await self._health() != "ok":
                if not process.alive:
                    raise ProcessError(f"the controller ended too early:\n{process.last_lines()}")
                await asyncio.sleep(_POLL)

    async def _health(self) -> str:
        try:
            answer = await self.client.get("/health")
        except httpx.TransportError:
            return "no answer"
        return str(answer.json().get("status")) if answer.status_code == httpx.codes.OK else "not ready"

    def status(self, node: str) -> dict[str, Any]:
        """Return what a node's agent says of itself.

        Raises:
            SocketError: it does not answer.
        """
        return ask_status(self.folder / node / "node.sock")

    async def agent_ready(self, node: str, patience: float = 60.0) -> None:
        """Wait until all interfaces of a node that have an address are registered.

        Raises:
            ProcessError: the agent ended, or it was not so in time.
        """
        process = self.processes[node]
        await process.wait_line("ready", patience)
        await process.wait_until(lambda: self.is_settled(node), "did not register", patience)

    def is_settled(self, node: str) -> bool:
        """Tell whether a node's home agent knows what the node wants it to know."""
        try:
            found = self.status(node)
        except SocketError:  # it begins, or ends
            return False
        return bool(found["settled"]) and not any(one["state"] == "pending" for one in found["interfaces"])

    async def restart(self, name: str) -> None:
        """Start a process again that was killed, and wait until it can work.

        Raises:
            ProcessError: there is no such process, or it was not ready in time.
        """
        if name not in self.processes:
            raise ProcessError(f"there is no process {name!r}: {', '.join(self.processes)}")
        process = self.processes[name]
        process.start()
        if name == "controller":
            await self.controller_ready()
        elif name in self.topology.switches:
            await self._switch_ready(name)
        elif name in self.topology.mobile_nodes:
            await self.agent_ready(name)

    def home_link_of(self, node: str) -> str:
        """Return the node that is the home link of a mobile node.

        Raises:
            ProcessError: its home network has none.
        """
        address = self.topology.mobile_nodes[node].home_address
        for network in self.topology.home_networks:
            if address in network.prefix and network.link is not None:
                return network.link
        raise ProcessError(f"{node} has no home link: its home network is virtual")

    # Doing

    async def run(self, node: str | None, *command: str, patience: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command in a node's namespace, None: in the core; return what came of it."""
        pid = None if node is None else self.pids[node]
        process = await asyncio.create_subprocess_exec(
            *enter(pid), *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(patience):
                output, _ = await process.communicate()
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        return subprocess.CompletedProcess(command, process.returncode or 0, output.decode("utf-8", "replace"))

    def spawn(self, name: str, node: str | None, *command: str) -> Process:
        """Start a command in a node's namespace that runs on; it is stopped with the run."""
        process = self._add(name, command, node)
        process.start()
        return process

    async def air(self, **command: object) -> dict[str, Any]:
        """Have the air do something (`testbed.netns.air`).

        Raises:
            ProcessError: it would not.
        """
        reader, writer = await asyncio.open_unix_connection(self._air_socket)
        writer.write(json.dumps(command).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        writer.close()
        if not answer.pop("ok"):
            raise ProcessError(f"the air: {answer['error']}")
        return answer

    async def set_link(self, switch: str, port: int, *, up: bool) -> None:
        """Cut a link of a switch, or mend it: both its ends swallow what is sent, and see nothing of it.

        No interface is set down for that: BMv2's one receiving thread waits inside of libpcap for an interface that is down, and so
        hears nothing at its other ports either. An end at Open vSwitch, which tells of its ports, is set down.

        Raises:
            ProcessError: the switch has no such port.
        """
        found = [one for one in self.topology.interfaces_of(switch) if one.port == port]
        if not found:
            raise ProcessError(f"{switch}:{port} is no port of a switch")
        ends = {(switch, str(port)), (found[0].peer.node, found[0].peer.interface)}
        for device in self.plan.devices:
            for number, interface, _ in device.ports:
                if (device.name, str(number)) not in ends:
                    continue
                if device.kind == "openflow":
                    command = ["ip", "link", "set", interface, "up" if up else "down"]
                elif up:
                    command = ["tc", "qdisc", "delete", "dev", interface, "root"]
                else:
                    command = ["tc", "qdisc", "replace", "dev", interface, "root", "blackhole"]
                done = await self.run(None, *command)
                if done.returncode:
                    raise ProcessError(f"{' '.join(command)}: {done.stdout.strip()}")

    async def give_address(self, node: str, interface: str, address: str, router: str) -> None:
        """Give an interface of a node an address, as an access network would, and the way out there.

        Args:
            node: whose.
            interface: which.
            address: with prefix length.
            router: the access router or home link, which has the gateway.
        """
        gateway, _ = self.plan.gateways[router]
        script = f"ip address replace {address} dev {interface} nodad\n"
        # A metric for each interface: otherwise the route of one would take the place of another's.
        nics = next(host.nics for host in self.plan.hosts if host.name == node)
        metric = METRIC + next(number for number, nic in enumerate(nics) if nic.name == interface)
        script += f"ip -6 route replace ::/0 via {gateway} dev {interface} metric {metric} onlink\n"
        await asyncio.to_thread(run_script, self.pids[node], script, f"{node}:{interface}")

    async def deprecate_address(self, node: str, interface: str, address: str) -> None:
        """Have an interface of a node use an address no longer for anything new; what comes for it is still taken."""
        script = f"ip address change {address} dev {interface} preferred_lft 0\n"
        await asyncio.to_thread(run_script, self.pids[node], script, f"{node}:{interface}")

    async def take_address(self, node: str, interface: str, address: str) -> None:
        """Take an address from an interface of a node, and the way out that came with it."""
        # The route first: a node that has a new address already must not send it to the router of the old network.
        script = f"ip -6 route flush exact ::/0 dev {interface}\nip address del {address} dev {interface}\n"
        await asyncio.to_thread(run_script, self.pids[node], script, f"{node}:{interface}")
