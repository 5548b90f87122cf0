"""What a mobile node should tell its home agent next: the difference of what it wants and what was acknowledged."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final

from controller.mobility.address import Address, Prefix
from controller.mobility.model import NO_BID, Binding
from controller.mobility.security.policy import NO_SECURITY, SecurityPolicy
from controller.mobility.wire.codes import LIFETIME_UNIT, UpdateFlag
from controller.mobility.wire.messages import BindingUpdate
from controller.mobility.wire.options import BindingIdentifier, LinkLayerAddress, NetworkPrefix, Option
from controller.values import value


@value
class MobileNodeConfig:
    """All that a `MobileNode` is told before it starts."""

    home_address: Address
    home_agent: Address | None
    """Where to register; None: with one that is found by `home_prefix` (RFC 6275 section 11.4.1)."""
    lifetime: int = 240
    """What to ask for, in seconds, 4 to 262 140, a multiple of 4."""
    prefixes: tuple[Prefix, ...] = ()
    """Mobile network prefixes behind this node (RFC 3963)."""
    mobile_router: bool = False
    """Set the R flag."""
    explicit_prefixes: bool = True
    """Name the prefixes in each Binding Update (RFC 3963 section 5.2); otherwise the home agent has to know them."""
    multiple_care_of: bool = True
    """Register with BIDs (RFC 5648); otherwise the one preferred link, without."""
    bulk: bool = True
    """Register several BIDs in one Binding Update."""
    refresh_after: float = 0.8
    """Part of the granted lifetime after which a binding is refreshed, above 0 and below 1."""
    first_sequence: int = 0
    """The number before the first sequence number, 0 to 65535."""
    security: SecurityPolicy = NO_SECURITY
    """How it proves that the home address is its own."""
    other_home_agents: tuple[Address, ...] = ()
    """Where to register when the home agent is silent or refuses, in this order."""
    home_prefix: Prefix | None = None
    """Whose home agents are asked for when none is known, or all are silent or refuse; None: never."""

    def __post_init__(self) -> None:
        if self.home_agent is None and self.home_prefix is None:
            raise ValueError("there is no home agent, and no home prefix to find one by: set home_agent or home_prefix")
        if self.lifetime % LIFETIME_UNIT or not LIFETIME_UNIT <= self.lifetime <= 0xFFFF * LIFETIME_UNIT:
            raise ValueError(f"lifetime is {self.lifetime} s; it has to be a multiple of 4 from 4 to 262140")
        if not 0 < self.refresh_after < 1:
            raise ValueError(f"refresh_after is {self.refresh_after}; it has to lie between 0 and 1")


@value
class Link:
    """A way to the network, under the BID that it keeps while its care-of address changes."""

    bid: int
    care_of: Address
    """The home address when `at_home`."""
    priority: int = 0
    at_home: bool = False
    """It is the home link (RFC 5648 section 5.6.3)."""
    link_layer: bytes | None = None
    """The node's own link-layer address there, 6 octets."""


class PlanKind(StrEnum):
    """What a Binding Update of a mobile node does."""

    REGISTER = "register"
    """With care-of addresses."""
    REFRESH = "refresh"
    """Without them (RFC 5648 section 5.1)."""
    REMOVE = "remove"
    REMOVE_ALL = "remove_all"


@value
class Plan:
    """A Binding Update to be, without its sequence number."""

    kind: PlanKind
    links: tuple[Link, ...]
    """What it names; with `NO_BID` when it is a registration without BID."""
    overwrite: bool = False

    @property
    def removal(self) -> bool:
        """Whether it removes bindings."""
        return self.kind in {PlanKind.REMOVE, PlanKind.REMOVE_ALL}

    @property
    def plain(self) -> bool:
        """Whether it is about the one binding without BID."""
        return bool(self.links) and self.links[0].bid == NO_BID


@value
class Outstanding:
    """A Binding Update that waits for its acknowledgement."""

    plan: Plan
    sequence: int
    sent: float
    timeout: float
    """Seconds after which it is sent again."""
    attempts: int = 1

    @property
    def deadline(self) -> float:
        """When it is sent again."""
        return self.sent + self.timeout


