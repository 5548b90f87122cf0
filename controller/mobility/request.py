"""A Binding Update with all that is needed to judge it."""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from controller.mobility.address import Address, Prefix
from controller.mobility.limits import Weight
from controller.mobility.model import NO_BID, NodeRecord, is_newer
from controller.mobility.parts import Inbound, LinkInfo
from controller.mobility.prefixes import PrefixTimes
from controller.mobility.provision import Directory, HomeAgentConfig, HomeBinding, HomeNetwork, NodeProvision
from controller.mobility.security.authentication import without_proof
from controller.mobility.security.protection import UNPROTECTED, Authenticated, Protection
from controller.mobility.wire.codes import LIFETIME_UNIT, OptionType, UpdateFlag
from controller.mobility.wire.flow_options import FlowIdentification, FlowSummary
from controller.mobility.wire.messages import BindingUpdate
from controller.mobility.wire.options import (
    AlternateCareOf,
    BindingIdentifier,
    LinkLayerAddress,
    NetworkPrefix,
    NonceIndices,
    RawOption,
)
from controller.values import value

_HOME_REGISTRATION: Final = int(UpdateFlag.HOME_REGISTRATION)
_MOBILE_ROUTER: Final = int(UpdateFlag.MOBILE_ROUTER)
_PROXY: Final = int(UpdateFlag.PROXY_REGISTRATION)
_OVERWRITE: Final = int(UpdateFlag.OVERWRITE)
_LINK_LOCAL: Final = int(UpdateFlag.LINK_LOCAL_COMPATIBILITY)
_OWN_LINK_LAYER_ADDRESS: Final = 2
"""Option code of a mobile node's own link-layer address (RFC 5568 section 6.4.4)."""
_MAC_LENGTH: Final = 6
MAX_COUNTERS: Final = 64
"""BIDs of a node whose own sequence numbers are remembered."""


class RecordState(StrEnum):
    """In which of four states a home address is."""

    NONE = "none"
    LEGACY = "legacy"
    """One binding without BID."""
    MCOA = "mcoa"
    """One or more bindings with BID."""
    DELETING = "deleting"
    """No binding, but the sequence number is remembered (RFC 6275 section 10.3.2)."""


class RequestKind(StrEnum):
    """What a Binding Update asks for."""

    PLAIN = "plain"
    """A registration without BID."""
    IDENTIFIED = "identified"
    """A registration with BIDs."""
    OVERWRITE = "overwrite"
    """The same with the O flag."""
    PLAIN_REMOVAL = "plain_removal"
    IDENTIFIED_REMOVAL = "identified_removal"


@value
class Arrival:
    """A Binding Update as it came. Two arrivals with the same `content` ask for the same."""

    source: Address
    home_agent: Address
    home_address: Address
    has_home_option: bool
    update: BindingUpdate
    link: LinkInfo | None = None
    protection: Protection = UNPROTECTED
    """How it was proved, and so how it is answered."""

    @classmethod
    def of(cls, inbound: Inbound, update: BindingUpdate) -> "Arrival":
        """Return the arrival of an update in its packet; timestamp and authenticator have done their work."""
        packet = inbound.packet
        return cls(
            packet.source,
            packet.destination,
            packet.home_address or packet.source,
            packet.home_address is not None,
            without_proof(update) if isinstance(inbound.protection, Authenticated) else update,
            inbound.link,
            inbound.protection,
        )

    @property
    def link_layer(self) -> bytes | None:
        """The sender's link-layer address: what its option says (RFC 5648 section 5.6.3), else what its frame said."""
        for option in self.update.options:
            if isinstance(option, LinkLayerAddress) and option.code == _OWN_LINK_LAYER_ADDRESS:
                return option.address if len(option.address) == _MAC_LENGTH else None
        return self.link.source_mac if self.link is not None else None

    def same_content(self, other: "Arrival") -> bool:
        """Tell whether the other differs in nothing but its sequence number, as a retransmission does."""
        mine, its = self.update, other.update
        return (
            mine.options == its.options
            and mine.lifetime_units == its.lifetime_units
            and mine.flags == its.flags
            and self.source == other.source
            and self.home_agent == other.home_agent
            and self.has_home_option == other.has_home_option
        )


