"""The conversation of a mobile node with its home agent (RFC 6275 section 11.7, RFC 5648 section 5).

It keeps what it wants (its links) and what was acknowledged (its bindings), and sends one Binding Update after the other until the two
agree: `node_plan.next_plan` names the next step. So every loss, refusal or restart is handled by the same step: look at the
difference again.

| phase | event | what happens | next |
|---|---|---|---|
| settled | the difference is not empty | a Binding Update | waiting |
| settled | the same, but three were sent in the last second | nothing yet | paused |
| waiting | accepted | what it says is noted; the next difference, if any | waiting, settled |
| waiting | status 135 | again, from the number that the home agent accepted last | waiting |
| waiting | status 144 that sets the clock | again, by that clock | waiting |
| waiting | another status of 128 or more | its remedy, see `node_intent.REMEDIES` | waiting, paused, halted |
| waiting | no answer for 1.5 s (1 s once registered) | again, as it is wanted now, with a new number and twice the patience | waiting |
| waiting | no answer, and the patience would be 32 s | the next home agent, if there is one; else again | waiting |
| paused | its time comes | the difference | waiting, settled |
| halted | the node is told to register, or something of a link changes | everything that was refused is forgotten | waiting |

Bindings run out in every phase, and are refreshed when 80 % of their lifetime is over.
"""

from collections import deque
from dataclasses import replace
from enum import StrEnum
from typing import Final

from controller.mobility.address import Address
from controller.mobility.model import Binding, is_newer
from controller.mobility.node_agents import HomeAgents
from controller.mobility.node_events import AtHome, HomeAgentChanged, Registered, RegistrationRefused, Removed
from controller.mobility.node_intent import Intent
from controller.mobility.node_outlet import NodeOutlet
from controller.mobility.node_plan import MobileNodeConfig, Outstanding, Plan, PlanKind, build_update, next_plan
from controller.mobility.security.esp import SequenceExhaustedError
from controller.mobility.security.node_guard import NodeGuard
from controller.mobility.wire.codes import LIFETIME_UNIT, AcknowledgementFlag, Status
from controller.mobility.wire.messages import BindingAcknowledgement
from controller.mobility.wire.options import BindingIdentifier, BindingRefreshAdvice

FIRST_TIMEOUT: Final = 1.5
"""Seconds before the first registration is sent again: InitialBindackTimeoutFirstReg (RFC 6275 section 13)."""
TIMEOUT: Final = 1.0
"""Seconds before any other Binding Update is sent again: INITIAL_BINDACK_TIMEOUT."""
MAX_TIMEOUT: Final = 32.0
"""MAX_BINDACK_TIMEOUT; also the pause after a refusal that may pass."""
MAX_UPDATE_RATE: Final = 3
"""Binding Updates in any second (RFC 6275 section 12)."""

PASSING: Final = frozenset({Status.REASON_UNSPECIFIED, Status.INSUFFICIENT_RESOURCES})
"""Statuses that say nothing against asking again later."""


class Phase(StrEnum):
    """In which of four phases the conversation is."""

    SETTLED = "settled"
    WAITING = "waiting"
    """For an acknowledgement."""
    PAUSED = "paused"
    HALTED = "halted"
    """Nothing is sent before the node is told to."""


