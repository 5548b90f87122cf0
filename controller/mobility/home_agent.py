"""The home agent as a machine without I/O: packets and time go in, transactions, packets and events come out.

A Binding Update that is accepted becomes a `Transaction`. Whoever drives the engine carries it out and says `commit` or `abort`; only
then the Binding Acknowledgement is in the outbox. While that is under way the record in force is the old one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from controller.mobility.address import Address, Prefix
from controller.mobility.cache import BindingCache
from controller.mobility.correspondent import CorrespondentPart
from controller.mobility.discovery import HomeAgentsList, PrefixDiscovery, no_randomness
from controller.mobility.draining import Draining
from controller.mobility.entitlement import Entitlements, excess
from controller.mobility.events import Event
from controller.mobility.heartbeat import Heartbeats
from controller.mobility.home_link import defended
from controller.mobility.limits import Tally, Weight
from controller.mobility.local import LocalDelivery
from controller.mobility.model import NodeRecord, ReplayMark, Transaction
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Handler, Inbound, LinkInfo, LinkPacket, Obstacle, Part, Topic
from controller.mobility.prefixes import PrefixTimes
from controller.mobility.provision import Directory, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.reception import Desks, Reception
from controller.mobility.refresh import RefreshRequests
from controller.mobility.registrar import Registrar
from controller.mobility.request import Arrival
from controller.mobility.revocation import Revocations
from controller.mobility.security.home_guard import HomeGuard
from controller.mobility.security.policy import NO_SECURITY, SecurityContext
from controller.mobility.tunnel_errors import Tunnels
from controller.mobility.tunnel_ipv4 import ERRORS, Ipv4Tunnels
from controller.mobility.wire.codes import IcmpType, Status, UpdateFlag
from controller.mobility.wire.control_messages import Heartbeat, RevocationAcknowledgement, RevocationTrigger
from controller.mobility.wire.messages import BindingUpdate, CareOfTestInit, HomeTestInit

__all__ = ["HomeAgent", "HomeAgentConfig", "HomeNetwork", "NodeProvision"]


class HomeAgent:
    """A home agent with multiple care-of addresses (RFC 6275, RFC 5648, RFC 3963).

    All times are seconds of one clock that the caller chooses, and never run backwards.

    Args:
        config: Whom it serves, and how.
        security: Clock and randomness for security policies; not needed without any.
        on_decoded: Called between the decoding of a packet and what is decided about it: who measures may look at a clock.

    Attributes:
        counters: how often each thing happened: `received`, `accepted`, `committed`, `aborted`, `refused_<status>`, and
            `dropped_<reason>` for each `DropReason`.
    """

    def __init__(
        self,
        config: HomeAgentConfig,
        *,
        security: SecurityContext | None = None,
        on_decoded: Callable[[], None] | None = None,
    ) -> None:
        self._config = config
        self._outlet: Final = Outlet(config.error_rate, config.error_burst)
        self.counters: Final = self._outlet.counters
        self._times: Final = PrefixTimes(config.networks)
        directory = self._directory = Directory(config)
        self._cache: Final = BindingCache(config, directory, self._times)
        record, outlet = self._cache.record, self._outlet
        guard = self._guard = HomeGuard(config.nodes, security)
        self._draining: Final = Draining(outlet, record, guard.protection)
        self._registrar: Final = Registrar(
            config, directory, self._cache, self._times, outlet, self._draining, mark=guard.mark
        )
        random_bytes = no_randomness if security is None else security.random_bytes
        self._agents: Final = HomeAgentsList(config, outlet, random_bytes)
        self._prefixes: Final = PrefixDiscovery(
            config.networks, self._times, outlet, record, random_bytes, protection=guard.protection
        )
        self._tunnels: Final = Tunnels(directory, outlet, record)
        self._ipv4: Final = Ipv4Tunnels(config.ipv4, directory, outlet, record, self._tunnels)
        self._local: Final = LocalDelivery(outlet, record)
        self._revocations: Final = Revocations(outlet, record, guard.protection, self._registrar.take_back)
        self._entitlements: Final = Entitlements(
            directory, record, self._revocations.begin, lambda address: guard.set(address, NO_SECURITY)
        )
        self._correspondent: Final = (
            CorrespondentPart(outlet, random_bytes, config.max_bindings) if config.correspondent else None
        )
        self._parts: Final = tuple(self._all_parts())
        self._registrar.tell(self._parts)
        desks = Desks(
            self._handlers(), self._overheard(), self._tunnels, self._ipv4, self._local, self._registrar.reject_unproved
        )
        self._reception: Final = Reception(config, directory, outlet, guard, desks, on_decoded)

    def _all_parts(self) -> Iterator[Part]:
        yield from (self._registrar.home_link, self._prefixes, self._tunnels, self._revocations, self._draining)
        yield self._entitlements
        if self._correspondent is not None:
            yield self._correspondent
        if self._config.refresh_requests:
            yield RefreshRequests(self._outlet, self._cache.record)

    def _handlers(self) -> Mapping[Topic, Handler]:
        """Return who takes what is for a home agent address."""
        table: dict[Topic, Handler] = {
            BindingUpdate: self._on_update,
            **dict.fromkeys(ERRORS, self._on_error),
            IcmpType.ECHO_REQUEST: self._local.on_echo,
            IcmpType.NEIGHBOR_SOLICITATION: self._registrar.home_link.on_solicitation,
            IcmpType.NEIGHBOR_ADVERTISEMENT: self._registrar.home_link.on_advertisement,
            IcmpType.ROUTER_ADVERTISEMENT: self._agents.on_router_advertisement,
            IcmpType.HOME_AGENT_DISCOVERY_REQUEST: self._agents.on_request,
        }
        table[RevocationAcknowledgement] = self._revocations.on_acknowledgement
        if self._correspondent is not None:
            table[HomeTestInit] = self._correspondent.on_home_test_init
            table[CareOfTestInit] = self._correspondent.on_care_of_test_init
        if self._config.heartbeat:
            table[Heartbeat] = Heartbeats(self._outlet, self._config.restart_counter).on_heartbeat
        if self._config.prefix_discovery:
            table[IcmpType.MOBILE_PREFIX_SOLICITATION] = self._prefixes.on_solicitation
        return table

    def _overheard(self) -> Mapping[Topic, Handler]:
        """Return who takes what is heard on a home link, though it is not for an address of ours."""
        return {
            IcmpType.NEIGHBOR_SOLICITATION: self._registrar.home_link.on_solicitation,
            IcmpType.NEIGHBOR_ADVERTISEMENT: self._registrar.home_link.on_advertisement,
            IcmpType.ROUTER_ADVERTISEMENT: self._agents.on_router_advertisement,
            IcmpType.HOME_AGENT_DISCOVERY_REQUEST: self._agents.on_request,
        }

    # What goes in

    def restore(self, records: Iterable[NodeRecord], marks: Iterable[ReplayMark] = ()) -> None:
        """Take over what an earlier engine left. Call it before anything else; what has run out goes by timer.

        Args:
            records: What was in force.
            marks: How far the nodes' proofs had come, as transactions told: nothing before that is accepted again.
        """
        self._guard.resume(marks)
        for record in records:
            self._cache.put(record.home_address, record)
            for part in self._parts:
                part.restored(record)

    def receive(
        self, packet: bytes, now: float, *, link: LinkInfo | None = None, obstacle: Obstacle | None = None
    ) -> None:
        """Take a packet, without link-layer header, at time `now`: IPv6, or IPv4 for a node. Nothing that it holds raises.

        Args:
            packet: The packet; what follows its payload (Ethernet padding) is ignored. It is for a home agent address, was heard on
                a home link, or was handed up by a switch that could not forward it.
            now: Seconds of the engine's clock.
            link: For a packet from a home link, what its frame said.
            obstacle: For a packet that was not forwarded, why.
        """
        self._reception.receive(packet, now, link, obstacle)

    def set_prefix_lifetimes(
        self, prefix: Prefix, valid_until: float | None, preferred_until: float | None, now: float
    ) -> None:
        """Change how long a home prefix lasts, and tell its nodes (RFC 6275 section 10.6). None: for ever."""
        self._times.set(prefix, valid_until, preferred_until)
        for record in self._cache:
            if record.home_address in prefix:
                self._prefixes.prefix_changed(record, now)
                self._registrar.rearm(record)

    def revoke(
        self,
        home_address: Address,
        bids: Collection[int] | None,
        now: float,
        trigger: int = RevocationTrigger.ADMINISTRATIVE,
    ) -> frozenset[int]:
        """Take bindings of a node back (RFC 5846): it is told, and then they are removed by a transaction.

        Args:
            home_address: Whose bindings.
            bids: Which; `NO_BID` for the one without. None: all.
            now: Seconds of the engine's clock.
            trigger: Why; names in `wire.RevocationTrigger`.

        Returns:
            The BIDs that will go, unless the node renews them first. A `Revoked` event tells the end.

        Raises:
            LookupError: the node has none of these bindings.
        """
        return self._revocations.begin(home_address, None if bids is None else frozenset(bids), trigger, now)

    def provision(self, node: NodeProvision) -> None:
        """Serve a node from now on, or by other rules. What it has registered stays as it is: `review` takes back what may not.

        Raises:
            ValueError: another node uses the SPI of its security policy, or the engine has no `SecurityContext`; nothing changed.
        """
        self._guard.set(node.home_address, node.security)
        self._entitlements.stay(node.home_address)
        self._directory.put(node)

    def excess(self, record: NodeRecord, provision: NodeProvision | None = None) -> frozenset[int] | None:
        """Return the BIDs of a record that its node could not register today; None: it has no home network any more.

        Args:
            record: The node's bindings.
            provision: What it would be allowed to do; None: what it is.
        """
        network = self._directory.network(record.home_address, record.home_agent)
        if network is None:
            return None
        return excess(record, provision or self._directory.authorise(record.home_address, network), network)

    def admits(self, home_address: Address) -> bool:
        """Tell whether a home network of that address is open: it may register without being provisioned."""
        return any(one.open and home_address in one.prefix for one in self._config.networks)

    def provision_of(self, home_address: Address) -> NodeProvision | None:
        """Return what a node may do; None: it is not provisioned."""
        return self._directory.authorise(home_address, None)

    def defended(self, record: NodeRecord) -> tuple[Address, ...]:
        """Return the addresses for which home agents answer on the home link while such a record is in force."""
        return defended(self._directory, record)

    def unprovision(self, home_address: Address) -> None:
        """Serve a node no more, unless its home network is open. What it has registered stays: `review` takes it back.

        While it has bindings its security association stays too, so that it can be told.
        """
        self._directory.remove(home_address)
        self._entitlements.leave(home_address)

    def spi_owner(self, spi: int) -> Address | None:
        """Return which node sends ESP under an SPI; None: nobody."""
        return self._guard.spi_owner(spi)

    def review(
        self, now: float, home_addresses: Iterable[Address] | None = None, unproved: Collection[Address] = ()
    ) -> dict[Address, frozenset[int]]:
        """Take back what nodes have and could not register today (RFC 5846).

        Args:
            now: Seconds of the engine's clock.
            home_addresses: Whom to look at; None: everybody.
            unproved: Those of them of whom nothing may stay, as it was believed without proof.

        Returns:
            The BIDs that will go, by home address, unless the node renews them first. A `Revoked` event tells the end.
        """
        if home_addresses is None:
            home_addresses = {record.home_address for record in self._cache} | self._registrar.in_flight
        return self._entitlements.review(home_addresses, unproved, self._registrar.in_flight, now)

    def reconfigure(self, config: HomeAgentConfig, now: float) -> None:
        """Go by other limits, and by other rules of the home networks. Nodes are not touched: `provision` them, then `review`.

        Which roles the home agent has (correspondent, heartbeat, prefix discovery, refresh requests) stays as it was.

        Raises:
            ValueError: the home networks are others, or on other links; nothing changed.
        """
        before = {(one.prefix, one.home_agent): one for one in self._config.networks}
        after = {(one.prefix, one.home_agent): one for one in config.networks}
        same = before.keys() == after.keys() and all(
            (one.link, one.mac) == (before[key].link, before[key].mac) for key, one in after.items()
        )
        if not same:
            raise ValueError("the home networks of a running home agent cannot change: start it again")
        self._config = config
        self._directory.set_networks(config.networks)
        self._cache.load.limit(Weight(config.max_bindings, config.max_flows))
        self._registrar.reconfigure(config)
        self._reception.reconfigure(config)
        self._agents.reconfigure(config)
        self._outlet.limit_errors(config.error_rate, config.error_burst)
        for key, one in after.items():
            until = one.valid_until, one.preferred_until
            if until != (before[key].valid_until, before[key].preferred_until):
                self.set_prefix_lifetimes(one.prefix, *until, now)

    def drain(self, home_agents: Sequence[Address], now: float, time_left: float | None = None) -> None:
        """Ask all nodes to go to other home agents, best first, and prolong no binding from now on (RFC 5142).

        Args:
            home_agents: Where to go; empty: nodes find one by discovery.
            now: Seconds of the engine's clock.
            time_left: Seconds for which this home agent will still be there; None: that is not said.

        Raises:
            ValueError: more home agents than fit into a message.
        """
        self._draining.begin(tuple(self._cache), home_agents, now, time_left)

    def end_drain(self) -> None:
        """Serve as before `drain`."""
        self._draining.end()

    def handle_timer(self, now: float) -> None:
        """Do what is due by `now`: propose the removal of what has run out, and let each part do its own."""
        for part in self._parts:
            part.handle_timer(now)
        self._registrar.expire(now)

    def commit(self, number: int, now: float) -> None:
        """Say that a transaction is in force. Its Binding Acknowledgement goes to the outbox.

        Raises:
            KeyError: there is no such transaction under way.
        """
        self._registrar.commit(number, now)

    def abort(
        self,
        number: int,
        now: float,
        status: int = Status.INSUFFICIENT_RESOURCES,
        full: frozenset[int] = frozenset(),
    ) -> None:
        """Say that a transaction is not in force. The old record stays, and the node is told `status`.

        With `full`, BIDs for which there is no room: of a Binding Update that names some of them the rest is proposed anew,
        and these get status 130 in its acknowledgement (RFC 5648 section 6.2). What a timer proposed is proposed again a
        second later.

        Raises:
            KeyError: there is no such transaction under way.
            ValueError: the status is not one that refuses (128 to 255).
        """
        if not 128 <= status <= 255:
            raise ValueError(f"an aborted transaction cannot be answered with status {status}: it has to be 128 to 255")
        self._registrar.abort(number, now, status, full)

    # What comes out

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        times = [self._cache.next_timer(), *(part.next_timer() for part in self._parts)]
        return min((when for when in times if when is not None), default=None)

    def transactions(self) -> list[Transaction]:
        """Return what is newly proposed, in order, once."""
        return self._registrar.proposed()

    def outbox(self) -> list[bytes]:
        """Return the packets to send, in order, once: IPv6, and errors about IPv4 packets in IPv4."""
        return self._outlet.take_packets()

    def link_outbox(self) -> list[LinkPacket]:
        """Return the IPv6 packets for home links, in order, once."""
        return self._outlet.take_link_packets()

    def events(self) -> list[Event]:
        """Return what happened since the last call; when nobody asks, the oldest of many are lost."""
        return self._outlet.take_events()

    def path_mtu_changes(self) -> list[Address]:
        """Return the care-of addresses to which tunnels take longer or shorter packets than before, once."""
        return self._tunnels.paths.changes()

    def learnt_mtu(self, care_of: Address) -> int | None:
        """Return how long a packet may be inside of a tunnel to a care-of address, where that was learnt, in octets."""
        return self._tunnels.paths.learnt(care_of)

    def records(self) -> Iterator[NodeRecord]:
        """Return all records in force, tombstones included."""
        return iter(self._cache)

    def tally(self) -> Tally:
        """Return how many of everything the records in force have."""
        return self._cache.load.tally

    def record(self, home_address: Address) -> NodeRecord | None:
        """Return the record in force of a home address."""
        return self._cache.record(home_address)

    def _on_error(self, inbound: Inbound) -> None:
        if not self._ipv4.on_error(inbound):
            self._tunnels.on_error(inbound)

    def _on_update(self, inbound: Inbound) -> None:
        update = inbound.packet.message
        assert isinstance(update, BindingUpdate)
        arrival = Arrival.of(inbound, update)
        if self._correspondent is None or update.flags & UpdateFlag.HOME_REGISTRATION:
            self._registrar.take(arrival, inbound.now)
            return
        record = self._cache.record(arrival.home_address)
        if record is None or not record.bindings:
            self._correspondent.on_update(inbound)
        else:
            # RFC 6275 section 9.5.1: a home registration does not turn into another one. Said at once, and nothing is kept:
            # such an update has not been proved as one of the node's own.
            self._registrar.reject(arrival, Status.REGISTRATION_TYPE_CHANGE_DISALLOWED)