@value
class Wish:
    """What the node wants to be true, beside what it knows of the home agent."""

    links: tuple[Link, ...]
    """In order of preference; empty when nothing is to be registered."""
    registered: Mapping[int, Binding]
    doubtful: AbstractSet[int]
    """BIDs that the home agent may hold in another way than `registered` says, or at all."""
    due: AbstractSet[int]
    """BIDs of bindings that want a refresh."""
    refused: AbstractSet[Link]
    """Links that the home agent refused as they are now."""
    told: bool
    """The home agent may hold any binding of this node."""
    overwrite: bool
    """The home agent may hold bindings that are not ours to know (RFC 5648 section 5.9)."""
    bulk: bool
    flows_due: bool = False
    """There is something to say of flow bindings."""


def next_plan(wish: Wish) -> Plan | None:
    """Return the next step towards the wish, or None when it is fulfilled.

    New paths come first and removals after them, so there is always one.
    """
    if not wish.links:
        return Plan(PlanKind.REMOVE_ALL, ()) if wish.told else None
    wanted = [link for link in wish.links if link not in wish.refused]
    changed = wanted if wish.overwrite else [link for link in wanted if not _is_registered(link, wish)]
    if changed:
        plain = changed[0].bid == NO_BID
        return Plan(PlanKind.REGISTER, _portion(changed, bulk=wish.bulk), wish.overwrite and not plain)
    gone = sorted((wish.registered.keys() | wish.doubtful) - {link.bid for link in wish.links})
    if gone:
        links = [Link(bid, wish.links[0].care_of) for bid in gone]
        return Plan(PlanKind.REMOVE, _portion(links, bulk=wish.bulk))
    # One message refreshes all; one at a time, those whose time has come.
    due = wish.due or ({link.bid for link in wanted if link.bid in wish.registered} if wish.flows_due else frozenset())
    stale = [link for link in wanted if due and (wish.bulk or link.bid in due)]
    return Plan(PlanKind.REFRESH, _portion(stale, bulk=wish.bulk)) if stale else None


def _is_registered(link: Link, wish: Wish) -> bool:
    binding = wish.registered.get(link.bid)
    if binding is None or link.bid in wish.doubtful:
        return False
    wanted = (link.care_of, link.priority, link.at_home, link.link_layer)
    return (binding.care_of, binding.priority, binding.at_home, binding.link_layer) == wanted


def _portion(links: Iterable[Link], *, bulk: bool) -> tuple[Link, ...]:
    links = tuple(links)
    return links if bulk else links[:1]


OWN_ADDRESS: Final = 2
"""Option code of a mobile node's own link-layer address (RFC 5568 section 6.4.4)."""
_BASE_FLAGS: Final = UpdateFlag.ACKNOWLEDGE | UpdateFlag.HOME_REGISTRATION


def build_update(plan: Plan, sequence: int, config: MobileNodeConfig) -> BindingUpdate:
    """Return the Binding Update of a plan."""
    flags = int(_BASE_FLAGS)
    options: list[Option] = []
    if config.mobile_router:
        flags |= UpdateFlag.MOBILE_ROUTER
        if config.explicit_prefixes and not plan.removal:
            options += [NetworkPrefix(prefix) for prefix in config.prefixes]
    if plan.overwrite:
        flags |= UpdateFlag.OVERWRITE
    for link in plan.links:
        if link.bid != NO_BID:
            care_of = link.care_of if plan.kind is PlanKind.REGISTER else None
            options.append(BindingIdentifier(link.bid, care_of, link.priority, at_home=link.at_home))
    if plan.kind is PlanKind.REGISTER:
        options += [
            LinkLayerAddress(OWN_ADDRESS, link.link_layer) for link in plan.links if link.link_layer is not None
        ]
    lifetime = 0 if plan.removal else config.lifetime // LIFETIME_UNIT
    return BindingUpdate(sequence, flags, lifetime, tuple(options))
