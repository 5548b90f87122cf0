"""Which home agent a mobile node registers with: those it was told of, and those it discovers (RFC 6275 section 11.4.1).

| state | event | what happens | next |
|---|---|---|---|
| no home agent | the node wants to register | a request to the anycast address of the home prefix | searching |
| served | the home agent is silent or refuses, and another is known that was not tried | that one is next | served |
| served | the same, and all were tried | a request, while the node goes on with the one it has | searching |
| served | it sends the node away (RFC 5142) | the ones that it names are next; none: a request | served, searching |
| searching | a reply with our identifier | its list replaces the old one; the first that was not tried is next | served |
| searching | 3 s without, then twice as long, four times | the request again, from the next care-of address | searching |
| searching | still none | the node stays with the one it has; without one, a new search a minute later | served, searching |

Without a home prefix nothing is searched: then the node goes round those that it was told of.
"""

from collections.abc import Callable, Sequence
from typing import Final

from controller.mobility.address import Address, is_routable_unicast
from controller.mobility.discovery import anycast_address
from controller.mobility.node_identifiers import Identifiers
from controller.mobility.node_outlet import NodeOutlet
from controller.mobility.node_plan import MobileNodeConfig
from controller.mobility.wire.codes import IcmpType
from controller.mobility.wire.icmp import discovery_body, icmp_packet, is_sound, read_discovery, reply_addresses
from controller.mobility.wire.packet import Packet

FIRST_TIMEOUT: Final = 3.0
"""Seconds: INITIAL_DHAAD_TIMEOUT (RFC 6275 section 12); doubled each time."""
RETRIES: Final = 4
"""DHAAD_RETRIES."""
REST: Final = 60.0
"""Seconds before another search when one was in vain. The RFC gives no number."""


class HomeAgents:
    """The home agents that a mobile node knows, best first, and the search for them.

    Args:
        config: Those it was told of, and whether it asks for home agents that serve mobile routers (RFC 3963 section 7.1).
        identifiers: Makes the requests' identifiers.
        outlet: Where requests go.
        care_ofs: Answers with the care-of addresses to send from, best first.
    """

    def __init__(
        self,
        config: MobileNodeConfig,
        identifiers: Identifiers,
        outlet: NodeOutlet,
        care_ofs: Callable[[], Sequence[Address]],
    ) -> None:
        first = () if config.home_agent is None else (config.home_agent,)
        self._known: tuple[Address, ...] = (*first, *config.other_home_agents)
        self._prefix: Final = config.home_prefix
        self._mobile_router: Final = config.mobile_router
        self._identifiers: Final = identifiers
        self._outlet: Final = outlet
        self._care_ofs: Final = care_ofs
        self.current: Address | None = self._known[0] if self._known else None
        """Where the node registers."""
        self._tried: set[Address] = set()
        self._refused: set[Address] = set()
        self._identifier: int | None = None
        self._requests = 0
        self._deadline: float | None = None

    @property
    def known(self) -> tuple[Address, ...]:
        """All home agents that the node knows, best first."""
        return self._known

    @property
    def refused(self) -> bool:
        """Whether the current home agent refuses the node, so there is no use in asking it again."""
        return self.current in self._refused

    @property
    def searching(self) -> bool:
        """Whether a request waits for its reply, or for a better time."""
        return self._deadline is not None

    def forgive(self) -> None:
        """Try all of them again."""
        self._tried.clear()
        self._refused.clear()

    def move_on(self, now: float, *, refused: bool = False) -> bool:
        """Go on to the next home agent, or begin to search for one.

        Args:
            now: Seconds of the node's clock.
            refused: The current one refuses the node, so there is no use in coming back.

        Returns:
            Whether `current` is another one now.
        """
        if self.current is not None:
            (self._refused if refused else self._tried).add(self.current)
        if self._choose():
            return True
        if self._prefix is not None:
            if not self.searching:
                self._requests = 0
                self._request(now)
            return False
        self._tried = set() if self.current is None else {self.current}
        return self._choose()

    def go_to(self, home_agents: Sequence[Address], now: float) -> bool:
        """Go where the home agent sends the node (RFC 5142); no address: search. Return whether `current` is another one now."""
        if not home_agents:
            return self.move_on(now, refused=True)
        self._known = tuple(dict.fromkeys(filter(is_routable_unicast, home_agents)))
        if self.current is not None:
            self._refused = {self.current}
        self._tried.clear()
        return self._choose()

    def leads_on(self, home_agents: Sequence[Address]) -> bool:
        """Tell whether the node would know where to go when it is sent away to those; none: to any other."""
        others = home_agents or [one for one in self._known if one not in self._refused]
        return any(one != self.current and is_routable_unicast(one) for one in others) or self._prefix is not None

    def _choose(self) -> bool:
        out = self._tried | self._refused
        best = next((one for one in self._known if one not in out), None)
        if best is None or best == self.current:
            return False
        self.current = best
        return True

    # Requests and replies

    def _request(self, now: float) -> None:
        """Send a request from the next care-of address, and wait twice as long as for the one before."""
        assert self._prefix is not None
        care_ofs = self._care_ofs()
        self._deadline = now + FIRST_TIMEOUT * 2**self._requests
        if not care_ofs:
            return
        if not self._requests:
            self._identifier = self._identifiers.next()
        assert self._identifier is not None
        source = care_ofs[self._requests % len(care_ofs)]
        self._requests += 1
        body = discovery_body(self._identifier, mobile_routers=self._mobile_router)
        kind = IcmpType.HOME_AGENT_DISCOVERY_REQUEST
        self._outlet.send(icmp_packet(source, anycast_address(self._prefix), kind, body))

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due, or None."""
        return self._deadline

    def handle_timer(self, now: float) -> bool:
        """Ask again; return whether a search ended in vain."""
        if self._deadline is None or now < self._deadline:
            return False
        if self._requests <= RETRIES:
            self._request(now)
            return False
        self.stop()
        if self.current is None:
            # Nothing else can be done, so it is done again.
            self._requests = 0
            self._deadline = now + REST
        return True

    def stop(self) -> None:
        """Search no more."""
        self._deadline = self._identifier = None

    def take(self, packet: Packet, message: bytes) -> bool | None:
        """Take an ICMPv6 message that came to a care-of address.

        Returns:
            None: not the reply that is waited for. Otherwise whether `current` is another one now.
        """
        if self._identifier is None or not is_sound(packet.source, packet.destination, message, 8):
            return None
        if message[0] != IcmpType.HOME_AGENT_DISCOVERY_REPLY or message[1]:
            return None
        identifier, mobile_routers = read_discovery(message)
        addresses = tuple(dict.fromkeys(filter(is_routable_unicast, reply_addresses(message))))
        if identifier != self._identifier or not addresses:
            return None
        if self._mobile_router and not mobile_routers:
            return None  # RFC 3963 section 7.2: none of them serves mobile routers; perhaps one will
        self.stop()
        self._known = addresses
        if self._choose():
            return True
        self._tried.clear()  # all were tried: begin again with the best
        return self._choose()
