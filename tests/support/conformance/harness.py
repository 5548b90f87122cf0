"""A home agent on the bench of the conformance suite: octets in, octets out, a clock that the test turns."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from conformance import packets
from conformance.packets import Ack, Option, Seen, acknowledgement, ip, parse
from controller.mobility.address import Address, Prefix
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.parts import LinkInfo, LinkPacket
from controller.mobility.provision import HomeBinding, LinkKind
from controller.mobility.security.policy import SecurityContext

HA: Final = ip("2001:db8:0:1::1")
HOA: Final = ip("2001:db8:0:1::100")
HOA2: Final = ip("2001:db8:0:1::200")
COA1: Final = ip("2001:db8:a::1")
COA2: Final = ip("2001:db8:b::1")
COA3: Final = ip("2001:db8:d::1")
CN: Final = ip("2001:db8:c::1")
HOME_PREFIX: Final = "2001:db8:0:1::/64"
HA_MAC: Final = bytes.fromhex("020000000001")
MN_MAC: Final = bytes.fromhex("020000000101")
ALL_NODES: Final = ip("ff02::1")

A_H: Final = 0xC000
LINK_LOCAL: Final = 0x2000
KEY_MANAGEMENT: Final = 0x1000
ROUTER: Final = 0x0400
OVERWRITE: Final = 0x0040


def make_config(*nodes: NodeProvision, network: dict[str, Any] | None = None, **changes: Any) -> HomeAgentConfig:
    """Return a configuration: without nodes, `HOA` and `HOA2` are provisioned with the defaults."""
    provisions = nodes or (NodeProvision(Address(HOA)), NodeProvision(Address(HOA2)))
    home = HomeNetwork(Prefix.parse(HOME_PREFIX), Address(HA), **(network or {}))
    config = HomeAgentConfig((home,), {one.home_address: one for one in provisions})
    return replace(config, **changes)


class Bed:
    """A home agent, its clock, and what came out of it.

    Transactions are committed as soon as they are proposed, unless `hold` is set.
    """

    def __init__(
        self, config: HomeAgentConfig | None = None, *, security: SecurityContext | None = None, **changes: Any
    ) -> None:
        self.engine_config = config or make_config(**changes)
        self.engine = HomeAgent(self.engine_config, security=security)
        self.now = 1000.0
        self.hold = False
        self.held: list[int] = []
        self.frames: list[LinkPacket] = []
        self._sequence = 0

    # In

    def send(self, packet: bytes, *, mac: bytes | None = None) -> list[Seen]:
        """Give the home agent a packet; return what it sent. With `mac`, it came in on the home link from there."""
        self.engine.receive(packet, self.now, link=None if mac is None else LinkInfo(mac))
        return self.settle()

    def settle(self) -> list[Seen]:
        """Commit what is proposed; return what the home agent sent by way of the routes."""
        while proposed := self.engine.transactions():
            self.held += [transaction.number for transaction in proposed]
            if self.hold:
                break
            self.release()
        self.frames += self.engine.link_outbox()
        return [parse(packet) for packet in self.engine.outbox()]

    def release(self) -> None:
        """Commit what is held."""
        held, self.held = self.held, []
        for number in held:
            self.engine.commit(number, self.now)

    def advance(self, seconds: float) -> list[Seen]:
        """Let time pass, timer by timer; return what the home agent sent."""
        end = self.now + seconds
        seen: list[Seen] = []
        while (when := self.engine.next_timer()) is not None and when <= end:
            self.now = max(self.now, when)
            self.engine.handle_timer(self.now)
            seen += self.settle()
        self.now = end
        return seen

    def on_link(self) -> list[LinkPacket]:
        """Return what was sent on the home link since the last call."""
        self.frames += self.engine.link_outbox()
        frames, self.frames = self.frames, []
        return frames

    # Binding Updates

    def next_sequence(self) -> int:
        """Return the next sequence number."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        return self._sequence

    def update(
        self,
        *options: Option,
        sequence: int | None = None,
        flags: int = A_H,
        lifetime: int = 60,
        source: bytes = COA1,
        home: bytes = HOA,
        option: bool = True,
        reserved: int = 0,
        payload: int = 59,
    ) -> bytes:
        """Return a Binding Update packet; without `option`, it has no Home Address option."""
        if sequence is None:
            sequence = self.next_sequence()
        body = packets.update(sequence, options, flags=flags, lifetime=lifetime)
        header = packets.mobility(5, body, home if option else source, HA, reserved=reserved, payload=payload)
        if not option:
            return packets.ipv6(source, HA, packets.MOBILITY, header)
        return packets.ipv6(source, HA, packets.DESTINATION_OPTIONS, packets.with_hao(home, packets.MOBILITY, header))

    def register(self, *options: Option, mac: bytes | None = None, **details: Any) -> Ack:
        """Send a Binding Update; return its one acknowledgement."""
        answers = acks(self.send(self.update(*options, **details), mac=mac))
        assert len(answers) == 1, answers
        return answers[0]

    def silence(self, packet: bytes, **details: Any) -> None:
        """Send a packet that must change nothing and get no answer."""
        before = self.bindings()
        assert self.send(packet, **details) == []
        assert self.on_link() == []
        assert self.bindings() == before

    # Probes that need no look inside: section 8.1 of the digest

    def echo(self, source: bytes, home: bytes = HOA) -> Seen:
        """Send an Echo Request with a Home Address option; return the answer."""
        body = packets.icmp(128, 0, bytes(8), home, HA)
        packet = packets.with_hao(home, packets.ICMPV6, body)
        (answer,) = self.send(packets.ipv6(source, HA, packets.DESTINATION_OPTIONS, packet))
        return answer

    def bound(self, source: bytes = COA1, home: bytes = HOA) -> bool:
        """Tell by an Echo Request from there whether the home address has that care-of address."""
        answer = self.echo(source, home)
        if answer.protocol == packets.ICMPV6:
            assert answer.kind == 129
            assert (answer.destination, answer.routing) == (source, home)
            return True
        assert answer.protocol == packets.MOBILITY
        assert (answer.kind, answer.payload[6]) == (7, 1)
        return False

    def tunnelled_to(self, destination: bytes, source: bytes = CN) -> bytes | None:
        """Return the care-of address to which the home agent tunnels a packet; None if it does not."""
        inner = packets.ipv6(source, destination, 17, bytes(16))
        outer = [one for one in self.send(inner) if one.protocol == packets.IPV6]
        assert all(one.source == HA and one.payload[8:40] == source + destination for one in outer)
        return outer[0].destination if outer else None

    def bindings(self) -> dict[tuple[bytes, int], bytes]:
        """Return the care-of address of each (home address, BID) in force."""
        return {
            (bytes(record.home_address), binding.bid): bytes(binding.care_of)
            for record in self.engine.records()
            for binding in record.bindings
        }

    def care_of(self, home: bytes = HOA) -> dict[int, bytes]:
        """Return the care-of address of each BID of one node."""
        return {number: care_of for (owner, number), care_of in self.bindings().items() if owner == home}


def on_real_link(*nodes: NodeProvision, home_binding: HomeBinding = HomeBinding.REFUSE, **changes: Any) -> Bed:
    """Return a home agent on a link with other hosts."""
    network = {"link": LinkKind.REAL, "mac": HA_MAC, "home_binding": home_binding}
    return Bed(make_config(*nodes, network=network, **changes))


def acks(seen: Iterable[Seen]) -> list[Ack]:
    """Return the Binding Acknowledgements among packets."""
    return [acknowledgement(one) for one in seen if one.protocol == packets.MOBILITY and one.kind == 6]
