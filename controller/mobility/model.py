"""What the home agent remembers of a mobile node, and how a change of it travels through the layers.

Everything here is an immutable value. A registration does not edit a record: it proposes a new one. So undoing a change that
a switch refused is to keep the old value, and the planner gets its work from the difference of two values.
"""

from enum import StrEnum

from controller.mobility.address import Address, Prefix
from controller.mobility.flows import FlowEntry
from controller.values import value

NO_BID = 0
"""The key of the one binding that was registered without a BID option (RFC 5648 reserves BID 0)."""


def is_newer(sequence: int, last: int) -> bool:
    """Tell whether a sequence number is after `last`, modulo 2**16 (RFC 6275 section 9.5.1)."""
    return (last - sequence) & 0xFFFF > 0x8000


@value
class Binding:
    """One binding cache entry: a care-of address under its binding identifier (RFC 5648 section 4.1)."""

    bid: int
    """Binding identifier, 1 to 65535; `NO_BID` for a plain RFC 6275 binding."""
    care_of: Address
    """Care-of address; equals the home address when `at_home`."""
    lifetime: int
    """Granted lifetime in seconds, a multiple of 4, at most 262 140."""
    expires: float
    """When it ends, in seconds of the engine's clock."""
    priority: int = 0
    """BID-PRI of RFC 6089 section 4.4: 1 (preferred) to 127; 0: none given, sorts last."""
    at_home: bool = False
    """The H flag of the BID option: this care-of address is the home link itself."""
    link_layer: bytes | None = None
    """Where frames for it go when `at_home`: 6 octets (RFC 5648 section 5.6.3)."""


def rank(binding: Binding) -> tuple[int, int]:
    """Return what sorts bindings, most preferred first: by BID-PRI, then by BID (RFC 6089 section 4.4).

    A BID-PRI of 0 means that none was given; such bindings come after those that have one.
    """
    return binding.priority or 128, binding.bid


@value
class NodeRecord:
    """All that is kept for one home address."""

    home_address: Address
    home_agent: Address
    """The home agent address at which the node registered: outer source of its tunnels."""
    sequence: int
    """Last accepted sequence number, 0 to 65535, shared by all BIDs (RFC 5648 section 4.1)."""
    bindings: tuple[Binding, ...] = ()
    """In ascending order of BID; empty in a tombstone."""
    prefixes: tuple[Prefix, ...] = ()
    """Mobile network prefixes (RFC 3963)."""
    mobile_router: bool = False
    """The R flag."""
    forget_at: float | None = None
    """Set in a tombstone: until then the sequence number is remembered (RFC 6275 section 10.3.2)."""
    link_local: bool = False
    """The L flag: the home agent also defends the link-local address with the same interface identifier."""
    flows: tuple[FlowEntry, ...] = ()
    """What the node signalled, in ascending order of FID-PRI (RFC 6089 section 5.3)."""
    sequences: tuple[tuple[int, int], ...] = ()
    """BIDs with the last number that each of them brought; only for a node whose BIDs count for themselves. It is not stored."""

    def binding(self, bid: int) -> Binding | None:
        """Return the binding of that BID, if there is one."""
        return next((binding for binding in self.bindings if binding.bid == bid), None)

    def active_bids(self, flow: FlowEntry) -> tuple[int, ...]:
        """Return the registered BIDs of a flow; none: it is inactive, kept but passed over (RFC 6089 section 5.3.1)."""
        return tuple(bid for bid in flow.bids if self.binding(bid) is not None)

    @property
    def preferred(self) -> Binding | None:
        """The binding for traffic that no flow binding names (RFC 6089 section 4.4)."""
        return min(self.bindings, key=rank, default=None)


class Cause(StrEnum):
    """Why a record changes."""

    REGISTRATION = "registration"
    DEREGISTRATION = "deregistration"
    EXPIRY = "expiry"
    FORGOTTEN = "forgotten"
    """A tombstone's time is over."""
    REVOCATION = "revocation"
    """Taken back by the home agent (RFC 5846)."""


@value
class ReplayMark:
    """How far a node's proofs have come: what is not beyond it was seen, or might have been. It outlives the node's bindings."""

    home_address: Address
    association: bytes
    """8 octets that tell the node's key from any other: with a new key everything begins anew."""
    value: int
    """With ESP the highest sequence number, 32 bits; with RFC 4285 the last timestamp, 64 bits."""


@value
class Transaction:
    """A change of one record, proposed by the engine: not in force, and not acknowledged, before it is committed.

    Whoever drives the engine makes it durable, brings the switches to agree, and then calls `HomeAgent.commit`; or, when that
    fails, `HomeAgent.abort`. At most one transaction of a home address is under way at a time.
    """

    number: int
    """Unique in the life of the engine, ascending."""
    home_address: Address
    before: NodeRecord | None
    after: NodeRecord | None
    cause: Cause
    mark: ReplayMark | None = None
    """To be stored with the change, so that the message which asked for it cannot be replayed after a restart."""
