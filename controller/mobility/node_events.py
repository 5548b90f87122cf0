"""What a `MobileNode` reports to whoever drives it."""

from controller.mobility.address import Address
from controller.mobility.model import Binding
from controller.mobility.wire.icmp import PrefixInformation
from controller.values import value


@value
class Registered:
    """The home agent accepted these bindings, new or refreshed."""

    bindings: tuple[Binding, ...]


@value
class Removed:
    """These bindings are no longer registered, because the node asked for it or because they ran out."""

    bids: tuple[int, ...]
    expired: bool = False


@value
class LinkRefused:
    """The home agent refused one BID; it is not asked again before the link changes."""

    bid: int
    status: int


@value
class RegistrationRefused:
    """The home agent refused a whole Binding Update."""

    status: int
    final: bool
    """Nothing is sent until the node is told to register again; otherwise it tries in another way, or later."""


@value
class AtHome:
    """The home agent accepted the home link (RFC 5648 section 5.6.3)."""

    bid: int
    answers_neighbours: bool
    """The node has to answer Neighbor Solicitations for its home address there; otherwise it never may."""


@value
class PrefixesAdvertised:
    """The home agent told of its home prefixes (RFC 6275 section 11.4.3)."""

    prefixes: tuple[PrefixInformation, ...]


@value
class Ignored:
    """A packet that the node had no use for."""

    detail: str


@value
class FlowRefused:
    """The home agent refused a flow binding; it is not asked again before the flow changes or the node registers."""

    fid: int
    status: int
    """Names in `wire.FlowStatus`."""


@value
class Revoked:
    """The home agent took bindings back (RFC 5846)."""

    bids: tuple[int, ...]
    trigger: int
    """Names in `wire.RevocationTrigger`."""


@value
class HomeAgentChanged:
    """The node registers with this home agent from now on; what another one holds runs out."""

    home_agent: Address


@value
class RouteOptimised:
    """A correspondent sends packets for the home address straight to a care-of address (RFC 6275 section 11.7.2)."""

    correspondent: Address
    binding: Binding


@value
class RouteLost:
    """A correspondent's packets come by way of the home agent again, of all links or of these."""

    correspondent: Address
    reason: str
    bids: tuple[int, ...] = ()


@value
class SwitchAdvised:
    """The home agent sends the node away (RFC 5142); its bindings are being removed."""

    home_agents: tuple[Address, ...]
    """Where to go, best first; empty: to whichever discovery finds."""


NodeEvent = (
    FlowRefused
    | Revoked
    | SwitchAdvised
    | Registered
    | Removed
    | LinkRefused
    | RegistrationRefused
    | AtHome
    | PrefixesAdvertised
    | Ignored
    | HomeAgentChanged
    | RouteOptimised
    | RouteLost
)