class Registration:
    """One Binding Update after the other, until the home agent and the node agree.

    Args:
        config: How the node registers.
        intent: What it wants, and what was acknowledged.
        guard: Proves what is sent.
        agents: Where to register.
        outlet: Where packets and events go.
    """

    def __init__(
        self, config: MobileNodeConfig, intent: Intent, guard: NodeGuard, agents: HomeAgents, outlet: NodeOutlet
    ) -> None:
        self._config: Final = config
        self._intent: Final = intent
        self._ledger: Final = intent.ledger
        self._flows: Final = intent.flows
        self._guard: Final = guard
        self._agents: Final = agents
        self._outlet: Final = outlet
        self._outstanding: Outstanding | None = None
        self._not_before: float | None = None
        self._halted = False
        self._sequence = config.first_sequence
        self._registered_before = False
        self._leaving: tuple[Address, ...] | None = None
        self._sent: Final[deque[float]] = deque(maxlen=MAX_UPDATE_RATE)

    @property
    def phase(self) -> Phase:
        """Where the conversation is."""
        if self._halted:
            return Phase.HALTED
        if self._outstanding is not None:
            return Phase.WAITING
        waiting = self._not_before is not None or self._agents.searching
        return Phase.PAUSED if waiting else Phase.SETTLED

    @property
    def settled(self) -> bool:
        """Whether nothing waits for an answer or for a better time."""
        return self.phase in {Phase.SETTLED, Phase.HALTED}

    # What the node is told to do

    def begin(self, now: float) -> None:
        """Register all links, refused ones too, and keep the bindings alive."""
        self._intent.ask_again()
        self._agents.forgive()
        self.resume(now)

    def resume(self, now: float) -> None:
        """Register what is missing, and keep the bindings alive."""
        self._intent.active = True
        self._halted = False
        self._leaving = None
        self.advance(now)

    def end(self, now: float) -> None:
        """Have all bindings removed."""
        self._intent.active = False
        self._halted = False
        self.advance(now)

    def leave(self, home_agents: tuple[Address, ...], now: float) -> None:
        """Have all bindings removed, then register with the next home agent, if the node knows where to go."""
        if self._intent.active and self._agents.leads_on(home_agents):
            self._leaving = home_agents
        self.end(now)

    def make_due(self, bids: frozenset[int], now: float) -> None:
        """Refresh bindings as soon as nothing else is under way; empty: all."""
        self._ledger.make_due(bids or self._ledger.bindings, now)
        if self.phase is Phase.SETTLED:
            self.advance(now)

    def doubt(self, now: float) -> None:
        """Register all bindings anew: the home agent says that it has none (RFC 6275 section 11.3.6)."""
        self._ledger.doubtful.update(self._ledger.bindings)
        if self.phase is Phase.SETTLED:
            self.advance(now)

    def give_up(self, bids: frozenset[int]) -> tuple[int, ...]:
        """Forget bindings that the home agent has taken back (RFC 5846); empty: all. Return those that there were."""
        gone = self._intent.taken_back(bids)
        if not bids:
            self._halted = True
            self._outstanding = None
        return gone

    # Time

    def handle_timer(self, now: float) -> None:
        """Send again, refresh, and drop what has run out."""
        expired = self._ledger.expire(now)
        if expired:
            self._outlet.report(Removed(expired, expired=True))
            if not self._ledger.bindings:
                self._flows.forget()
        outstanding = self._outstanding
        if outstanding is None:
            if self._not_before is None or now >= self._not_before:
                self.advance(now)
        elif now >= outstanding.deadline:
            self._repeat(outstanding, now)

    def _repeat(self, outstanding: Outstanding, now: float) -> None:
        """Send again, with a new sequence number and twice the patience (RFC 6275 section 11.8).

        What is sent is what is wanted now, which may have changed.
        """
        timeout = min(2 * outstanding.timeout, MAX_TIMEOUT)
        if timeout >= MAX_TIMEOUT:
            # RFC 6275 section 11.7.1: then the next home agent.
            if self._leaving is not None:
                self._change_agent(now)
                return
            if self._intent.active and self._agents.move_on(now):
                self._begin_anew(now)
                return
        self.advance(now, timeout=timeout, attempts=outstanding.attempts + 1)

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due next, or None."""
        times = [self._ledger.next_expiry()]
        if self._outstanding is not None:
            times.append(self._outstanding.deadline)
        elif self._not_before is not None:
            times.append(self._not_before)
        elif self._intent.active and not self._halted and self._agents.current is not None:
            times.append(self._ledger.next_refresh())
        return min((when for when in times if when is not None), default=None)

    # Sending

    def advance(self, now: float, *, timeout: float | None = None, attempts: int = 1) -> None:
        """Send the next Binding Update on the way to what is wanted."""
        self._outstanding = None
        self._not_before = None
        agents = self._agents
        if self._halted or (agents.refused and agents.searching):
            return
        plan = next_plan(self._intent.wish(now))
        home_agent = agents.current
        if plan is None and self._leaving is not None:
            self._change_agent(now)
            return
        if plan is not None and home_agent is None:
            if not agents.searching:
                agents.move_on(now)
            return
        source = None if plan is None else self._intent.source(plan, attempts)
        if plan is None or source is None or home_agent is None:
            return  # nothing to say, or no link to say it from: then the bindings run out by themselves
        if len(self._sent) == MAX_UPDATE_RATE and now < self._sent[0] + 1.0:
            self._not_before = self._sent[0] + 1.0
            return
        if timeout is None:
            timeout = TIMEOUT if self._registered_before else FIRST_TIMEOUT
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._outstanding = Outstanding(plan, self._sequence, now, timeout, attempts)
        self._sent.append(now)
        self._intent.told(source)
        update = build_update(plan, self._sequence, self._config)
        if not plan.plain and plan.kind is not PlanKind.REMOVE_ALL:
            update = replace(update, options=(*update.options, *self._flows.options(self._intent.bids_after(plan))))
        try:
            packet = self._guard.encode(update, source, home_agent, now)
        except SequenceExhaustedError as error:
            self._outstanding = None
            self._halted = True
            self._outlet.ignore(str(error))
            return
        self._outlet.send(packet)
        self._ledger.tell((link.bid for link in plan.links), now + update.lifetime_units * LIFETIME_UNIT)

    # Answers

    def acknowledged(self, answer: BindingAcknowledgement, now: float) -> bool:
        """Take a Binding Acknowledgement that was proved; return whether it wants prefix discovery (status 1)."""
        outstanding = self._outstanding
        if outstanding is None:
            self._outlet.ignore("an acknowledgement that nothing waits for")
        elif answer.status == Status.SEQUENCE_NUMBER_OUT_OF_WINDOW:
            self._resynchronise(outstanding, answer.sequence, now)
        elif answer.status == Status.IDENTIFICATION_MISMATCH and self._guard.set_clock(answer, now):
            # RFC 4285 section 6: again, by the home agent's clock. When that is ours already, a copy was refused.
            self.advance(now, timeout=outstanding.timeout, attempts=outstanding.attempts)
        elif answer.sequence != outstanding.sequence or answer.status == Status.IDENTIFICATION_MISMATCH:
            self._outlet.ignore(f"an acknowledgement of {answer.sequence} instead of {outstanding.sequence}")
        elif answer.status < 128:
            self._outstanding = None
            self._accepted(outstanding, answer)
            self.advance(now)
            return answer.status == Status.ACCEPTED_PREFIX_DISCOVERY_NECESSARY
        else:
            self._outstanding = None
            self._refused_whole(outstanding.plan, answer.status, now)
        return False

    def _resynchronise(self, outstanding: Outstanding, last: int, now: float) -> None:
        """Go on from the number that the home agent accepted last (RFC 6275 section 11.7.3)."""
        if is_newer(outstanding.sequence, last):
            # A copy of an earlier message was refused; the one that is under way will be accepted.
            self._outlet.ignore("a refusal of an old sequence number")
            return
        self._sequence = last
        self.advance(now, timeout=outstanding.timeout, attempts=outstanding.attempts)

    def _accepted(self, outstanding: Outstanding, answer: BindingAcknowledgement) -> None:
        plan = outstanding.plan
        self._registered_before = True
        if plan.removal:
            self._intent.flows_acknowledged(plan, answer)
            self._removed(plan)
            return
        statuses = {option.bid: option.status for option in answer.options if isinstance(option, BindingIdentifier)}
        if not plan.plain and not statuses:
            # RFC 5648 sections 3 and 5.7: an answer without BID option comes from a home agent that knows of none.
            self._intent.fall_back_to_one(plan, answer.status)
            return
        self._intent.flows_acknowledged(plan, answer)
        names = {link.bid for link in plan.links}
        if plan.overwrite or plan.plain:
            others = (self._ledger.bindings.keys() | self._ledger.doubtful) - names
            self._intent.report_removed(self._ledger.forget(others))
        self._intent.overwrite = False
        self._note_bindings(outstanding, answer, statuses)
        if self._config.mobile_router and not answer.flags & AcknowledgementFlag.MOBILE_ROUTER:
            # RFC 3963 section 5.3: it serves no mobile routers. It has to be left before another one is asked.
            goes_on = self._agents.leads_on(())
            self._outlet.report(RegistrationRefused(Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED, not goes_on))
            self._leaving = () if goes_on else None
            self._intent.active = False

    def _removed(self, plan: Plan) -> None:
        """Note that what the plan names is gone, an unknown BID (133) included."""
        if plan.kind is PlanKind.REMOVE:
            self._intent.report_removed(self._ledger.forget(link.bid for link in plan.links))
            return
        # RFC 5648 section 5.9: the next registration is a first one.
        self._intent.overwrite = True
        self._registered_before = False
        self._intent.report_removed(self._ledger.forget_all())

    def _note_bindings(
        self, outstanding: Outstanding, answer: BindingAcknowledgement, statuses: dict[int, int]
    ) -> None:
        """Take over what was granted, each BID with its own status (RFC 5648 section 5.7)."""
        granted = answer.lifetime_units * LIFETIME_UNIT
        refresh = _refresh_time(answer, granted, self._config.refresh_after)
        noted: list[Binding] = []
        for link in outstanding.plan.links:
            status = statuses.get(link.bid, 0)
            if status >= 128:
                self._intent.refuse_link(link, status)
                continue
            ends = outstanding.sent + granted
            binding = Binding(link.bid, link.care_of, granted, ends, link.priority, link.at_home, link.link_layer)
            if link.at_home:
                without = Status.MCOA_RETURNHOME_WO_NDP
                self._outlet.report(AtHome(link.bid, without not in {answer.status, status}))
            self._ledger.note(binding, outstanding.sent + refresh)
            noted.append(binding)
        if noted:
            self._outlet.report(Registered(tuple(noted)))

    # Refusals

    def _refused_whole(self, plan: Plan, status: int, now: float) -> None:
        """Find another way, wait, or give up (RFC 5648 section 5.7, RFC 6275 section 11.7.3)."""
        if plan.removal and (status == Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE or self._leaving is not None):
            self._removed(plan)  # gone is gone; and what a home agent keeps that is left runs out
            self.advance(now)
            return
        if status in PASSING:
            # RFC 6275 section 11.4.1: another home agent, but not at the price of bindings that this one holds.
            moved = self._intent.active and not self._ledger.bindings and self._agents.move_on(now)
            final = False
            self._not_before = now + MAX_TIMEOUT
        elif self._intent.remedy(plan, status):
            moved = final = False
        else:
            # Status 134 is about the home address: no home agent can do anything about that.
            useful = self._intent.active and status != Status.DUPLICATE_ADDRESS_DETECTION_FAILED
            moved = useful and self._agents.move_on(now, refused=True)
            final = not moved and not (useful and self._agents.searching)
        self._outlet.report(RegistrationRefused(status, final))
        if moved:
            self._begin_anew(now)
        elif final:
            self._halted = True
        elif self._not_before is None:
            self.advance(now)

    # Home agents

    def found(self, now: float, *, moved: bool) -> None:
        """Hear that a search for home agents ended, `moved` with another one to register with."""
        if moved:
            self._begin_anew(now)
        elif self._agents.refused and self._intent.active:
            self._outlet.report(RegistrationRefused(Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE, final=True))
            self._halted = True

    def _change_agent(self, now: float) -> None:
        """Register with the next home agent, now that the old one is left, or silent."""
        home_agents, self._leaving = self._leaving or (), None
        self._outstanding = None
        self._intent.active = True
        if self._agents.go_to(home_agents, now):
            self._begin_anew(now)

    def _begin_anew(self, now: float) -> None:
        """Register with a home agent that knows nothing of this node. What the old one holds runs out."""
        assert self._agents.current is not None
        self._outlet.report(HomeAgentChanged(self._agents.current))
        self._intent.begin_anew()
        self._registered_before = False
        self._not_before = None
        self.advance(now)


def _refresh_time(answer: BindingAcknowledgement, granted: int, part: float) -> float:
    """Return after how many seconds a binding is refreshed: as the home agent advises, if that is sooner (RFC 6275 section 11.7.3)."""
    advised = [option.interval * LIFETIME_UNIT for option in answer.options if isinstance(option, BindingRefreshAdvice)]
    return min([granted * part, *(float(seconds) for seconds in advised if seconds)])
