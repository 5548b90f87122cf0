"""What a `HomeAgent` reports to whoever drives it. For people and metrics: nothing depends on them being read."""

from enum import StrEnum

from controller.mobility.address import Address
from controller.mobility.model import Transaction
from controller.values import value


class DropReason(StrEnum):
    """Why a packet got no answer, or why a message was not sent."""

    MALFORMED = "malformed"
    NOT_FOR_US = "not_for_us"
    """The destination is no home agent address of ours."""
    ROUTING_HEADER = "routing_header"
    """A type 2 routing header with a segment left: it would lead to a home address of the home agent itself."""
    NOT_SIGNALLING = "not_signalling"
    """No Mobility Header."""
    UNKNOWN_MESSAGE = "unknown_message"
    """A Mobility Header type that we do not process; answered with a Binding Error."""
    NOT_A_CORRESPONDENT = "not_a_correspondent"
    """Return routability or a correspondent registration (H clear): this home agent has no correspondent role."""
    UNEXPECTED_MESSAGE = "unexpected_message"
    """A message that a home agent sends but does not take, or takes no interest in."""
    HOME_ADDRESS = "home_address"
    """The home address is not unicast routable."""
    CARE_OF_ADDRESS = "care_of_address"
    """The source or the alternate care-of address is not unicast routable."""
    NONCE_INDICES = "nonce_indices"
    """A home registration with Nonce Indices."""
    UNKNOWN_BINDING = "unknown_binding"
    """A Home Address option without a binding of that care-of address; answered with a Binding Error."""
    NO_HOME_ADDRESS_OPTION = "no_home_address_option"
    """A registration without Home Address option, or a removal from away without it."""
    DUPLICATE = "duplicate"
    """The same Binding Update again while it is being processed."""
    WAITING_FULL = "waiting_full"
    """Too many different Binding Updates of one node while one is being processed."""
    IN_FLIGHT_FULL = "in_flight_full"
    """Too many nodes with a transaction under way."""
    UNPROTECTED = "unprotected"
    """A message of a node that has to prove what it says, without the protection that its security policy asks for."""
    NO_SECURITY_ASSOCIATION = "no_security_association"
    """Protected under an SPI that is unknown, or unknown for that home address."""
    FOREIGN_ASSOCIATION = "foreign_association"
    """In ESP under the key of one node, with the home address of another."""
    SECURITY_OPTIONS = "security_options"
    """Authentication options that are not the last ones, or in a wrong order (RFC 4283 section 3.2, RFC 4285 section 5)."""
    INTEGRITY = "integrity"
    """ESP that is not genuine."""
    REPLAYED = "replayed"
    """ESP whose sequence number came before, or is too old."""
    REFUSAL_RATE = "refusal_rate"
    """A Binding Update that was not proved got no answer because too many did."""
    SEQUENCE_EXHAUSTED = "sequence_exhausted"
    """An answer was not sent: its security association has used all sequence numbers and needs a new key."""
    ERROR_RATE = "error_rate"
    """An error message was not sent because too many were."""
    NOT_GENUINE = "not_genuine"
    """A correspondent registration with a wrong authenticator, or without one."""
    SOURCE_RATE = "source_rate"
    """Too many packets from one source address."""
    PATH_MTU = "path_mtu"
    """A packet too big message whose packet was not too big, or one of too many."""
    OUTBOX_FULL = "outbox_full"
    """A packet was not sent because nobody took the earlier ones."""


@value
class Committed:
    """A change is in force; its Binding Acknowledgement, if any, is in the outbox."""

    transaction: Transaction


@value
class Aborted:
    """A change was undone."""

    transaction: Transaction
    status: int
    """What the node was told; for an expiry nobody is told, and it is tried again."""


@value
class Refused:
    """A Binding Update was answered with a status of 128 or more."""

    home_address: Address
    source: Address
    status: int


@value
class RefusedInPart:
    """A Binding Update was accepted, but not for all of its BIDs (RFC 5648 section 6.2). Comes after its `Committed`."""

    home_address: Address
    source: Address
    statuses: tuple[tuple[int, int], ...]
    """Each BID that was refused, with its status of 128 or more."""


@value
class Dropped:
    """A packet was dropped without a Binding Acknowledgement."""

    reason: DropReason
    source: Address | None
    """IPv6 source, where the packet had one."""
    detail: str = ""


@value
class Revoked:
    """A revocation is over (RFC 5846)."""

    home_address: Address
    bids: tuple[int, ...]
    """What is gone; without those that the node renewed meanwhile."""
    status: int | None
    """What the node answered; None: nothing."""


Event = Committed | Aborted | Refused | RefusedInPart | Dropped | Revoked
