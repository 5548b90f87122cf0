"""How a message leaves towards a mobile node: as it is, with an authenticator, or in ESP."""

from collections.abc import Callable
from typing import Final, TypeAlias

from controller.mobility.address import Address
from controller.mobility.security.authentication import Signable, sign, with_options
from controller.mobility.security.esp import EspSender
from controller.mobility.security.esp_packet import seal_packet
from controller.mobility.security.policy import AuthPolicy
from controller.mobility.wire.codes import Protocol
from controller.mobility.wire.options import MessageIdentifier
from controller.mobility.wire.packet import encode_packet, wrap_upper
from controller.values import value


@value
class Unprotected:
    """Nothing is added."""

    def encode(
        self, source: Address, destination: Address, message: Signable, routing_address: Address | None = None
    ) -> bytes:
        """Return the packet; for the arguments see `wire.packet.encode_packet`."""
        return encode_packet(source, destination, message, routing_address=routing_address)

    def seal(self, packet: bytes) -> bytes:
        """Return any packet for the node, protected."""
        return packet


@value
class Authenticated:
    """RFC 4285: the timestamp that answers the node's, then the MN-HA authenticator."""

    policy: AuthPolicy
    timestamp: int | None = None
    """For the replay protection option; None: the Binding Update had none."""

    def encode(
        self, source: Address, destination: Address, message: Signable, routing_address: Address | None = None
    ) -> bytes:
        """Return the packet; for the arguments see `wire.packet.encode_packet`."""
        if self.timestamp is not None:
            message = with_options(message, MessageIdentifier(self.timestamp))
        policy, home_address = self.policy, routing_address or destination
        header = sign(message, policy.key, policy.spi, destination, home_address, source, from_home_agent=True)
        return wrap_upper(source, destination, Protocol.MOBILITY, header, routing_address=routing_address)

    def seal(self, packet: bytes) -> bytes:
        """Return any packet for the node: RFC 4285 protects Mobility Headers only."""
        return packet


@value
class InEsp:
    """ESP in transport mode."""

    sender: EspSender
    unix: float
    """Seconds since 1970 when this was decided."""

    def encode(
        self, source: Address, destination: Address, message: Signable, routing_address: Address | None = None
    ) -> bytes:
        """Return the packet; for the arguments see `wire.packet.encode_packet`.

        Raises:
            SequenceExhaustedError: the association is used up.
        """
        return self.seal(encode_packet(source, destination, message, routing_address=routing_address))

    def seal(self, packet: bytes) -> bytes:
        """Return any packet for the node, its upper-layer message in ESP.

        Raises:
            SequenceExhaustedError: the association is used up.
        """
        return seal_packet(self.sender, packet, self.unix)


Protection = Unprotected | Authenticated | InEsp
UNPROTECTED: Final = Unprotected()
ProtectionView: TypeAlias = Callable[[Address, float], Protection]
"""Answers how a message to a home address is protected now."""
