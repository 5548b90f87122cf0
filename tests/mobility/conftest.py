"""A home agent on a bench: packets go in by hand, the clock is a number, transactions are committed when the test says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.model import NodeRecord, Transaction
from controller.mobility.wire import (
    BindingAcknowledgement,
    BindingIdentifier,
    BindingUpdate,
    Option,
    Packet,
    decode_packet,
    encode_packet,
)

HOME = Prefix.parse("2001:db8:0:1::/64")
HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a1::1")
ACK_HOME = 0xC000


class Bench:
    """A home agent and one mobile node's pen: each Binding Update gets the next sequence number unless it says otherwise."""

    def __init__(self, config: HomeAgentConfig) -> None:
        self.config = config
        self.engine = HomeAgent(config)
        self.now = 1000.0
        self.sequence = 0
        self.held: list[Transaction] = []

    def packet(
        self,
        *options: Option,
        sequence: int | None = None,
        lifetime: int = 60,
        flags: int = ACK_HOME,
        source: Address = COA1,
        home_address: Address | None = HOA,
        home_agent: Address = HA,
    ) -> bytes:
        """Return a Binding Update packet; `lifetime` in units of 4 s, `home_address` None for no option."""
        if sequence is None:
            self.sequence = sequence = (self.sequence + 1) & 0xFFFF
        update = BindingUpdate(sequence, flags, lifetime, options)
        return encode_packet(source, home_agent, update, home_address=home_address)

    def offer(self, *options: Option, **details: Any) -> None:
        """Send a Binding Update and leave its transaction open."""
        self.engine.receive(self.packet(*options, **details), self.now)

    def commit(self) -> int:
        """Commit what is proposed, and what that brings up; return how many transactions there were."""
        count = 0
        while transactions := self.held + self.engine.transactions():
            self.held = []
            for transaction in transactions:
                self.engine.commit(transaction.number, self.now)
                count += 1
        return count

    def replies(self) -> list[Packet]:
        """Return what the home agent sent, decoded."""
        return [decode_packet(packet) for packet in self.engine.outbox()]

    def exchange(self, *options: Option, **details: Any) -> BindingAcknowledgement:
        """Send a Binding Update, commit, and return its one acknowledgement."""
        self.offer(*options, **details)
        self.commit()
        (reply,) = self.replies()
        assert isinstance(reply.message, BindingAcknowledgement)
        return reply.message

    def silence(self, *options: Option, **details: Any) -> str:
        """Send a Binding Update that must get no answer and change nothing; return the reason of the drop."""
        self.held += self.engine.transactions()
        before = dict(self.engine.counters)
        records = tuple(self.engine.records())
        self.offer(*options, **details)
        assert not self.engine.transactions()
        assert not self.engine.outbox()
        assert tuple(self.engine.records()) == records
        (reason,) = [
            key.removeprefix("dropped_")
            for key, count in self.engine.counters.items()
            if key.startswith("dropped_") and count != before.get(key, 0)
        ]
        return reason

    def pass_time(self, seconds: float) -> None:
        """Let the clock run, timer by timer."""
        end = self.now + seconds
        while (when := self.engine.next_timer()) is not None and when <= end:
            self.now = max(self.now, when)
            self.engine.handle_timer(self.now)
            self.commit()
        self.now = end

    def record(self, home_address: Address = HOA) -> NodeRecord:
        """Return the record in force."""
        record = self.engine.record(home_address)
        assert record is not None
        return record

    def care_of(self, home_address: Address = HOA) -> dict[int, Address]:
        """Return BID and care-of address of each binding in force."""
        record = self.engine.record(home_address)
        return {binding.bid: binding.care_of for binding in record.bindings} if record else {}

    def restarted(self, **changes: Any) -> "Bench":
        """Return a bench whose engine took over the records of this one, with another configuration."""
        bench = Bench(replace(self.config, **changes))
        bench.engine.restore(self.engine.records())
        bench.now, bench.sequence = self.now, self.sequence
        return bench


def bid(number: int, care_of: Address | None = None, priority: int = 0, **more: Any) -> BindingIdentifier:
    """Return a BID option."""
    return BindingIdentifier(number, care_of, priority, **more)


def make_config(provision: NodeProvision | None = None, **changes: Any) -> HomeAgentConfig:
    """Return a configuration with one provisioned node, or with an open network when there is none."""
    nodes = {provision.home_address: provision} if provision is not None else {HOA: NodeProvision(HOA)}
    return replace(HomeAgentConfig((HomeNetwork(HOME, HA),), nodes), **changes)


@pytest.fixture
def bench() -> Bench:
    """A bench with one ordinary mobile node."""
    return Bench(make_config())


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    """Makes a bench: fields of `NodeProvision` by name, and with `config_` before them those of `HomeAgentConfig`."""

    def make(**details: Any) -> Bench:
        provision = {name: value for name, value in details.items() if not name.startswith("config_")}
        config = {name.removeprefix("config_"): value for name, value in details.items() if name.startswith("config_")}
        return Bench(make_config(NodeProvision(HOA, **provision), **config))

    return make
