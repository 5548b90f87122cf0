"""A bed for measurements: the embedded switch with bare ports in this process, and somebody in control of it in another.

There are no wires: a frame goes in and comes out at once, so what is measured is switch, gRPC and controller.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.floor import Plan
from controller.dataplane.entries import Entry, Op
from controller.dataplane.planner import node_entries
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.paths import switch_entries
from controller.mobility.address import Address, parse_address
from controller.mobility.model import Binding, NodeRecord
from controller.mobility.wire.messages import BindingAcknowledgement, BindingUpdate
from controller.mobility.wire.options import BindingIdentifier
from controller.mobility.wire.packet import encode_packet
from testbed.p4rt import Message, Messages
from testbed.packets import ethernet
from testbed.process import ControllerProcess
from testbed.settings import ControllerSettings, free_port, write_settings
from testbed.softswitch import SoftSwitch, WirePort

SWITCH = "s1"
ACCESS_PORT = 3
"""Where Binding Updates come in: the Wi-Fi router's port."""
_ANSWER_WITHIN = 20.0
"""Seconds; whoever needs longer has lost something."""
_HOME_AT = 14 + 40 + 8
"""Where a type 2 routing header has the home address, in a frame."""
_STATUS_AT = 14 + 40 + 24 + 6
_SEQUENCE_AT = _STATUS_AT + 2


class BenchError(RuntimeError):
    """A measurement could not be made."""


@dataclass(slots=True)
class Numbers:
    """Hands out numbers of nodes and paths in the order of asking."""

    nodes: dict[Address, int] = field(default_factory=dict)
    paths: dict[tuple[Address, Address], int] = field(default_factory=dict)

    def node(self, home_address: Address) -> int:
        return self.nodes.setdefault(home_address, len(self.nodes) + 1)

    def path(self, care_of: Address, home_agent: Address) -> int:
        return self.paths.setdefault((care_of, home_agent), len(self.paths) + 1)


@dataclass(frozen=True, slots=True)
class Request:
    """A Binding Update with three BIDs, ready to be sent, and what it asks for."""

    home_address: Address
    sequence: int
    frame: bytes
    record: NodeRecord
    answer: bytes
    """The frame with the acknowledgement that it should get."""