@value
class Request:
    """An arrival beside the state it meets. The rules read it; nothing changes it."""

    arrival: Arrival
    now: float
    config: HomeAgentConfig
    record: NodeRecord | None
    """What is in force now: without what has run out."""
    network: HomeNetwork | None
    provision: NodeProvision | None
    room: Weight
    """How much this node could have before the home agent is full."""
    identifiers: tuple[BindingIdentifier, ...]
    has_malformed_identifier: bool
    has_identifiers: bool
    """Whether there is any BID option, legal or not."""
    has_flow_options: bool
    """Whether there is any readable flow option."""
    has_nonce_indices: bool
    alternate: Address | None
    prefixes: tuple[Prefix, ...]
    mobile_router: bool
    """The R flag of the Binding Update."""
    valid_left: float | None
    """Seconds that the home prefix remains valid; None: for ever."""
    preferred_left: float | None
    removal: bool
    """Whether bindings are to be removed."""
    granted: int
    """The lifetime that is granted, in seconds: never more than was asked for (RFC 6275 section 10.3.1)."""
    full: frozenset[int]
    """BIDs for which the switches have turned out to have no room."""

    @property
    def home_registration(self) -> bool:
        """The H flag."""
        return bool(self.arrival.update.flags & _HOME_REGISTRATION)

    @property
    def proxy_registration(self) -> bool:
        """The P flag: a proxy mobile IPv6 message."""
        return bool(self.arrival.update.flags & _PROXY)

    @property
    def link_local(self) -> bool:
        """The L flag."""
        return bool(self.arrival.update.flags & _LINK_LOCAL)

    @property
    def home_binding(self) -> HomeBinding:
        """How the home network serves nodes that are at home and away at once."""
        return HomeBinding.REFUSE if self.network is None else self.network.home_binding

    @property
    def care_of(self) -> Address:
        """The care-of address outside BID options (RFC 6275 section 9.5.1)."""
        return self.alternate or self.arrival.source

    @property
    def kind(self) -> RequestKind:
        """What is asked for."""
        if not self.has_identifiers:
            return RequestKind.PLAIN_REMOVAL if self.removal else RequestKind.PLAIN
        if self.removal:
            return RequestKind.IDENTIFIED_REMOVAL  # RFC 5648 section 6.2: the O flag is ignored here
        # The O bit means "bulk" when P is set (RFC 6602); those never come here.
        return RequestKind.OVERWRITE if self.arrival.update.flags & _OVERWRITE else RequestKind.IDENTIFIED

    @property
    def counters(self) -> tuple[int, ...] | None:
        """The BIDs whose sequence numbers count; None: there is one for the home address (RFC 5648 section 4.1)."""
        if self.provision is None or not self.provision.per_bid_sequences:
            return None
        return tuple(dict.fromkeys(option.bid for option in self.identifiers)) or (NO_BID,)

    @property
    def last_sequence(self) -> int | None:
        """The last number that was accepted, after which one has to be newer; None: any will do.

        Of several BIDs that count for themselves it is one that forbids the number which came, if there is one.
        """
        record, counters = self.record, self.counters
        if record is None or counters is None or not record.sequences:
            # After a restart nothing is known of single BIDs; then the one number that was stored counts.
            return None if record is None else record.sequence
        known = dict(record.sequences)
        numbers = [known[bid] for bid in counters if bid in known]
        came = self.arrival.update.sequence
        return next((last for last in numbers if not is_newer(came, last)), numbers[0] if numbers else None)

    @property
    def sequences(self) -> tuple[tuple[int, int], ...]:
        """The numbers of single BIDs once this request counts; the newest are kept."""
        if self.counters is None:
            return ()
        known = dict(self.record.sequences) if self.record is not None else {}
        for bid in self.counters:
            known.pop(bid, None)
            known[bid] = self.arrival.update.sequence
        return tuple(known.items())[-MAX_COUNTERS:]


