"""Binding Refresh Requests: the home agent asks before a binding runs out (RFC 6275 section 6.1.2, RFC 5648 section 6.4).

| at | what happens |
|---|---|
| three quarters of a binding's lifetime | a request that names its BID, and others of the node that are due |
| one and two twelfths later | again |
| a refresh or removal is in force | the count begins anew, or ends |
"""

from typing import Final

from controller.mobility.address import Address
from controller.mobility.model import NO_BID, Binding, NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Part, RecordView
from controller.mobility.timing import Deadlines, TokenBucket
from controller.mobility.wire.messages import BindingRefreshRequest
from controller.mobility.wire.options import BindingIdentifier
from controller.mobility.wire.packet import encode_packet
from controller.mobility.wire.tunnel import encapsulate
from controller.values import value

TRIES: Final = 3
RATE: Final = 1000.0
"""Requests a second, of all nodes together."""
PAUSE: Final = 1.0
"""Seconds after which a request is tried again that the rate did not let through."""


@value
class _Asking:
    """When a binding is asked for next, and how often it was."""

    expires: float
    when: float
    tries: int = 0


class RefreshRequests(Part):
    """Asks nodes to refresh what is about to run out."""

    def __init__(self, outlet: Outlet, record: RecordView) -> None:
        self._outlet: Final = outlet
        self._record: Final = record
        self._asking: Final[dict[Address, dict[int, _Asking]]] = {}
        self._deadlines: Final = Deadlines()
        self._rate: Final = TokenBucket(RATE, int(RATE))

    def restored(self, record: NodeRecord) -> None:
        """Ask for what an earlier engine left, too."""
        self._follow(record)

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:
        """Begin anew for what was refreshed, and forget what is gone."""
        del now
        if after is None:
            assert before is not None
            self._asking.pop(before.home_address, None)
            self._deadlines.clear(before.home_address)
        else:
            self._follow(after)

    def _follow(self, record: NodeRecord) -> None:
        known = self._asking.get(record.home_address, {})
        asking: dict[int, _Asking] = {}
        for binding in record.bindings:
            old = known.get(binding.bid)
            if old is not None and old.expires == binding.expires:
                asking[binding.bid] = old
            else:
                asking[binding.bid] = _Asking(binding.expires, binding.expires - binding.lifetime / 4)
        self._set(record.home_address, asking)

    def _set(self, home_address: Address, asking: dict[int, _Asking]) -> None:
        times = [one.when for one in asking.values() if one.tries < TRIES]
        if asking:
            self._asking[home_address] = asking
        else:
            self._asking.pop(home_address, None)
        if times:
            self._deadlines.set(home_address, min(times))
        else:
            self._deadlines.clear(home_address)

    def next_timer(self) -> float | None:
        """Return when the next request leaves."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        """Send the requests that are due."""
        for home_address in self._deadlines.due(now):
            record = self._record(home_address)
            asking = self._asking.get(home_address)
            if record is None or asking is None:
                continue
            if not self._rate.take(now):
                self._deadlines.set(home_address, now + PAUSE)
                continue
            due = [
                binding
                for binding in record.bindings
                if (one := asking.get(binding.bid)) is not None and one.when <= now and one.tries < TRIES
            ]
            for binding in due:
                one = asking[binding.bid]
                asking[binding.bid] = _Asking(one.expires, one.when + binding.lifetime / 12, one.tries + 1)
            self._set(home_address, asking)
            self._outlet.send(request_packet(record, due))


def request_packet(record: NodeRecord, due: list[Binding]) -> bytes:
    """Return the packet that asks a node to refresh bindings, `due` holding at least one.

    It goes to the home address, without routing header (RFC 6275 section 6.1), so it travels in a tunnel: by way of another
    binding where there is one, as the one that is not refreshed may be dead.
    """
    options = tuple(BindingIdentifier(binding.bid) for binding in due if binding.bid != NO_BID)
    packet = encode_packet(record.home_agent, record.home_address, BindingRefreshRequest(options))
    asked = {binding.bid for binding in due}
    away = sorted(record.bindings, key=lambda one: (one.at_home, one.bid in asked, one.priority or 128, one.bid))
    if away[0].at_home:
        return packet
    return encapsulate(packet, record.home_agent, away[0].care_of)
