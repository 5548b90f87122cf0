"""What a mobile node knows of one correspondent: tokens, tests under way, bindings, and the next step (RFC 6275 section 11.6).

| phase | event | what happens | next |
|---|---|---|---|
| current | a registered link is not bound there as it is, or its binding wants a refresh | test inits for the tokens that lack | testing |
| current | a binding is there whose link is gone | the same, with the home token alone | testing |
| testing | a test with our cookie | its token counts until 210 s after the init | testing, registering |
| testing | none for 1 s, then twice as long | the init again, with a new cookie | testing |
| testing | none after the third repetition | what is bound there is given up | resting |
| registering | all tokens are there | a Binding Update for one BID, under their key | registering |
| registering | accepted | noted; the next link, if any | current, testing, registering |
| registering | status 135, genuine | again, from the number that the correspondent accepted last | registering |
| registering | status 136, 137, 138 | that token, or both, are gone; after the third in a row as for any other status | testing, resting |
| registering | another status of 128 or more, genuine | what is bound there is given up | resting |
| registering | no answer for 1 s, then twice as long | again, with a new number; after 32 s as for a refusal | registering, resting |
| any | Binding Error 1, from a correspondent with bindings | they are gone | current |
| any | Binding Error 2 or an ICMPv6 parameter problem about our message | it cannot do it | resting |
| resting | five minutes are over | everything is tried again | current |
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from controller.mobility.address import Address
from controller.mobility.model import NO_BID, Binding
from controller.mobility.node_plan import Link
from controller.mobility.return_routability import MAX_BINDING_LIFETIME
from controller.mobility.wire.codes import LIFETIME_UNIT
from controller.values import value

FIRST_TIMEOUT: Final = 1.0
"""Seconds: INITIAL_BINDACK_TIMEOUT, for test inits and Binding Updates (RFC 6275 section 11.8)."""
MAX_TIMEOUT: Final = 32.0
"""MAX_BINDACK_TIMEOUT."""
MAX_FAILURES: Final = 3
"""MAX_RO_FAILURE (RFC 6275 section 12): repetitions before the correspondent is given up."""
REST: Final = 300.0
"""Seconds for which a correspondent that was given up is left alone. RFC 6275 section 11.3.5 gives no number."""
MAX_RATE: Final = 3
"""Messages of one type to one correspondent in any second: MAX_UPDATE_RATE (RFC 6275 section 11.8)."""
MARGIN: Final = 1.0
"""Seconds that a token has to be good for when it is used."""
REFRESH_AFTER: Final = 0.8
"""Part of a binding's lifetime after which it is refreshed; the tests have to fit into the rest."""


class PeerPhase(StrEnum):
    """In which of four phases the conversation with a correspondent is."""

    CURRENT = "current"
    """It knows what it should know."""
    TESTING = "testing"
    REGISTERING = "registering"
    RESTING = "resting"
    """It is left alone for a while."""


@value
class Situation:
    """What correspondents may be told now."""

    now: float
    links: tuple[Link, ...]
    """What is registered with the home agent, away from home, best first."""
    ends: Mapping[int, float]
    """When each of these bindings ends at the home agent, by BID."""
    from_home: Callable[[bytes], bytes] | None = None
    """Makes of a packet from the home address the one that leaves: in the reverse tunnel, or as it is at home. None: it cannot."""


@value
class Token:
    """A keygen token, with the nonce that it was made from."""

    index: int
    octets: bytes
    until: float


@value
class Test:
    """A Test Init that waits for its answer."""

    cookie: bytes
    """Empty: it is to be sent again, with another one, as soon as the rate allows."""
    sent: float
    timeout: float = FIRST_TIMEOUT
    repeated: int = 0

    @property
    def deadline(self) -> float:
        """When it is sent again."""
        return self.sent + self.timeout


@value
class Task:
    """One Binding Update to be: a link to be bound, or a BID to be removed."""

    bid: int
    link: Link | None = None

    @property
    def removal(self) -> bool:
        """Whether the binding is to go."""
        return self.link is None


@value
class Claim:
    """A Binding Update that waits for its acknowledgement."""

    task: Task
    sequence: int
    sent: float
    timeout: float
    lifetime: int
    key: bytes = field(repr=False)
    """The binding management key."""
    binds: Address
    """What the authenticators cover: the care-of address, of a removal the home address."""

    @property
    def deadline(self) -> float:
        """When it is sent again."""
        return self.sent + self.timeout


