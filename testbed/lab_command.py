"""``mcoa lab``: a whole network in one process, with a controller beside it, to try things on. No root, no packets on real wires."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from controller.fabric.loader import TopologyError, load_topology, sample_topologies
from controller.fabric.topology import Kind, Topology
from controller.garbage import search_in_steps
from controller.mobility.address import Address, format_address
from testbed.lab import Lab
from testbed.network import NetworkError
from testbed.node.host import NoAnswerError
from testbed.packets import Datagram, udp
from testbed.process import ControllerError
from testbed.settings import ControllerSettings
from testbed.traffic import Flow, Sender

PROBE_PORT: Final = 7
"""UDP port on nodes to which the probe agent sends."""
_MAGIC: Final = b"mcoa-probe"
"""First octets of a probe; after them two of number and sixteen of home address."""
_FLOW_PORT: Final = 5000
_ANSWER: Final = 2.0
"""Seconds for which a node waits for an acknowledgement."""
_RETRY: Final = 2.0
"""Seconds after which it tries again."""
_WRONG_INPUT: Final = 2
"""Exit status, as of other commands."""


class ProbeAgent(asyncio.DatagramProtocol):
    """Sends probes on behalf of ``mcoa drill`` from a correspondent, and sends back those that reached their node.

    Args:
        source: the correspondent's address.
        output: takes its packets.
    """

    def __init__(self, source: Address, output: "MobileOutput") -> None:
        self._source: Final = source
        self._output: Final = output
        self._peers: Final[dict[bytes, tuple[str, int]]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        # In Python 3.11 the loop's own transport is no subclass of that.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send a probe; what is none is ignored."""
        if len(data) != len(_MAGIC) + 18 or not data.startswith(_MAGIC):
            return
        self._peers[data[-16:]] = addr
        if len(self._peers) > 100:
            self._peers.pop(next(iter(self._peers)))
        self._output(udp(self._source, Address(data[-16:]), (PROBE_PORT, PROBE_PORT), data))

    def arrived(self, datagram: Datagram, _bid: int) -> None:
        """Send a probe back that has reached its node."""
        payload = datagram.payload
        peer = self._peers.get(payload[-16:]) if payload.startswith(_MAGIC) else None
        if peer is not None and self._transport is not None:
            self._transport.sendto(payload, peer)


class MobileOutput:
    """Takes packets for a correspondent to send."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._host: Final = lab.network.hosts[name]

    def __call__(self, packet: bytes) -> None:
        """Send one."""
        self._host.send(packet)


def lab(
    topology: Annotated[
        Path | None,
        typer.Option(help="Topology file; left out: three access networks, a node, a router.", metavar="FILE"),
    ] = None,
    directory: Annotated[Path, typer.Option("--directory", "-d", help="For the controller's files.")] = Path("lab"),
    rate: Annotated[float, typer.Option(help="Packets a second to each node's BIDs; 0: none.", min=0, max=1000)] = 20.0,
    *,
    dashboard: Annotated[bool, typer.Option("--dashboard/--no-dashboard", help="Serve the dashboard.")] = True,
    provision: Annotated[
        bool, typer.Option("--provision/--no-provision", help="The configuration names the nodes; otherwise you do.")
    ] = True,
) -> None:
    """Run a network with switch, nodes, correspondent and controller until Ctrl-C, and say how to reach it."""
    file = topology or sample_topologies() / "three-access.yaml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        settings = ControllerSettings(dashboard=dashboard, provision=provision)
        asyncio.run(_run(load_topology(file), directory, rate, settings))
    except (TopologyError, NetworkError) as error:
        raise _fail(str(error), _WRONG_INPUT) from error
    except (ControllerError, OSError) as error:
        raise _fail(" ".join(str(error).split()), 1) from error


async def _run(network: Topology, directory: Path, rate: float, settings: ControllerSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Lab(network, directory, settings) as running:
        correspondent, source = _correspondent(running)
        agent = ProbeAgent(source, MobileOutput(running, correspondent))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: agent, ("127.0.0.1", 0))
        host, port = transport.get_extra_info("sockname")[:2]
        for node in running.network.mobile_nodes.values():
            node.on_datagram(agent.arrived)
        registering = asyncio.create_task(_register(running), name="register")
        senders = _flows(running, correspondent, source, rate) if rate else []
        for sender in senders:
            sender.start()
        _tell(running, directory, f"{host}:{port}")
        async with search_in_steps():
            await stop.wait()
        registering.cancel()
        for sender in senders:
            sender.stop()
        transport.close()


def _correspondent(running: Lab) -> tuple[str, Address]:
    for name, station in running.topology.stations.items():
        if name in running.network.hosts and station.kind is Kind.CORRESPONDENT and station.addresses:
            return name, station.addresses[0]
    raise NetworkError(f"topology {running.topology.name!r} has no correspondent: nobody could send to the nodes")


async def _register(running: Lab) -> None:
    """Have every node register, again and again while the home agent will not have it."""
    waiting = dict(running.network.mobile_nodes)
    while waiting:
        for name, node in list(waiting.items()):
            with contextlib.suppress(NoAnswerError):
                answer = await node.register(within=_ANSWER)
                if answer.status < 128:
                    del waiting[name]
        await asyncio.sleep(_RETRY)


def _flows(running: Lab, correspondent: str, source: Address, rate: float) -> list[Sender]:
    output = MobileOutput(running, correspondent)
    clock = asyncio.get_running_loop()
    return [
        Sender(Flow(number, name, source, node.home_address, _FLOW_PORT, _FLOW_PORT, rate), output, clock)
        for number, (name, node) in enumerate(running.topology.mobile_nodes.items())
    ]


def _tell(running: Lab, directory: Path, agent: str) -> None:
    """Print how to reach the lab, and keep the same in a file that a shell can read."""
    url = running.controller.url
    token_file = directory.resolve() / "token"
    descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(running.token + "\n")
    lines = [
        f"export MCOA_URL={url}",
        f"export MCOA_TOKEN_FILE={token_file}",
        f"export MCOA_CONFIG={directory.resolve() / 'mcoa.toml'}",
        f"export MCOA_PROBE_AGENT={agent}",
    ]
    environment = directory / "environment"
    environment.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with contextlib.suppress(BrokenPipeError):
        typer.echo(f"the lab runs. In another terminal: . {environment}")
        typer.echo(f"dashboard: {url}/dashboard/ (log in with the token in {token_file})")
        nodes = ", ".join(
            f"{name} {format_address(one.home_address)}" for name, one in running.topology.mobile_nodes.items()
        )
        typer.echo(f"nodes: {nodes}. Ctrl-C ends it.")


def _fail(reason: str, status: int) -> typer.Exit:
    """Say what went wrong in one line; return what ends the command."""
    typer.echo(f"mcoa: {reason}", err=True)
    return typer.Exit(status)