class Bed:
    """The three-access topology around one embedded switch. Use it in an async with statement."""

    def __init__(self, folder: Path) -> None:
        self.topology = load_topology(sample_topologies() / "three-access.yaml")
        self.home_agent = self.topology.home_networks[0].home_agent
        self.folder = folder
        device_id = self.topology.switches[SWITCH].device_id
        self.switch = SoftSwitch(device_id)
        self.ports = {interface.port: WirePort(self._out) for interface in self.topology.interfaces if interface.port}
        for number, port in self.ports.items():
            self.switch.add_port(number, port)
        self._waiting: dict[tuple[bytes, bytes], asyncio.Future[int]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.address = await self.switch.start("127.0.0.1:0")
        self._stack.push_async_callback(self.switch.stop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def start_controller(self) -> None:
        """Let our controller control the switch."""
        rest = f"127.0.0.1:{free_port()}"
        settings = ControllerSettings(open_networks=True, max_bindings=1_000_000)
        config = write_settings(self.folder, self.topology, {SWITCH: self.address}, rest, settings)
        controller = ControllerProcess(config, f"http://{rest}", self.folder / "controller.log")
        await controller.start()
        self._stack.push_async_callback(controller.stop)
        await controller.wait_ready()

    async def start_floor(self, plan: Plan) -> None:
        """Let the bare client control the switch."""
        path = self.folder / "plan.pickle"
        plan.save(path)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.floor", self.address, str(path), stdout=asyncio.subprocess.PIPE
        )

        async def end() -> None:
            if process.returncode is None:
                process.kill()
            await process.wait()

        self._stack.push_async_callback(end)
        if process.stdout is None or not await asyncio.wait_for(process.stdout.readline(), _ANSWER_WITHIN):
            raise BenchError("the bare client ended before it was ready")

    async def ask(self, request: Request) -> int:
        """Send a Binding Update and wait for its acknowledgement; return the status.

        Raises:
            BenchError: none came, or it is a refusal.
        """
        key = (request.home_address, request.sequence.to_bytes(2))
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[key] = answered
        self.ports[ACCESS_PORT].receive(request.frame)
        try:
            status = await asyncio.wait_for(answered, _ANSWER_WITHIN)
        except TimeoutError:
            raise BenchError(f"no acknowledgement within {_ANSWER_WITHIN:g} s") from None
        finally:
            self._waiting.pop(key, None)
        if status != 0:
            raise BenchError(f"the Binding Update was answered with status {status}")
        return status

    def _out(self, frame: bytes) -> None:
        key = (frame[_HOME_AT : _HOME_AT + 16], frame[_SEQUENCE_AT : _SEQUENCE_AT + 2])
        answered = self._waiting.get(key)
        if answered is not None and not answered.done():
            answered.set_result(frame[_STATUS_AT])

    def messages(self, p4info: Path) -> Messages:
        """Return a builder of messages for this switch."""
        return Messages(p4info, self.switch.device_id)

    def static_entries(self) -> tuple[Entry, ...]:
        """Return what the switch holds before any node registers."""
        return switch_entries(self.topology, SWITCH)

    def request(self, node: int, sequence: int, second: int = 0) -> Request:
        """Return a Binding Update of a node with three BIDs.

        Args:
            node: from 1; makes the home address.
            sequence: 1 to 65535.
            second: changes the care-of address of BID 2.
        """
        home_address = Address(
            (int.from_bytes(self.topology.home_networks[0].prefix.network) + 0x10000 + node).to_bytes(16)
        )
        care_of = [parse_address(f"2001:db8:a{bid}::{1 + (second if bid == 2 else 0):x}:{node:x}") for bid in (1, 2, 3)]
        options = tuple(BindingIdentifier(bid, care_of[bid - 1], bid) for bid in (1, 2, 3))
        # A, H and O: acknowledge, home registration, overwrite (RFC 5648 section 5.9: set in a first registration).
        update = BindingUpdate(sequence, 0xC040 if sequence == 1 else 0xC000, 900, options)
        packet = encode_packet(care_of[0], self.home_agent, update, home_address=home_address)
        echoed = tuple(BindingIdentifier(bid) for bid in (1, 2, 3))
        acknowledgement = BindingAcknowledgement(0, sequence, 900, 0, echoed)
        answer = encode_packet(self.home_agent, care_of[0], acknowledgement, routing_address=home_address)
        here, there = self._macs()
        bindings = tuple(Binding(bid, care_of[bid - 1], 3600, 0.0, bid) for bid in (1, 2, 3))
        record = NodeRecord(home_address, self.home_agent, sequence, bindings)
        return Request(home_address, sequence, ethernet(here, there, packet), record, ethernet(there, here, answer))

    def _macs(self) -> tuple[bytes, bytes]:
        for interface in self.topology.interfaces:
            if interface.port == ACCESS_PORT:
                return interface.mac.to_bytes(6), self.topology.interface(interface.peer).mac.to_bytes(6)
        raise BenchError(f"port {ACCESS_PORT} of the topology leads nowhere")


def floor_plan(
    bed: Bed,
    artefacts: tuple[Path, Path],
    requests: Iterable[Request],
    updates: Callable[[Request], list[Message]],
    batch: int,
) -> Plan:
    """Return what the bare client does: for each request one write and one packet-out."""
    p4info, device_config = artefacts
    messages = bed.messages(p4info)
    setup = [messages.update(Op.INSERT, entry) for entry in bed.static_entries()]
    asked = list(requests)
    return Plan(
        arbitration=messages.arbitration().SerializeToString(),
        pipeline=messages.pipeline(device_config).SerializeToString(),
        setup=[messages.write(setup).SerializeToString()],
        writes=[messages.write(updates(request)).SerializeToString() for request in asked],
        answers=[messages.packet_out(request.answer, ACCESS_PORT).SerializeToString() for request in asked],
        batch=batch,
    )


def insertions(messages: Messages, numbers: Numbers, request: Request) -> list[Message]:
    """Return the updates that a new registration needs."""
    return [messages.update(Op.INSERT, entry) for entry in node_entries(request.record, numbers).values()]
