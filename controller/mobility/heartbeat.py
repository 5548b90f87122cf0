"""Answers to Heartbeat messages (RFC 5847), by which other home agents tell whether this one lives and since when."""

from typing import Final

from controller.mobility.events import DropReason
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound
from controller.mobility.wire.codes import OptionType
from controller.mobility.wire.control_messages import Heartbeat, HeartbeatFlag
from controller.mobility.wire.options import RawOption
from controller.mobility.wire.packet import encode_packet


class Heartbeats:
    """Answers requests, at the rate of error messages."""

    def __init__(self, outlet: Outlet, restart_counter: int) -> None:
        self._outlet: Final = outlet
        self._restart_counter: Final = restart_counter

    def on_heartbeat(self, inbound: Inbound) -> None:
        """Answer a request with its sequence number and the restart counter (RFC 5847 section 3.1)."""
        packet, message = inbound.packet, inbound.packet.message
        assert isinstance(message, Heartbeat)
        if message.flags & HeartbeatFlag.RESPONSE or not self._outlet.may_report(packet.source, inbound.now):
            self._outlet.drop(DropReason.UNEXPECTED_MESSAGE, packet.source, "Heartbeat")
        else:
            counter = RawOption(OptionType.RESTART_COUNTER, self._restart_counter.to_bytes(4))
            answer = Heartbeat(message.sequence, HeartbeatFlag.RESPONSE, (counter,))
            self._outlet.send(encode_packet(packet.destination, packet.source, answer))
