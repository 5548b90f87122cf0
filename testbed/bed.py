"""A switch with bare ports, and a controller in another process: for storms and measurements.

There are no wires and no stations, so what is seen is switch, gRPC and controller. The switch is the embedded one, in this process:
a frame goes in and comes out at once.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from controller.dataplane.entries import Entry
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.statics import switch_entries
from controller.garbage import search_in_steps
from controller.mobility.address import Address, parse_address
from controller.mobility.model import Binding, NodeRecord
from controller.mobility.wire.messages import BindingAcknowledgement, BindingUpdate
from controller.mobility.wire.options import BindingIdentifier
from controller.mobility.wire.packet import encode_packet
from testbed.packets import ethernet
from testbed.process import ControllerProcess
from testbed.settings import ControllerSettings, free_port, make_token, write_settings
from testbed.softswitch import SoftSwitch, WirePort

if TYPE_CHECKING:
    from collections.abc import Callable

SWITCH = "s1"
ACCESS_PORT = 3
"""Where Binding Updates come in: the Wi-Fi router's port."""
_HOME_AT = 14 + 40 + 8
"""Where a type 2 routing header has the home address, in a frame."""
_STATUS_AT = 14 + 40 + 24 + 6
_SEQUENCE_AT = _STATUS_AT + 2
_FLAGS = 0xC000
"""A and H: acknowledge, home registration (RFC 6275 section 6.1.7)."""
_OVERWRITE = 0x0040
"""O, set in a first registration (RFC 5648 section 5.9)."""
_LIFETIME = 3600


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
    """The three-access topology around one embedded switch. Use it in an async with statement.

    Args:
        folder: for the controller's files; it must exist.
    """

    window: ClassVar[int] = 128
    """Binding Updates that may be under way at a time without one being lost."""

    def __init__(self, folder: Path) -> None:
        self.topology = load_topology(sample_topologies() / "three-access.yaml")
        self.home_agent = self.topology.home_networks[0].home_agent
        self.device_id = self.topology.switches[SWITCH].device_id
        self.folder = folder
        self.address = ""
        """host:port of the switch's P4Runtime server, once it runs."""
        self.stack = AsyncExitStack()
        """What ends with the bed."""
        self.token = ""
        """For the REST interface of the controller, once there is one."""
        self._ports: dict[int, WirePort] = {}
        self._waiting: dict[tuple[bytes, bytes], asyncio.Future[int]] = {}
        self.watch: Callable[[bytes], None] = lambda _frame: None
        """Sees every frame that leaves the switch."""

    async def __aenter__(self) -> Self:
        try:
            self.address = await self.start_switch()
            await self.stack.enter_async_context(search_in_steps())
        except BaseException:
            await self.stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stack.aclose()

    async def start_switch(self) -> str:
        """Start the switch, to end with the bed, and return host:port of its P4Runtime server."""
        switch = SoftSwitch(self.device_id)
        self._ports = {interface.port: WirePort(self.out) for interface in self.topology.interfaces if interface.port}
        for number, port in self._ports.items():
            switch.add_port(number, port)
        address = await switch.start("127.0.0.1:0")
        self.stack.push_async_callback(switch.stop)
        return address

    def controller(self, durability: str = "power-loss") -> ControllerProcess:
        """Return a controller for the switch that serves every home address; it is not started. It ends with the bed.

        Args:
            durability: what an acknowledged registration outlives, `power-loss` or `crash`.
        """
        rest = f"127.0.0.1:{free_port()}"
        settings = ControllerSettings(open_networks=True, max_bindings=1_000_000, durability=durability)
        config = write_settings(self.folder, self.topology, {SWITCH: self.address}, rest, settings)
        self.token = make_token(self.folder)
        controller = ControllerProcess(config, f"http://{rest}", self.folder / "controller.log")
        self.stack.push_async_callback(controller.stop)
        return controller

    async def ask(self, request: Request, *, within: float) -> int:
        """Send a Binding Update once and wait for its acknowledgement; return the status.

        Raises:
            TimeoutError: none came within that many seconds.
        """
        key = (request.home_address, request.sequence.to_bytes(2))
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[key] = answered
        self.send(ACCESS_PORT, request.frame)
        try:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the answer.
            async with asyncio.timeout(within):
                return await answered
        finally:
            self._waiting.pop(key, None)

    def send(self, port: int, frame: bytes) -> None:
        """Put a frame into a port of the switch."""
        self._ports[port].receive(frame)

    def out(self, frame: bytes) -> None:
        """Take a frame that leaves the switch."""
        self.watch(frame)
        key = (frame[_HOME_AT : _HOME_AT + 16], frame[_SEQUENCE_AT : _SEQUENCE_AT + 2])
        answered = self._waiting.get(key)
        if answered is not None and not answered.done():
            answered.set_result(frame[_STATUS_AT])

    def static_entries(self) -> tuple[Entry, ...]:
        """Return what the switch holds before any node registers."""
        return switch_entries(self.topology, SWITCH)

    def request(self, node: int, sequence: int, second: int = 0) -> Request:
        """Return a Binding Update of a node with three BIDs.

        Args:
            node: 1 to 65535; makes the home address.
            sequence: 1 to 65535; 1 is a first registration.
            second: changes the care-of address of BID 2.
        """
        home_address = Address(
            (int.from_bytes(self.topology.home_networks[0].prefix.network) + 0x10000 + node).to_bytes(16)
        )
        care_of = [parse_address(f"2001:db8:a{bid}::{1 + (second if bid == 2 else 0):x}:{node:x}") for bid in (1, 2, 3)]
        options = tuple(BindingIdentifier(bid, care_of[bid - 1], bid) for bid in (1, 2, 3))
        update = BindingUpdate(sequence, _FLAGS | (_OVERWRITE if sequence == 1 else 0), _LIFETIME // 4, options)
        packet = encode_packet(care_of[0], self.home_agent, update, home_address=home_address)
        echoed = tuple(BindingIdentifier(bid) for bid in (1, 2, 3))
        acknowledgement = BindingAcknowledgement(0, sequence, _LIFETIME // 4, 0, echoed)
        answer = encode_packet(self.home_agent, care_of[0], acknowledgement, routing_address=home_address)
        here, there = self.macs(ACCESS_PORT)
        bindings = tuple(Binding(bid, care_of[bid - 1], _LIFETIME, 0.0, bid) for bid in (1, 2, 3))
        record = NodeRecord(home_address, self.home_agent, sequence, bindings)
        return Request(home_address, sequence, ethernet(here, there, packet), record, ethernet(there, here, answer))

    def macs(self, port: int) -> tuple[bytes, bytes]:
        """Return the MAC addresses at a port: the switch's and its neighbour's."""
        for interface in self.topology.interfaces:
            if interface.port == port:
                return interface.mac.to_bytes(6), self.topology.interface(interface.peer).mac.to_bytes(6)
        raise KeyError(f"port {port} of the topology leads nowhere")
