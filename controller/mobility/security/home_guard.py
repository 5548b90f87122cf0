"""Decides whether a message is proved to come from the node whose home address it names.

This comes before anything else that looks at a Binding Update: what is not proved neither waits for its turn, nor takes a
sequence number, nor touches a binding. RFC 4285 section 5 and RFC 3776 section 4.1 say what happens to it instead:

| policy | what came | what happens |
|---|---|---|
| none | no authenticator | passes |
| none | an authenticator | dropped: there is no association for it |
| auth | none, or only for the AAA server | dropped |
| auth | authenticators out of order | dropped |
| auth | an unknown SPI | dropped |
| auth | a wrong authenticator, or another node identifier | 146 |
| auth | right, without timestamp | 145 |
| auth | right, with an old timestamp, or one far from the clock | 144 |
| auth | right and fresh | passes |
| esp | not in ESP | dropped |
| esp | in ESP of another node's key | dropped, before it is decrypted |
| esp | not genuine, or a replay | dropped |
| esp | genuine and new | passes |
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from controller.mobility.address import Address
from controller.mobility.events import DropReason
from controller.mobility.model import ReplayMark
from controller.mobility.provision import NodeProvision
from controller.mobility.security.authentication import (
    HMAC_SHA1_SPI,
    Authenticator,
    aaa_authenticator,
    find_authenticators,
    home_agent_authenticator,
)
from controller.mobility.security.esp import EspError, EspReceiver, EspSender, make_transform
from controller.mobility.security.esp_packet import open_packet
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    NO_SECURITY,
    AuthPolicy,
    EspPolicy,
    NoSecurity,
    SecurityContext,
    SecurityPolicy,
)
from controller.mobility.security.protection import UNPROTECTED, Authenticated, InEsp, Protection
from controller.mobility.security.replay import TimestampGuard, to_ntp
from controller.mobility.timing import TokenBucket
from controller.mobility.wire.codes import AuthenticationSubtype, OptionType, Status
from controller.mobility.wire.errors import WireError
from controller.mobility.wire.messages import Message
from controller.mobility.wire.options import MessageIdentifier, MobileNodeIdentifier
from controller.mobility.wire.packet import Packet, decode_packet
from controller.values import value

REFUSAL_RATE: Final = 100.0
"""Answers a second to Binding Updates that are not proved: whoever floods the home agent must not make it flood others."""
REFUSAL_BURST: Final = 200

_LOW_HALF: Final = 0xFFFFFFFF
_AUTHENTICATION: Final = int(OptionType.AUTHENTICATION)


@value
class Verdict:
    """A message that gets an answer."""

    protection: Protection
    """How to answer."""
    status: Status | None = None
    """With what to refuse it; None: it is proved."""


PASSED: Final = Verdict(UNPROTECTED)
"""Of a message that needs no proof."""


@dataclass(slots=True)
class _Authenticating:
    """A node under RFC 4285."""

    policy: AuthPolicy
    timestamps: TimestampGuard


@dataclass(slots=True)
class _Encrypting:
    """A node under ESP."""

    home_address: Address
    receiver: EspReceiver
    sender: EspSender
    key: Key
    """Of the node's direction."""


