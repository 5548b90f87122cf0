"""The mobile node's end of its security association: proves what it sends, and believes the home agent only when that does.

| policy | an answer | what happens |
|---|---|---|
| none | any | believed |
| auth | without authenticator, with a wrong one, or out of order | ignored |
| auth | with another timestamp than the one that was sent | ignored |
| auth | status 144, with the low half of ours | the clock is set by the high half, if that changes anything |
| esp | not in ESP, not genuine, or a replay | ignored |
"""

import hmac
from typing import Final

from controller.mobility.address import Address
from controller.mobility.security.authentication import (
    Signable,
    find_authenticators,
    home_agent_authenticator,
    sign,
    with_options,
)
from controller.mobility.security.esp import EspError, EspReceiver, EspSender, make_transform
from controller.mobility.security.esp_packet import open_packet, seal_packet
from controller.mobility.security.policy import AuthPolicy, EspPolicy, NoSecurity, SecurityContext, SecurityPolicy
from controller.mobility.security.replay import NTP_EPOCH, to_ntp
from controller.mobility.wire.codes import AuthenticationSubtype, IdentifierSubtype, Protocol, Status
from controller.mobility.wire.control_messages import RevocationAcknowledgement
from controller.mobility.wire.messages import BindingAcknowledgement, BindingUpdate
from controller.mobility.wire.options import AlternateCareOf, BindingIdentifier, MessageIdentifier, MobileNodeIdentifier
from controller.mobility.wire.packet import Packet, decode_packet, encode_packet, wrap_upper

LEAST_CORRECTION: Final = 1.0
"""Seconds below which a home agent's clock, told in whole seconds, says nothing new."""
_LOW_HALF: Final = 0xFFFFFFFF


class UnprovedError(Exception):
    """A packet that did not come from the home agent, or came before. Its text says why."""