class Peer:
    """A correspondent, as far as the mobile node knows it. Nothing here sends.

    Args:
        address: Its address; its home address when it is mobile itself.
        sequence: The number before the first sequence number, random (RFC 6275 section 11.7.2).
    """

    def __init__(self, address: Address, sequence: int) -> None:
        self.address: Final = address
        self.sequence = sequence
        self.wanted = True
        """Whether it should know care-of addresses at all; otherwise what it knows is removed."""
        self.home: Token | None = None
        self.care_of: dict[Address, Token] = {}
        self.tests: Final[dict[Address, Test]] = {}
        """By the address that is tested: the home address or a care-of address."""
        self.claim: Claim | None = None
        self.bindings: Final[dict[int, Binding]] = {}
        self.refresh_at: Final[dict[int, float]] = {}
        self.timeout = FIRST_TIMEOUT
        """Of the next Binding Update."""
        self.expired_nonces = 0
        """Answers in a row that said so."""
        self.first = True
        """It was told nothing yet, so what it may know is of a former life of this node (RFC 5648 section 5.9)."""
        self.rests_until: float | None = None
        self.looked_at = 0.0
        """When it was last seen to what is to be sent: what was due then has been done, or cannot be."""
        self._sent: Final[dict[type, deque[float]]] = {}
        self.held_until: float | None = None
        """When the rate lets the next message pass that it held back."""

    @property
    def phase(self) -> PeerPhase:
        """Where the conversation is."""
        if self.rests_until is not None:
            return PeerPhase.RESTING
        if self.claim is not None:
            return PeerPhase.REGISTERING
        return PeerPhase.TESTING if self.tests else PeerPhase.CURRENT

    def tasks(self, situation: Situation) -> list[Task]:
        """Return the Binding Updates that are to be sent, in order: what is to be bound comes before what is to go."""
        links = situation.links if self.wanted else ()
        tasks = [Task(link.bid, link) for link in links if self._is_due(link, situation.now)]
        kept = {link.bid for link in links}
        return tasks + [Task(bid) for bid in sorted(self.bindings) if bid not in kept]

    def _is_due(self, link: Link, now: float) -> bool:
        binding = self.bindings.get(link.bid)
        if binding is None or (binding.care_of, binding.priority) != (link.care_of, link.priority):
            return True
        return self.refresh_at[link.bid] <= now

    def home_token(self, now: float) -> Token | None:
        """Return the home keygen token, if it is still good."""
        return _good(self.home, now)

    def care_of_token(self, care_of: Address, now: float) -> Token | None:
        """Return the care-of keygen token of an address, if it is still good."""
        return _good(self.care_of.get(care_of), now)

    def may_send(self, kind: type, now: float) -> bool:
        """Tell whether the rate lets one more message of a type pass, and count it if so."""
        sent = self._sent.setdefault(kind, deque(maxlen=MAX_RATE))
        if len(sent) == MAX_RATE and now < sent[0] + 1.0:
            self.held_until = sent[0] + 1.0 if self.held_until is None else min(self.held_until, sent[0] + 1.0)
            return False
        sent.append(now)
        return True

    def note(self, claim: Claim, granted: int) -> Binding | None:
        """Take over what was acknowledged; return the binding, None when it was removed."""
        self.first = False
        self.expired_nonces = 0
        self.timeout = FIRST_TIMEOUT
        link = claim.task.link
        if claim.task.bid == NO_BID or link is None:
            self.forget([claim.task.bid] if link is None else list(self.bindings))
        if link is None:
            return None
        # RFC 6275 section 11.7.3: the time counts from when the Binding Update was sent.
        binding = Binding(link.bid, link.care_of, granted, claim.sent + granted, link.priority)
        self.bindings[link.bid] = binding
        self.refresh_at[link.bid] = claim.sent + granted * REFRESH_AFTER
        return binding

    def forget(self, bids: list[int]) -> tuple[int, ...]:
        """Drop bindings; return the BIDs that there were."""
        known = tuple(bid for bid in bids if self.bindings.pop(bid, None) is not None)
        for bid in known:
            self.refresh_at.pop(bid, None)
        return known

    def rest(self, now: float) -> tuple[int, ...]:
        """Give it up for a while; return the BIDs that it was believed to know."""
        self.tests.clear()
        self.claim = None
        self.timeout = FIRST_TIMEOUT
        self.expired_nonces = 0
        self.rests_until = now + REST
        return self.forget(list(self.bindings))

    def lifetime(self, task: Task, situation: Situation) -> int:
        """Return what to ask for, in seconds: no longer than the home registration lasts (RFC 6275 section 11.7.2)."""
        if task.removal:
            return 0
        left = int(situation.ends.get(task.bid, situation.now) - situation.now)
        return min(left, MAX_BINDING_LIFETIME) // LIFETIME_UNIT * LIFETIME_UNIT

    def next_timer(self) -> float | None:
        """Return when something is due."""
        if self.rests_until is not None:
            return self.rests_until
        times = [test.deadline for test in self.tests.values() if test.cookie]
        times += [binding.expires for binding in self.bindings.values()]
        if self.claim is not None:
            times.append(self.claim.deadline)
        else:
            times += [when for when in self.refresh_at.values() if when > self.looked_at]
        if self.held_until is not None:
            times.append(self.held_until)
        return min(times, default=None)


def _good(token: Token | None, now: float) -> Token | None:
    return token if token is not None and token.until > now + MARGIN else None