class HomeGuard:
    """The security associations of a home agent with its nodes, and what they have accepted so far.

    Raises:
        ValueError: two nodes use the same SPI for ESP, or a node has a policy and there is no `context`.
    """

    def __init__(self, nodes: Mapping[Address, NodeProvision], context: SecurityContext | None) -> None:
        self._nodes: Final[dict[Address, _Authenticating | _Encrypting]] = {}
        self._inbound: Final[dict[int, _Encrypting]] = {}
        self._policies: Final[dict[Address, SecurityPolicy]] = {}
        self._context: Final = context
        self._offset: Final = context.clock_offset if context is not None else 0.0
        self._refusals: Final = TokenBucket(REFUSAL_RATE, REFUSAL_BURST)
        for home_address, provision in nodes.items():
            self.set(home_address, provision.security)

    def set(self, home_address: Address, policy: SecurityPolicy) -> None:
        """Have a node prove itself by a policy; one that it has already keeps what it remembers of replays.

        Raises:
            ValueError: another node uses the SPI, or there is no context; nothing changed.
        """
        if self._policies.get(home_address, NO_SECURITY) == policy:
            return
        if isinstance(policy, NoSecurity):
            self._forget(home_address)
            return
        if self._context is None:
            raise ValueError(
                "a node has a security policy: the engine needs a SecurityContext with clock and randomness"
            )
        if isinstance(policy, AuthPolicy):
            self._forget(home_address)
            self._nodes[home_address] = _Authenticating(policy, TimestampGuard(policy.window))
        else:
            self._add_esp(home_address, policy, self._context)
        self._policies[home_address] = policy

    def spi_owner(self, spi: int) -> Address | None:
        """Return which node sends ESP under an SPI; None: nobody."""
        node = self._inbound.get(spi)
        return None if node is None else node.home_address

    # Across a restart

    def mark(self, home_address: Address) -> ReplayMark | None:
        """Return how far the proofs of a node have come; None: there is nothing to remember."""
        node = self._nodes.get(home_address)
        if node is None:
            return None
        if isinstance(node, _Authenticating):
            last, key = node.timestamps.last, node.policy.key
        else:
            last, key = node.receiver.window.highest or None, node.key
        return None if last is None else ReplayMark(home_address, key.fingerprint(), last)

    def resume(self, marks: Iterable[ReplayMark]) -> None:
        """Take over how far an earlier engine's nodes had come, as far as they have the same keys."""
        for mark in marks:
            node = self._nodes.get(mark.home_address)
            if isinstance(node, _Authenticating) and node.policy.key.fingerprint() == mark.association:
                node.timestamps.resume(mark.value)
            elif isinstance(node, _Encrypting) and node.key.fingerprint() == mark.association:
                node.receiver.window.resume(mark.value)

    def _forget(self, home_address: Address) -> None:
        policy = self._policies.pop(home_address, None)
        self._nodes.pop(home_address, None)
        if isinstance(policy, EspPolicy):
            self._inbound.pop(policy.from_node.spi, None)

    def _add_esp(self, home_address: Address, policy: EspPolicy, context: SecurityContext) -> None:
        spi = policy.from_node.spi
        if spi in self._inbound and self._inbound[spi].home_address != home_address:
            raise ValueError(f"two nodes use SPI {spi} towards the home agent: each needs one of its own")
        node = _Encrypting(
            home_address,
            EspReceiver(make_transform(policy.from_node, context.random_bytes), policy.replay_window),
            EspSender(policy.to_node.spi, make_transform(policy.to_node, context.random_bytes)),
            policy.from_node.key,
        )
        self._forget(home_address)
        self._nodes[home_address] = self._inbound[spi] = node

    # ESP

    def open(self, octets: bytes, packet: Packet) -> tuple[bytes, Packet] | DropReason:
        """Return what an ESP packet carries, as the packet that it would be without ESP.

        The SPI names the node, and the home address that the packet names has to be the one of that node (RFC 4877 section
        4.2): the key decides who speaks, never the packet.

        Args:
            octets: The whole IPv6 packet.
            packet: The same, decoded down to ESP.
        """
        end = 40 + int.from_bytes(octets[4:6])
        node = self._inbound.get(int.from_bytes(octets[packet.payload : packet.payload + 4]))
        if node is None or end - packet.payload < 4:
            return DropReason.NO_SECURITY_ASSOCIATION
        if node.home_address != (packet.home_address or packet.source):
            return DropReason.FOREIGN_ASSOCIATION
        try:
            clear = open_packet(node.receiver, octets, packet.payload, end)
            return clear, decode_packet(clear)
        except EspError as error:
            return DropReason.REPLAYED if str(error) == "replay" else DropReason.INTEGRITY
        except WireError:
            return DropReason.MALFORMED  # without a report: that would quote what was encrypted

    # Everything that came

    def verify(self, packet: Packet, octets: bytes, now: float, *, in_esp: bool) -> Verdict | DropReason:
        """Tell whether a message is proved to come from its home address, and how to answer.

        Args:
            packet: The packet, after `open` if it was in ESP.
            octets: The same as it came.
            now: Seconds of the engine's clock.
            in_esp: Whether it came in ESP, which `open` has verified.
        """
        node = self._nodes.get(packet.home_address or packet.source)
        if isinstance(node, _Encrypting):
            return Verdict(InEsp(node.sender, now + self._offset)) if in_esp else DropReason.UNPROTECTED
        message = packet.message
        if node is None:
            for option in () if message is None else message.options:
                if option.type == _AUTHENTICATION:
                    return DropReason.NO_SECURITY_ASSOCIATION
            return PASSED
        if message is None:
            return PASSED  # RFC 4285 is about Mobility Headers only
        verdict = self._authenticate(node, packet, message, packet.upper(octets), now)
        if isinstance(verdict, Verdict) and verdict.status is not None and not self._refusals.take(now):
            return DropReason.REFUSAL_RATE
        return verdict

    def protection(self, home_address: Address, now: float) -> Protection:
        """Return how a message that the home agent sends of its own accord is protected."""
        node = self._nodes.get(home_address)
        if node is None:
            return UNPROTECTED
        if isinstance(node, _Encrypting):
            return InEsp(node.sender, now + self._offset)
        return Authenticated(node.policy, to_ntp(now + self._offset))

    # RFC 4285

    def _authenticate(
        self,
        node: _Authenticating,
        packet: Packet,
        message: Message,
        header: bytes,
        now: float,
    ) -> Verdict | DropReason:
        """Apply RFC 4285 section 5.1.1, then section 6."""
        found = find_authenticators(header)
        if found is None:
            return DropReason.SECURITY_OPTIONS
        subtypes = {one.option.subtype: one for one in found}
        policy = node.policy
        mine = subtypes.get(AuthenticationSubtype.HOME_AGENT)
        aaa = subtypes.get(AuthenticationSubtype.AAA_SERVER)
        if mine is None or (aaa is None and policy.aaa_key is not None):
            return DropReason.UNPROTECTED
        if mine.option.spi != policy.spi:
            return DropReason.NO_SECURITY_ASSOCIATION  # RFC 4285 section 5.1.1: 146 only where there is one
        sent = next((one.timestamp for one in message.options if isinstance(one, MessageIdentifier)), None)
        if not _is_genuine(policy, mine, aaa, packet, header) or not _is_named(policy, message):
            return Verdict(Authenticated(policy, sent), Status.AUTHENTICATION_FAILED)
        if sent is None:
            status = Status.MESSAGE_IDENTIFIER_REQUIRED if policy.timestamps else None
            return Verdict(Authenticated(policy), status)
        return self._check_timestamp(node, sent, to_ntp(now + self._offset))

    @staticmethod
    def _check_timestamp(node: _Authenticating, sent: int, clock: int) -> Verdict:
        if not node.timestamps.accept(sent, clock):
            # RFC 4285 section 6: low half from the Binding Update, high half from our clock.
            answer = clock & ~_LOW_HALF | sent & _LOW_HALF
            return Verdict(Authenticated(node.policy, answer), Status.IDENTIFICATION_MISMATCH)
        return Verdict(Authenticated(node.policy, sent))


def _is_genuine(
    policy: AuthPolicy,
    mine: Authenticator,
    aaa: Authenticator | None,
    packet: Packet,
    header: bytes,
) -> bool:
    """Tell whether the authenticators are what the keys make of the message."""
    care_of, home_address = packet.source, packet.home_address or packet.source
    expected = home_agent_authenticator(policy.key, header, mine.covered, care_of, home_address)
    if not hmac.compare_digest(expected, mine.option.authenticator):
        return False
    if policy.aaa_key is None or aaa is None:
        return True
    expected = aaa_authenticator(policy.aaa_key, header, aaa.covered, care_of, home_address)
    return aaa.option.spi == HMAC_SHA1_SPI and hmac.compare_digest(expected, aaa.option.authenticator)


def _is_named(policy: AuthPolicy, message: Message) -> bool:
    """Tell whether the node identifiers of a message, if any, are that of the node."""
    if policy.node_identifier is None:
        return True
    return all(
        (option.subtype, option.identifier) == (1, policy.node_identifier)
        for option in message.options
        if isinstance(option, MobileNodeIdentifier)
    )
