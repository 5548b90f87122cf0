"""What a mobile node wants of its home agent, and how a refusal changes that (RFC 5648 section 5.7)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from controller.mobility.address import Address
from controller.mobility.model import NO_BID
from controller.mobility.node_events import FlowRefused, LinkRefused, Removed
from controller.mobility.node_flows import FlowBook
from controller.mobility.node_ledger import Ledger
from controller.mobility.node_outlet import NodeOutlet
from controller.mobility.node_plan import Link, MobileNodeConfig, Plan, PlanKind, Wish
from controller.mobility.wire.codes import Status
from controller.mobility.wire.messages import BindingAcknowledgement


class Intent:
    """The links to be registered, and in which way.

    Attributes:
        links: the links that are noted, by BID.
        ledger: what the home agent acknowledged.
        flows: the flow bindings, which travel with the bindings.
        active: whether bindings are wanted at all.
        overwrite: whether the next registration takes the place of all that the home agent may hold (RFC 5648 section 5.9).
    """

    def __init__(self, config: MobileNodeConfig, outlet: NodeOutlet) -> None:
        self._config: Final = config
        self._outlet: Final = outlet
        self.links: Final[dict[int, Link]] = {}
        self.ledger: Final = Ledger()
        self.flows: Final = FlowBook()
        self.active = False
        self.overwrite = True
        self._refused: Final[set[Link]] = set()
        self._multiple = config.multiple_care_of
        self._bulk = config.bulk
        self._last_care_of: Address | None = None

    @property
    def preferred_links(self) -> tuple[Link, ...]:
        """The links in order of preference (RFC 6089 section 4.4)."""
        return tuple(sorted(self.links.values(), key=lambda link: (link.priority or 128, link.bid)))

    def note(self, link: Link) -> None:
        """Note a link, or what has become of it."""
        self._refused.discard(link)
        self.links[link.bid] = link

    def drop(self, bid: int) -> bool:
        """Forget a link; return whether there was one."""
        link = self.links.pop(bid, None)
        if link is not None:
            self._last_care_of = link.care_of
        return link is not None

    def go_home(self, home_address: Address) -> None:
        """Forget all links; what is left to say leaves from the home link."""
        self.links.clear()
        self._last_care_of = home_address

    def ask_again(self) -> None:
        """Forget what was refused."""
        self._refused.clear()
        self.flows.ask_again()

    def begin_anew(self) -> None:
        """Want the same of a home agent that knows nothing of this node."""
        self.report_removed(self.ledger.forget_all())
        self.flows.forget()
        self._refused.clear()
        self._multiple, self._bulk = self._config.multiple_care_of, self._config.bulk
        self.overwrite = True

    def wish(self, now: float) -> Wish:
        """Return what should be true, beside what is known of the home agent."""
        links = self.preferred_links if self.active else ()
        if links and not self._multiple:
            links = (replace(links[0], bid=NO_BID),)  # one binding without BID, of the best link
        ledger = self.ledger
        return Wish(
            links,
            ledger.bindings,
            ledger.doubtful,
            ledger.due(now),
            self._refused,
            ledger.may_hold(now),
            self.overwrite,
            self._bulk,
            self._multiple and self.flows.due(frozenset(ledger.bindings)),
        )

    def source(self, plan: Plan, attempts: int) -> Address | None:
        """Return the care-of address to send from: one that the message names, or any other when that was in vain."""
        if plan.plain:
            return plan.links[0].care_of  # without BID option the source is what is registered
        named = [self.links[link.bid].care_of for link in plan.links if link.bid in self.links]
        candidates = list(dict.fromkeys(named + [link.care_of for link in self.preferred_links]))
        if not candidates:
            return self._last_care_of
        return candidates[(attempts - 1) % len(candidates)]

    def told(self, source: Address) -> None:
        """Note the care-of address that a Binding Update left from."""
        self._last_care_of = source

    def bids_after(self, plan: Plan) -> frozenset[int]:
        """Return the BIDs that are registered once a plan is carried out."""
        named = frozenset(link.bid for link in plan.links)
        held = frozenset() if plan.overwrite else frozenset(self.ledger.bindings)
        return held - named if plan.removal else held | named

    def report_removed(self, bids: tuple[int, ...]) -> None:
        """Tell that bindings are gone, if there are any."""
        if bids:
            self._outlet.report(Removed(bids))

    def flows_acknowledged(self, plan: Plan, answer: BindingAcknowledgement) -> None:
        """Take over what an acknowledgement that accepts says of flow bindings."""
        if plan.plain or plan.kind is PlanKind.REMOVE_ALL:
            self.flows.forget()
            return
        for fid, status in self.flows.acknowledged(answer.options):
            self._outlet.report(FlowRefused(fid, status))

    # Refusals

    def taken_back(self, bids: frozenset[int]) -> tuple[int, ...]:
        """Forget bindings that the home agent has taken back (RFC 5846); empty: all. Return those that there were.

        They are not asked for again before the link changes, or the node is told to register.
        """
        gone = self.ledger.forget(bids or self.ledger.bindings)
        self._refused.update(link for link in self.links.values() if link.bid in bids)
        if not self.ledger.bindings:
            self.flows.forget()
        return gone

    def remedy(self, plan: Plan, status: int) -> bool:
        """Want something else after a refusal; False when there is nothing left to try with this home agent."""
        return REMEDIES.get(status, Intent.leave_link_out)(self, plan, status)

    def refuse_link(self, link: Link, status: int) -> None:
        """Note that one BID was refused."""
        self.ledger.forget((link.bid,))
        if status != Status.MCOA_UNKNOWN_COA:  # that one is asked again with its care-of address
            self._refused.add(link)
            self._outlet.report(LinkRefused(link.bid, status))

    def fall_back_to_one(self, _plan: Plan, _status: int) -> bool:
        """Go on without BIDs: a binding without BID replaces all others, so there is no need to remove them first."""
        if not self._multiple:
            return False
        self._multiple = False
        self.report_removed(self.ledger.forget((*self.ledger.bindings, *self.ledger.doubtful)))
        return True

    def register_one_by_one(self, _plan: Plan, _status: int) -> bool:
        """Register one BID in each message."""
        was, self._bulk = self._bulk, False
        return was

    def overwrite_others(self, plan: Plan, _status: int) -> bool:
        """Register with the O flag, in the place of the binding without BID."""
        self.overwrite = True
        return not plan.overwrite

    def name_care_of(self, plan: Plan, status: int) -> bool:
        """Register with care-of addresses what could not be refreshed without."""
        if plan.kind is not PlanKind.REFRESH:
            return self.leave_link_out(plan, status)
        self.ledger.forget(link.bid for link in plan.links)
        return True

    def leave_link_out(self, plan: Plan, status: int) -> bool:
        """Go on without the one link that was asked for, if there are others."""
        if len(plan.links) != 1 or len(self.links) < 2 or plan.kind is not PlanKind.REGISTER:
            return False
        self.refuse_link(plan.links[0], status)
        return True


REMEDIES: Final[Mapping[int, Callable[[Intent, Plan, int], bool]]] = {
    Status.MCOA_NON_MCOA_BINDING_EXISTS: Intent.overwrite_others,
    Status.MCOA_PROHIBITED: Intent.fall_back_to_one,
    Status.MCOA_UNKNOWN_COA: Intent.name_care_of,
    Status.MCOA_BULK_REGISTRATION_PROHIBITED: Intent.register_one_by_one,
}
"""What else is tried after a status (RFC 5648 section 5.7). After any other a single link is left out, if there are others."""
