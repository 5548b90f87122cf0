"""The correspondent node (RFC 6275 section 9, RFC 5648 section 6): it believes care-of addresses that proved to be reachable.

It keeps no state for a node before that has proved itself: the tokens it hands out can be made again from a secret, the node's
address and a nonce that is changed every half minute.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from controller.mobility.address import Address, is_routable_unicast
from controller.mobility.events import DropReason, Event
from controller.mobility.model import NO_BID, Binding, NodeRecord, is_newer
from controller.mobility.nonces import Nonces
from controller.mobility.outlet import Outlet
from controller.mobility.parts import Inbound, Part
from controller.mobility.request import in_force
from controller.mobility.return_routability import (
    MAX_BINDING_LIFETIME,
    MAX_NONCE_LIFETIME,
    care_of_token,
    home_token,
    is_genuine,
    management_key,
    sign,
)
from controller.mobility.timing import Deadlines
from controller.mobility.wire.codes import LIFETIME_UNIT, OptionType, Status, UpdateFlag
from controller.mobility.wire.errors import WireError
from controller.mobility.wire.messages import (
    BindingAcknowledgement,
    BindingUpdate,
    CareOfTest,
    CareOfTestInit,
    HomeTest,
    HomeTestInit,
)
from controller.mobility.wire.options import AlternateCareOf, BindingIdentifier, NonceIndices, RawOption
from controller.mobility.wire.packet import decode_packet, encode_packet
from controller.values import value

SECRET_OCTETS: Final = 20
"""Of Kcn (RFC 6275 section 5.2.1)."""


@value
class _Claim:
    """A Binding Update to a correspondent, taken apart."""

    source: Address
    correspondent: Address
    home_address: Address
    has_home_option: bool
    update: BindingUpdate
    header: bytes
    identifiers: tuple[BindingIdentifier, ...]
    malformed: bool
    """A BID option of an illegal length."""
    indices: NonceIndices
    care_of: Address
    """What it registers or removes."""

    @property
    def removal(self) -> bool:
        """RFC 6275 section 9.5.1: no lifetime, or a care-of address that is the home address."""
        return not self.update.lifetime_units or self.care_of == self.home_address

    @property
    def bid(self) -> int:
        return self.identifiers[0].bid if self.identifiers else NO_BID


class CorrespondentPart(Part):
    """The correspondent role within something that receives packets and owns an outlet."""

    def __init__(self, outlet: Outlet, random_bytes: Callable[[int], bytes], max_bindings: int) -> None:
        self._outlet: Final = outlet
        self._secret: Final = random_bytes(SECRET_OCTETS)
        self._nonces: Final = Nonces(random_bytes)
        self._max_bindings: Final = max_bindings
        self._records: Final[dict[Address, NodeRecord]] = {}
        self._load = 0
        self._deadlines: Final = Deadlines()

    def record(self, home_address: Address, now: float) -> NodeRecord | None:
        """Return what is known of a node: where to send its packets."""
        return in_force(self._records.get(home_address), now)

    def records(self) -> Iterator[NodeRecord]:
        """Return all that is known, remembered sequence numbers included."""
        return iter(tuple(self._records.values()))

    # Tests

    def on_home_test_init(self, inbound: Inbound) -> None:
        """Answer with a home keygen token, to the home address (RFC 6275 section 9.4.1)."""
        packet, message = inbound.packet, inbound.packet.message
        assert isinstance(message, HomeTestInit)
        if self._is_testable(inbound):
            index, nonce = self._nonces.current(inbound.now)
            token = home_token(self._secret, packet.source, nonce)
            answer = HomeTest(index, message.cookie, token)
            self._outlet.send(encode_packet(packet.destination, packet.source, answer))

    def on_care_of_test_init(self, inbound: Inbound) -> None:
        """Answer with a care-of keygen token, to the care-of address (RFC 6275 section 9.4.2).

        A BID option comes back without care-of address (RFC 5648 section 4.3); one of an illegal form with status 164.
        """
        packet, message = inbound.packet, inbound.packet.message
        assert isinstance(message, CareOfTestInit)
        if self._is_testable(inbound):
            index, nonce = self._nonces.current(inbound.now)
            token = care_of_token(self._secret, packet.source, nonce)
            options = tuple(
                BindingIdentifier(
                    option.bid,
                    None,
                    option.priority,
                    Status.MCOA_MALFORMED if option.care_of is not None or not option.bid or option.at_home else 0,
                    option.at_home,
                )
                for option in message.options
                if isinstance(option, BindingIdentifier)
            )
            self._outlet.send(
                encode_packet(packet.destination, packet.source, CareOfTest(index, message.cookie, token, options))
            )

    def _is_testable(self, inbound: Inbound) -> bool:
        packet = inbound.packet
        if packet.home_address is None and is_routable_unicast(packet.source):
            return True
        # RFC 6275 sections 9.4.1 and 9.4.2: a test with a Home Address option is dropped.
        self._outlet.drop(DropReason.HOME_ADDRESS, packet.source)
        return False

    # Binding Updates

    def on_update(self, inbound: Inbound) -> None:
        """Take a correspondent registration (RFC 6275 section 9.5.1, RFC 5648 section 6.2)."""
        claim = self._read(inbound)
        if isinstance(claim, DropReason):
            self._outlet.drop(claim, inbound.packet.source)
            return
        now = inbound.now
        key = self._key(claim, now)
        if isinstance(key, Status):
            self._answer(claim, key, None)
            return
        binds = claim.home_address if claim.removal else claim.care_of
        if not is_genuine(claim.update, claim.header, key, binds, claim.correspondent):
            self._outlet.drop(DropReason.NOT_GENUINE, claim.source)
            return
        record = self.record(claim.home_address, now)
        if record is not None and not is_newer(claim.update.sequence, record.sequence):
            self._answer(claim, Status.SEQUENCE_NUMBER_OUT_OF_WINDOW, key, sequence=record.sequence)
            return
        status = self._refusal(claim, record)
        if status is None:
            self._carry_out(claim, record, now)
        self._answer(claim, Status.ACCEPTED if status is None else status, key)

    def _read(self, inbound: Inbound) -> _Claim | DropReason:
        packet, update = inbound.packet, inbound.packet.message
        assert isinstance(update, BindingUpdate)
        home_address = packet.home_address or packet.source
        if not is_routable_unicast(home_address):
            return DropReason.HOME_ADDRESS
        if packet.home_address is None and update.lifetime_units:
            return DropReason.NO_HOME_ADDRESS_OPTION
        identifiers = tuple(option for option in update.options if isinstance(option, BindingIdentifier))
        care_of = _care_of(packet.source, update, identifiers, self.record(home_address, inbound.now))
        if not is_routable_unicast(packet.source) or not is_routable_unicast(care_of):
            return DropReason.CARE_OF_ADDRESS
        indices = next((option for option in update.options if isinstance(option, NonceIndices)), None)
        if indices is None:
            return DropReason.NOT_GENUINE
        return _Claim(
            packet.source,
            packet.destination,
            home_address,
            packet.home_address is not None,
            update,
            inbound.upper,
            identifiers,
            any(
                isinstance(option, RawOption) and option.type == OptionType.BINDING_IDENTIFIER
                for option in update.options
            ),
            indices,
            care_of,
        )

    def _key(self, claim: _Claim, now: float) -> bytes | Status:
        """Return the key of a claim, or which of its nonces has expired (RFC 6275 section 9.5.1)."""
        home = self._nonces.find(claim.indices.home, now)
        # A removal is proved by the home address alone (RFC 6275 section 5.2.6).
        care_of = b"" if claim.removal else self._nonces.find(claim.indices.care_of, now)
        if home is None:
            return Status.EXPIRED_NONCES if care_of is None else Status.EXPIRED_HOME_NONCE_INDEX
        if care_of is None:
            return Status.EXPIRED_CARE_OF_NONCE_INDEX
        first = home_token(self._secret, claim.home_address, home)
        return management_key(first, care_of_token(self._secret, claim.care_of, care_of) if care_of else b"")

    def _refusal(self, claim: _Claim, record: NodeRecord | None) -> Status | None:
        """Return why a genuine claim is not carried out."""
        if len(claim.identifiers) > 1:
            return Status.MCOA_BULK_REGISTRATION_PROHIBITED  # RFC 5648 section 6.2: a correspondent takes one at a time
        held = frozenset(binding.bid for binding in record.bindings) if record is not None else frozenset()
        if claim.malformed:
            return Status.MCOA_MALFORMED
        if claim.identifiers and (status := _identifier_refusal(claim, held)) is not None:
            return status
        full = not claim.removal and claim.bid not in held and self._load >= self._max_bindings
        return Status.INSUFFICIENT_RESOURCES if full else None

    def _carry_out(self, claim: _Claim, record: NodeRecord | None, now: float) -> None:
        bindings = {binding.bid: binding for binding in record.bindings} if record is not None else {}
        if claim.removal and claim.identifiers:
            bindings.pop(claim.bid, None)
        elif claim.removal or not claim.identifiers or claim.update.flags & UpdateFlag.OVERWRITE:
            bindings.clear()
        granted = _granted(claim)
        if granted:
            priority = claim.identifiers[0].priority if claim.identifiers else 0
            bindings[claim.bid] = Binding(claim.bid, claim.care_of, granted, now + granted, priority)
        kept = tuple(bindings[bid] for bid in sorted(bindings))
        # RFC 6275 section 9.5.1: while its nonces are good a removed registration must not be played again.
        forget_at = None if kept else now + MAX_NONCE_LIFETIME
        self._put(NodeRecord(claim.home_address, claim.correspondent, claim.update.sequence, kept, forget_at=forget_at))

    def _answer(self, claim: _Claim, status: Status, key: bytes | None, *, sequence: int | None = None) -> None:
        """Send the Binding Acknowledgement that RFC 6275 section 9.5.4 wants: on request, and whenever it refuses."""
        self._outlet.count(f"correspondent_{int(status)}")
        if not status and not claim.update.flags & UpdateFlag.ACKNOWLEDGE:
            return
        options = tuple(replace(option, care_of=None, status=0) for option in claim.identifiers)
        answer = BindingAcknowledgement(
            status,
            claim.update.sequence if sequence is None else sequence,
            0 if status else _granted(claim) // LIFETIME_UNIT,
            options=options,
        )
        if key is not None:  # expired nonces leave nothing to sign with
            answer = sign(answer, key, claim.home_address if claim.removal else claim.care_of, claim.correspondent)
        routing_address = claim.home_address if claim.has_home_option else None
        self._outlet.send(encode_packet(claim.correspondent, claim.source, answer, routing_address=routing_address))

    # Records

    def _put(self, record: NodeRecord) -> None:
        self._drop(record.home_address)
        self._load += max(1, len(record.bindings))
        self._records[record.home_address] = record
        when = record.forget_at
        self._deadlines.set(record.home_address, min(one.expires for one in record.bindings) if when is None else when)

    def _drop(self, home_address: Address) -> None:
        old = self._records.pop(home_address, None)
        if old is not None:
            self._load -= max(1, len(old.bindings))
            self._deadlines.clear(home_address)

    def next_timer(self) -> float | None:
        """Return when something runs out."""
        return self._deadlines.next()

    def handle_timer(self, now: float) -> None:
        """Drop what has run out."""
        for home_address in self._deadlines.due(now):
            left = in_force(self._records[home_address], now)
            if left is None:
                self._drop(home_address)
            else:
                self._put(left)


def _care_of(
    source: Address, update: BindingUpdate, identifiers: tuple[BindingIdentifier, ...], record: NodeRecord | None
) -> Address:
    """Return the care-of address of a Binding Update: of its BID option, of that BID before, or as without BID."""
    if identifiers:
        named = identifiers[0]
        if named.care_of is not None:
            # An IPv4 address has no meaning here; it is refused later, once the sender has proved itself from its source.
            return Address(named.care_of) if len(named.care_of) == len(source) else source
        if record is not None and (binding := record.binding(named.bid)) is not None:
            return binding.care_of
    alternate = next((option.address for option in update.options if isinstance(option, AlternateCareOf)), None)
    return alternate or source


def _identifier_refusal(claim: _Claim, held: frozenset[int]) -> Status | None:
    """Return what is wrong with the one BID option of a claim."""
    (option,) = claim.identifiers
    # RFC 5648 section 4.1: neither the H flag nor an IPv4 care-of address is meant for a correspondent.
    if not option.bid or option.at_home or (option.care_of is not None and len(option.care_of) != len(claim.care_of)):
        return Status.MCOA_MALFORMED
    if claim.removal:
        return None
    if option.care_of is None and option.bid not in held:
        return Status.MCOA_UNKNOWN_COA
    if NO_BID in held and not claim.update.flags & UpdateFlag.OVERWRITE:
        return Status.MCOA_NON_MCOA_BINDING_EXISTS
    return None


def _granted(claim: _Claim) -> int:
    return 0 if claim.removal else min(claim.update.lifetime_units * LIFETIME_UNIT, MAX_BINDING_LIFETIME)


class Correspondent:
    """A correspondent node as a machine without I/O of its own; a `HomeAgent` may host the same role.

    Args:
        addresses: Where it is reached.
        random_bytes: Gives that many unpredictable octets.
        max_bindings: Bindings of all nodes together, remembered sequence numbers included; more get status 130.

    Attributes:
        counters: how often each thing happened: `received`, `correspondent_<status>`, `dropped_<reason>`.
    """

    def __init__(
        self, addresses: frozenset[Address], random_bytes: Callable[[int], bytes], max_bindings: int = 65536
    ) -> None:
        self._addresses: Final = addresses
        self._outlet: Final = Outlet(10.0, 20)
        self._part: Final = CorrespondentPart(self._outlet, random_bytes, max_bindings)
        self.counters: Final = self._outlet.counters

    def receive(self, packet: bytes, now: float) -> None:
        """Take an IPv6 packet. Nothing that it holds raises."""
        self._outlet.count("received")
        try:
            decoded = decode_packet(packet)
        except WireError as error:
            self._outlet.drop(DropReason.MALFORMED, None, str(error))
            return
        inbound = Inbound(decoded, packet, now)
        if decoded.destination not in self._addresses:
            self._outlet.drop(DropReason.NOT_FOR_US, decoded.source)
        elif isinstance(decoded.message, HomeTestInit):
            self._part.on_home_test_init(inbound)
        elif isinstance(decoded.message, CareOfTestInit):
            self._part.on_care_of_test_init(inbound)
        elif isinstance(decoded.message, BindingUpdate) and not decoded.message.flags & UpdateFlag.HOME_REGISTRATION:
            self._part.on_update(inbound)
        else:
            self._outlet.drop(DropReason.UNEXPECTED_MESSAGE, decoded.source)

    def care_of(self, home_address: Address, now: float) -> Address | None:
        """Return where packets for a home address go by the shortest way; None: to the home address itself."""
        record = self._part.record(home_address, now)
        best = None if record is None else record.preferred
        return None if best is None else best.care_of

    def record(self, home_address: Address, now: float) -> NodeRecord | None:
        """Return what is known of a node."""
        return self._part.record(home_address, now)

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        return self._part.next_timer()

    def handle_timer(self, now: float) -> None:
        """Drop what has run out."""
        self._part.handle_timer(now)

    def outbox(self) -> list[bytes]:
        """Return the IPv6 packets to send, in order, once."""
        return self._outlet.take_packets()

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._outlet.take_events()