def read_request(
    arrival: Arrival,
    now: float,
    config: HomeAgentConfig,
    directory: Directory,
    record: NodeRecord | None,
    room: Weight,
    *,
    times: PrefixTimes,
    full: frozenset[int] = frozenset(),
) -> Request:
    """Return the arrival as the rules want to see it."""
    identifiers: list[BindingIdentifier] = []
    prefixes: list[Prefix] = []
    malformed = nonce_indices = flow_options = False
    alternate: Address | None = None
    for option in arrival.update.options:
        if isinstance(option, BindingIdentifier):
            identifiers.append(option)
        elif isinstance(option, NetworkPrefix):
            prefixes.append(option.prefix)
        elif isinstance(option, AlternateCareOf):
            alternate = alternate or option.address
        elif isinstance(option, NonceIndices):
            nonce_indices = True
        elif isinstance(option, RawOption) and option.type == OptionType.BINDING_IDENTIFIER:
            malformed = True
        elif isinstance(option, FlowIdentification | FlowSummary):
            flow_options = True
    identified = bool(identifiers) or malformed
    network = directory.network(arrival.home_address, arrival.home_agent)
    valid_left, preferred_left = (None, None) if network is None else times.left(network.prefix, now)
    return Request(
        arrival,
        now,
        config,
        in_force(record, now),
        network,
        directory.authorise(arrival.home_address, network),
        room,
        tuple(identifiers),
        malformed,
        identified,
        flow_options,
        nonce_indices,
        alternate,
        tuple(prefixes),
        bool(arrival.update.flags & _MOBILE_ROUTER),
        valid_left,
        preferred_left,
        _is_removal(arrival, alternate, config, identified=identified),
        _granted(arrival, config, valid_left),
        full,
    )


def _is_removal(arrival: Arrival, alternate: Address | None, config: HomeAgentConfig, *, identified: bool) -> bool:
    """Tell whether bindings are to be removed."""
    if not arrival.update.lifetime_units:
        return True
    if identified or (alternate or arrival.source) != arrival.home_address:
        return False
    # RFC 3963 section 6.2: a mobile router's care-of address equal to its home address removes. RFC 3775 had that for
    # all nodes, RFC 6275 for none. With BIDs it may be a registration of the home link (RFC 5648 section 5.6.3).
    return bool(arrival.update.flags & _MOBILE_ROUTER) or config.home_care_of_removes


def _granted(arrival: Arrival, config: HomeAgentConfig, valid_left: float | None) -> int:
    units = min(arrival.update.lifetime_units, config.max_lifetime // LIFETIME_UNIT)
    if valid_left is not None:
        # RFC 6275 section 10.3.1: nor more than is left of the home prefix.
        units = min(units, max(0, int(valid_left)) // LIFETIME_UNIT)
    return units * LIFETIME_UNIT


def in_force(record: NodeRecord | None, now: float) -> NodeRecord | None:
    """Return the record without what has run out at `now`; None when nothing is left of it."""
    if record is None:
        return None
    if record.forget_at is not None:
        return record if record.forget_at > now else None
    for binding in record.bindings:
        if binding.expires <= now:
            live = tuple(binding for binding in record.bindings if binding.expires > now)
            return replace(record, bindings=live) if live else None
    return record


def state_of(record: NodeRecord | None) -> RecordState:
    """Return the state of what `in_force` returned."""
    if record is None:
        return RecordState.NONE
    if not record.bindings:
        return RecordState.DELETING
    return RecordState.LEGACY if record.bindings[0].bid == NO_BID else RecordState.MCOA
