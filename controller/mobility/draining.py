"""Moving all nodes away from a home agent (RFC 5142): it advises another one, and prolongs no binding any more."""

from collections.abc import Sequence
from typing import Final

from controller.mobility.address import Address
from controller.mobility.events import DropReason
from controller.mobility.model import NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Part, RecordView
from controller.mobility.request import Request
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.security.protection import ProtectionView
from controller.mobility.timing import Deadlines, TokenBucket
from controller.mobility.wire.codes import LIFETIME_UNIT
from controller.mobility.wire.control_messages import HomeAgentSwitch
from controller.mobility.wire.options import BindingRefreshAdvice, Option
from controller.mobility.wire.tunnel import encapsulate

FIRST_WAIT: Final = 5.0
"""Seconds before a node is told again (RFC 5142 section 5.2); each time twice as long."""
LONGEST_WAIT: Final = 20.0
RATE: Final = 100.0
"""Messages a second, of all nodes together. One node gets fewer than one a second by its waits."""
PAUSE: Final = 0.05
"""Seconds after which a message is tried again that the rate did not let through."""
MAX_HOME_AGENTS: Final = 64
"""Addresses in a message: it has to fit into 1280 octets inside a tunnel."""


class Draining(Part):
    """The nodes that still have to go."""

    def __init__(self, outlet: Outlet, record: RecordView, protection: ProtectionView) -> None:
        self._outlet: Final = outlet
        self._record: Final = record
        self._protection: Final = protection
        self._rate: Final = TokenBucket(RATE, int(RATE))
        self._waits: Final[dict[Address, float]] = {}
        self._deadlines: Final = Deadlines()
        self._home_agents: tuple[Address, ...] = ()
        self._until: float | None = None
        self.active = False
        """Whether bindings are no longer prolonged."""

    def begin(
        self, records: Sequence[NodeRecord], home_agents: Sequence[Address], now: float, time_left: float | None
    ) -> None:
        """Tell all nodes, as fast as the rate allows; again those that were told before.

        Args:
            records: Who is to be told.
            home_agents: Where to go, best first; empty: the node finds one by discovery.
            now: Seconds of the engine's clock.
            time_left: Seconds for which this home agent will still be there; None: not said.

        Raises:
            ValueError: more addresses than fit into a message.
        """
        if len(home_agents) > MAX_HOME_AGENTS:
            raise ValueError(f"{len(home_agents)} home agents do not fit into a message: {MAX_HOME_AGENTS} do")
        self.active = True
        self._home_agents = tuple(home_agents)
        self._until = None if time_left is None else now + time_left
        for record in records:
            if record.bindings:
                self._waits[record.home_address] = FIRST_WAIT
                self._deadlines.set(record.home_address, now)
        self.handle_timer(now)

    def end(self) -> None:
        """Serve as before."""
        self.active = False
        for home_address in self._waits:
            self._deadlines.clear(home_address)
        self._waits.clear()

    def refuses(self, request: Request) -> bool:
        """Tell whether a Binding Update would prolong what is to end (RFC 5142 section 5.2: status 129)."""
        if not self.active or request.removal:
            return False
        record = request.record
        latest = max((binding.expires for binding in record.bindings), default=0.0) if record is not None else 0.0
        return request.now + request.granted > latest

    def next_timer(self) -> float | None:
        """Return when a node is told next."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        """Tell the nodes that are due."""
        for home_address in self._deadlines.due(now):
            record = self._record(home_address)
            if record is None or not record.bindings:
                self._waits.pop(home_address, None)
            elif not self._rate.take(now):
                self._deadlines.set(home_address, now + PAUSE)
            else:
                self._send(record, now)
                wait = self._waits[home_address]
                self._waits[home_address] = min(2 * wait, LONGEST_WAIT)
                self._deadlines.set(home_address, now + wait)

    def _send(self, record: NodeRecord, now: float) -> None:
        """Send one message. It goes to the home address without routing header, so it travels in a tunnel (RFC 6275 section 6.1)."""
        options: tuple[Option, ...] = ()
        if self._until is not None:
            left = max(0, int(self._until - now)) // LIFETIME_UNIT
            options = (BindingRefreshAdvice(min(left, 0xFFFF)),)
        message = HomeAgentSwitch(self._home_agents, options)
        agent, home_address = record.home_agent, record.home_address
        try:
            packet = self._protection(home_address, now).encode(agent, home_address, message)
        except SequenceExhaustedError as error:
            self._outlet.drop(DropReason.SEQUENCE_EXHAUSTED, home_address, str(error))
            return
        best = record.preferred
        assert best is not None
        self._outlet.send(packet if best.at_home else encapsulate(packet, agent, best.care_of))

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:  # noqa: ARG002 -- as in Part
        """Leave a node alone that is gone: its removal is the answer (RFC 5142 section 5.3)."""
        if before is not None and (after is None or not after.bindings):
            self._waits.pop(before.home_address, None)
            self._deadlines.clear(before.home_address)