class NodeGuard:
    """Proves and checks what a mobile node exchanges with its home agent.

    The policy belongs to the home address: whichever home agent of the home network serves the node has the same keys.

    Raises:
        ValueError: there is a policy, but no `context`.
    """

    def __init__(self, policy: SecurityPolicy, home_address: Address, context: SecurityContext | None) -> None:
        if context is None and not isinstance(policy, NoSecurity):
            raise ValueError("a security policy needs a SecurityContext with clock and randomness")
        self._policy: Final = policy
        self._home_address: Final = home_address
        self._offset = context.clock_offset if context is not None else 0.0
        self._last_timestamp = 0
        self._sender: EspSender | None = None
        self._receiver: EspReceiver | None = None
        if isinstance(policy, EspPolicy) and context is not None:
            self._sender = EspSender(policy.from_node.spi, make_transform(policy.from_node, context.random_bytes))
            self._receiver = EspReceiver(make_transform(policy.to_node, context.random_bytes), policy.replay_window)

    # Out

    def encode(self, update: BindingUpdate, care_of: Address, home_agent: Address, now: float) -> bytes:
        """Return the packet of a Binding Update from a care-of address.

        Raises:
            SequenceExhaustedError: the association is used up.
        """
        home_address = self._home_address
        if isinstance(self._policy, AuthPolicy):
            header = self._sign(self._policy, update, care_of, home_agent, now)
            return wrap_upper(care_of, home_agent, Protocol.MOBILITY, header, home_address=home_address)
        if self._sender is not None:
            named = any(isinstance(option, BindingIdentifier | AlternateCareOf) for option in update.options)
            if not named and update.lifetime_units:
                # RFC 6275 section 11.7.1: ESP does not cover the source address, so the care-of address has to be inside.
                update = with_options(update, AlternateCareOf(care_of))
            packet = encode_packet(care_of, home_agent, update, home_address=home_address)
            return seal_packet(self._sender, packet, now + self._offset)
        return encode_packet(care_of, home_agent, update, home_address=home_address)

    def encode_answer(
        self, message: RevocationAcknowledgement, care_of: Address, home_agent: Address, now: float
    ) -> bytes:
        """Return the packet of a Binding Revocation Acknowledgement from a care-of address (RFC 5846 section 8).

        Raises:
            SequenceExhaustedError: the association is used up.
        """
        home_address = self._home_address
        if isinstance(self._policy, AuthPolicy):
            header = self._sign(self._policy, message, care_of, home_agent, now)
            return wrap_upper(care_of, home_agent, Protocol.MOBILITY, header, home_address=home_address)
        return self.seal(encode_packet(care_of, home_agent, message, home_address=home_address), now)

    def seal(self, packet: bytes, now: float) -> bytes:
        """Return any packet for the home agent, in ESP where that is the policy.

        Raises:
            SequenceExhaustedError: the association is used up.
        """
        return packet if self._sender is None else seal_packet(self._sender, packet, now + self._offset)

    def _sign(self, policy: AuthPolicy, update: Signable, care_of: Address, home_agent: Address, now: float) -> bytes:
        if policy.node_identifier is not None:
            kind = IdentifierSubtype.NETWORK_ACCESS_IDENTIFIER
            update = with_options(update, MobileNodeIdentifier(kind, policy.node_identifier))
        if policy.timestamps:
            # Later than all before, also when the clock was set back in between (RFC 4285 section 6).
            self._last_timestamp = max(self._last_timestamp + 1, to_ntp(now + self._offset))
            update = with_options(update, MessageIdentifier(self._last_timestamp))
        return sign(
            update,
            policy.key,
            policy.spi,
            care_of,
            self._home_address,
            home_agent,
            from_home_agent=False,
            aaa_key=policy.aaa_key,
        )

    # In

    def open(self, octets: bytes, packet: Packet) -> tuple[bytes, Packet]:
        """Return a packet as it would be without ESP; one that is not in ESP as it is.

        Raises:
            UnprovedError: it is in ESP that is not genuine, or that there is no association for.
            WireError: what ESP carried is malformed.
        """
        if packet.protocol != Protocol.ESP:
            return octets, packet
        end = 40 + int.from_bytes(octets[4:6])
        spi = int.from_bytes(octets[packet.payload : min(packet.payload + 4, end)])
        if self._receiver is None or not isinstance(self._policy, EspPolicy) or spi != self._policy.to_node.spi:
            raise UnprovedError(f"ESP with SPI {spi}, for which there is no association")
        try:
            clear = open_packet(self._receiver, octets, packet.payload, end)
        except EspError as error:
            raise UnprovedError(f"ESP: {error}") from None
        return clear, decode_packet(clear)

    def check(self, octets: bytes, packet: Packet, *, in_esp: bool) -> None:
        """Check the proof of a Mobility Header message from the home agent.

        Raises:
            UnprovedError: it lacks the proof that the policy asks for.
        """
        if isinstance(self._policy, EspPolicy) and not in_esp:
            raise UnprovedError("not in ESP")
        if isinstance(self._policy, AuthPolicy):
            end = 40 + int.from_bytes(octets[4:6])
            self._check_authenticator(self._policy, packet, octets[packet.payload : end])

    def _check_authenticator(self, policy: AuthPolicy, packet: Packet, header: bytes) -> None:
        found = find_authenticators(header)
        mine = next((one for one in found or () if one.option.subtype == AuthenticationSubtype.HOME_AGENT), None)
        if mine is None or mine.option.spi != policy.spi:
            raise UnprovedError("no authenticator under our SPI")
        care_of, home_address = packet.destination, self._home_address
        expected = home_agent_authenticator(policy.key, header, mine.covered, care_of, home_address)
        if not hmac.compare_digest(expected, mine.option.authenticator):
            raise UnprovedError("a wrong authenticator")

    def check_timestamp(self, answer: BindingAcknowledgement) -> None:
        """Check that an answer, which is proved, answers the Binding Update that was sent last.

        Raises:
            UnprovedError: it answers another, so it may be a replay.
        """
        if not isinstance(self._policy, AuthPolicy) or not self._policy.timestamps:
            return
        timestamp = _timestamp(answer)
        if answer.status == Status.MESSAGE_IDENTIFIER_REQUIRED and timestamp is None:
            return
        relevant = _LOW_HALF if answer.status == Status.IDENTIFICATION_MISMATCH else (1 << 64) - 1
        if timestamp is None or (timestamp ^ self._last_timestamp) & relevant:
            raise UnprovedError("the timestamp of another Binding Update")

    def set_clock(self, answer: BindingAcknowledgement, now: float) -> bool:
        """Go by the home agent's clock from now on (RFC 4285 section 6, status 144); tell whether that changes anything.

        It does not when the home agent refused a copy of a message that it had accepted.
        """
        timestamp = _timestamp(answer)
        if timestamp is None:
            return False
        offset = (timestamp >> 32) + 0.5 - NTP_EPOCH - now  # it told whole seconds: half a second more is nearest
        if abs(offset - self._offset) < LEAST_CORRECTION:
            return False
        self._offset = offset
        self._last_timestamp = 0  # what it refused does not count as later than what it will accept
        return True


def _timestamp(answer: BindingAcknowledgement) -> int | None:
    return next((option.timestamp for option in answer.options if isinstance(option, MessageIdentifier)), None)
