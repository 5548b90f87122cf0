"""Discovery: of home agents on a link (RFC 6275 section 10.5, RFC 3963 section 7) and of home prefixes (RFC 6275 section 10.6)."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from controller.mobility.address import Address, Prefix, is_routable_unicast
from controller.mobility.events import DropReason
from controller.mobility.model import NodeRecord
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound, Part, RecordView
from controller.mobility.prefixes import PrefixTimes
from controller.mobility.provision import HomeAgentConfig, HomeNetwork
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.security.protection import ProtectionView
from controller.mobility.timing import Deadlines
from controller.mobility.wire.codes import IcmpType
from controller.mobility.wire.icmp import (
    PrefixInformation,
    discovery_body,
    icmp_packet,
    is_sound,
    read_discovery,
    read_router_advertisement,
)
from controller.values import value

MAX_ADDRESSES: Final = 77
"""Addresses of a reply that fit into 1280 octets (RFC 6275 section 10.5.1)."""
MAX_AGENTS: Final = 256
"""Other home agents that are remembered."""
_ANYCAST_64: Final = bytes.fromhex("fdfffffffffffffe")

MIN_DELAY: Final = 600.0
"""MinMobPfxAdvInterval, seconds (RFC 6275 section 12)."""
MAX_DELAY: Final = 86400.0
"""MaxMobPfxAdvInterval."""
RETRANSMISSION: Final = 3.0
"""PREFIX_ADV_TIMEOUT."""
RETRIES: Final = 3
"""PREFIX_ADV_RETRIES."""
SPACING: Final = 1.0
"""Seconds between two advertisements to one node, at least (RFC 6275 section 6.8)."""
FOR_EVER: Final = 0xFFFFFFFF

RandomBytes = Callable[[int], bytes]
_T = TypeVar("_T")


def no_randomness(count: int) -> bytes:
    """Stand in for randomness where nobody handed in any: every order is the same then."""
    return bytes(count)


def shuffled(items: Iterable[_T], random_bytes: RandomBytes) -> list[_T]:
    """Return items in random order."""
    keyed = [(random_bytes(8), number, item) for number, item in enumerate(items)]
    return [item for _, _, item in sorted(keyed, key=lambda one: one[:2])]


def anycast_address(prefix: Prefix) -> Address:
    """Return the home agents anycast address of a prefix (RFC 2526: anycast identifier 126)."""
    if prefix.length == 64:
        return Address(prefix.network[:8] + _ANYCAST_64)
    host = (1 << (128 - prefix.length)) - 1
    return Address((int.from_bytes(prefix.network) | host & ~1).to_bytes(16))


@value
class _Agent:
    """A home agent on a home link."""

    addresses: tuple[Address, ...]
    preference: int
    mobile_routers: bool
    until: float | None = None
    """When what its Router Advertisement said ends; None for ourselves."""


class HomeAgentsList(Part):
    """The home agents of each home link, from Router Advertisements, and the answers to those who look for one."""

    def __init__(self, config: HomeAgentConfig, outlet: Outlet, random_bytes: RandomBytes) -> None:
        self._outlet: Final = outlet
        self._random: Final = random_bytes
        self._heard: Final[dict[Address, _Agent]] = {}
        self.reconfigure(config)

    def reconfigure(self, config: HomeAgentConfig) -> None:
        """Answer by other rules from now on."""
        self._networks = config.networks
        self._mobile_routers = any(node.mobile_router for node in config.nodes.values())
        self._anycast = {anycast_address(network.prefix): network for network in config.networks}
        self._by_agent = {network.home_agent: network for network in reversed(config.networks)}

    def on_router_advertisement(self, inbound: Inbound) -> None:
        """Take note of another home agent (RFC 6275 section 10.5.1)."""
        packet = inbound.packet
        message = read_router_advertisement(packet.source, packet.destination, inbound.octets[7], inbound.upper)
        if message is None:
            self._outlet.drop(DropReason.MALFORMED, packet.source, "router advertisement")
            return
        self._heard.pop(packet.source, None)
        if not message.home_agent or not message.lifetime or not message.addresses:
            return
        self._forget(inbound.now)
        if len(self._heard) < MAX_AGENTS:
            self._heard[packet.source] = _Agent(
                message.addresses, message.preference, message.mobile_routers, inbound.now + message.lifetime
            )

    def _forget(self, now: float) -> None:
        for source in [one for one, agent in self._heard.items() if agent.until is not None and agent.until <= now]:
            del self._heard[source]

    def on_request(self, inbound: Inbound) -> None:
        """Answer a Home Agent Address Discovery Request."""
        packet, message = inbound.packet, inbound.upper
        network = self._anycast.get(packet.destination) or self._by_agent.get(packet.destination)
        if network is None:
            self._outlet.drop(DropReason.NOT_FOR_US, packet.source)
            return
        if not is_sound(packet.source, packet.destination, message, 8) or message[1]:
            self._outlet.drop(DropReason.MALFORMED, packet.source, "discovery request")
            return
        if not is_routable_unicast(packet.source) or packet.home_address is not None:
            self._outlet.drop(DropReason.UNEXPECTED_MESSAGE, packet.source, "discovery request")
            return
        identifier, mobile_routers = read_discovery(message)
        agents = self._agents(network, inbound.now)
        if mobile_routers:
            able = [agent for agent in agents if agent.mobile_routers]
            mobile_routers = bool(able)  # RFC 3963 section 7: otherwise the plain list, with R clear
            agents = able or agents
        addresses = self._in_order(agents)[:MAX_ADDRESSES]
        body = discovery_body(identifier, addresses, mobile_routers=mobile_routers)
        kind = IcmpType.HOME_AGENT_DISCOVERY_REPLY
        self._outlet.send(icmp_packet(network.home_agent, packet.source, kind, body))

    def _agents(self, network: HomeNetwork, now: float) -> list[_Agent]:
        """Return the home agents of a network, with their addresses on it."""
        self._forget(now)
        ours = [
            _Agent((one.home_agent,), one.preference, self._mobile_routers)
            for one in self._networks
            if one.prefix == network.prefix
        ]
        others = []
        for agent in self._heard.values():
            addresses = tuple(address for address in agent.addresses if address in network.prefix)
            if addresses:
                others.append(_Agent(addresses, agent.preference, agent.mobile_routers))
        return ours + others

    def _in_order(self, agents: list[_Agent]) -> list[Address]:
        """Return their addresses, best first, equals in a new random order each time (RFC 6275 section 10.5.1)."""
        ranked = sorted(shuffled(agents, self._random), key=lambda agent: -agent.preference)
        return [address for agent in ranked for address in shuffled(agent.addresses, self._random)]


@value
class _Advertising:
    """An unsolicited advertisement to one node that has to be acknowledged by a solicitation."""

    sent: int = 0


class PrefixDiscovery(Part):
    """Tells nodes that are away what becomes of their home prefixes.

    | event | what happens |
    |---|---|
    | solicitation with a Home Address option, from a registered care-of address | an advertisement, one a second at most |
    | lifetimes of a home prefix change | an advertisement to each node of it, after a random time |
    | no solicitation follows | again after 3, 6 and 12 seconds |
    | the node's last binding ends | it ends too |
    """

    def __init__(
        self,
        networks: tuple[HomeNetwork, ...],
        times: PrefixTimes,
        outlet: Outlet,
        record: RecordView,
        random_bytes: RandomBytes,
        *,
        protection: ProtectionView,
    ) -> None:
        self._networks: Final = networks
        self._protection: Final = protection
        self._times: Final = times
        self._outlet: Final = outlet
        self._record: Final = record
        self._random: Final = random_bytes
        self._last: Final[dict[Address, float]] = {}
        self._advertising: Final[dict[Address, _Advertising]] = {}
        self._deadlines: Final = Deadlines()

    def on_solicitation(self, inbound: Inbound) -> None:
        """Answer a Mobile Prefix Solicitation. Its Home Address option was checked before."""
        packet, message = inbound.packet, inbound.upper
        home_address = packet.home_address
        record = None if home_address is None else self._record(home_address)
        if home_address is None or record is None:
            self._outlet.drop(DropReason.NO_HOME_ADDRESS_OPTION, packet.source)
            return
        if not is_sound(home_address, packet.destination, message, 8) or message[1]:
            self._outlet.drop(DropReason.MALFORMED, packet.source, "prefix solicitation")
            return
        # RFC 6275 section 10.6.2: it acknowledges what was sent unasked.
        self._advertising.pop(home_address, None)
        self._deadlines.clear(home_address)
        last = self._last.get(home_address)
        if last is not None and inbound.now < last + SPACING:
            self._outlet.drop(DropReason.ERROR_RATE, packet.source)
            return
        self._send(record, packet.source, read_discovery(message)[0], inbound.now)

    def prefix_changed(self, record: NodeRecord, now: float) -> None:
        """Plan an advertisement to a node whose home prefix has changed (RFC 6275 section 10.6.3)."""
        if not record.bindings:
            return
        network = next((one for one in self._networks if record.home_address in one.prefix), None)
        preferred = None if network is None else self._times.left(network.prefix, now)[1]
        longest = MAX_DELAY if preferred is None else min(MAX_DELAY, preferred)
        spread = int(abs(longest - MIN_DELAY))
        delay = MIN_DELAY + (int.from_bytes(self._random(4)) % spread if spread else 0)
        self._advertising[record.home_address] = _Advertising()
        # A prefix that ends sooner than the shortest delay is told of at once: later would be too late.
        self._deadlines.set(record.home_address, now + (min(delay, longest / 2) if longest < MIN_DELAY else delay))

    def changed(self, before: NodeRecord | None, after: NodeRecord | None, now: float) -> None:
        """Forget a node without bindings."""
        del now
        if after is None or not after.bindings:
            known = before or after
            assert known is not None
            self._last.pop(known.home_address, None)
            self._advertising.pop(known.home_address, None)
            self._deadlines.clear(known.home_address)

    def next_timer(self) -> float | None:
        """Return when the next advertisement leaves."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        """Send what is due."""
        for home_address in self._deadlines.due(now):
            record, state = self._record(home_address), self._advertising.get(home_address)
            binding = None if record is None else record.preferred
            if record is None or state is None or binding is None:
                continue
            last = self._last.get(home_address)
            if last is not None and now < last + SPACING:
                self._deadlines.set(home_address, last + SPACING)
                continue
            self._send(record, binding.care_of, 0, now)
            if state.sent < RETRIES:
                self._advertising[home_address] = _Advertising(state.sent + 1)
                self._deadlines.set(home_address, now + RETRANSMISSION * 2**state.sent)
            else:
                del self._advertising[home_address]

    def _send(self, record: NodeRecord, destination: Address, identifier: int, now: float) -> None:
        self._last[record.home_address] = now
        options = b"".join(
            self._information(network, now).option()
            for network in self._networks
            if network.home_agent == record.home_agent
        )
        packet = icmp_packet(
            record.home_agent,
            destination,
            IcmpType.MOBILE_PREFIX_ADVERTISEMENT,
            discovery_body(identifier) + options,
            # RFC 6275 section 10.6.2; a node at home has no care-of address to route by.
            routing_address=None if destination == record.home_address else record.home_address,
        )
        try:
            # RFC 3776 section 4.1: in ESP, where the node has that.
            self._outlet.send(self._protection(record.home_address, now).seal(packet))
        except SequenceExhaustedError as error:
            self._outlet.drop(DropReason.SEQUENCE_EXHAUSTED, destination, str(error))

    def _information(self, network: HomeNetwork, now: float) -> PrefixInformation:
        valid, preferred = (
            FOR_EVER if left is None else min(int(left), FOR_EVER) for left in self._times.left(network.prefix, now)
        )
        return PrefixInformation(network.prefix, valid, min(valid, preferred), network.home_agent)
