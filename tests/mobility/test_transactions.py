"""Nothing is acknowledged before it is in force: transactions under way, undone, retransmitted, queued."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.events import Aborted, Committed, DropReason, Refused, RefusedInPart
from controller.mobility.home_agent import HomeNetwork
from controller.mobility.model import Cause
from controller.mobility.wire import BindingAcknowledgement, BindingIdentifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.mobility.model import Transaction
    from tests.mobility.conftest import Bench

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a1::1")
COA2 = parse_address("2001:db8:a2::1")
COA3 = parse_address("2001:db8:a3::1")


def bid(number: int, care_of: bytes | None = None) -> BindingIdentifier:
    return BindingIdentifier(number, care_of)


def only(bench: Bench) -> Transaction:
    (transaction,) = bench.engine.transactions()
    return transaction


def answers(bench: Bench) -> list[tuple[int, int]]:
    """Status and sequence number of each acknowledgement."""
    return [
        (reply.message.status, reply.message.sequence)
        for reply in bench.replies()
        if isinstance(reply.message, BindingAcknowledgement)
    ]


def test_nothing_is_in_force_before_commit(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    transaction = only(bench)
    assert bench.engine.record(HOA) is None
    assert answers(bench) == []
    bench.engine.commit(transaction.number, bench.now)
    assert bench.engine.record(HOA) == transaction.after
    assert answers(bench) == [(0, 1)]
    assert bench.engine.events() == [Committed(transaction)]


def test_transactions_are_numbered_and_handed_out_once(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    first = only(bench)
    assert bench.engine.transactions() == []
    bench.engine.commit(first.number, bench.now)
    bench.offer(bid(2, COA2))
    second = only(bench)
    assert second.number > first.number
    assert second.before == first.after


@pytest.mark.parametrize("finish", ["commit", "abort"])
def test_finishing_what_is_not_under_way(bench: Bench, finish: str) -> None:
    bench.offer(bid(1, COA1))
    number = only(bench).number
    bench.engine.commit(number, bench.now)
    with pytest.raises(KeyError):
        getattr(bench.engine, finish)(number, bench.now)


def test_abort_keeps_the_old_record(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    before = bench.record()
    bench.engine.events()
    bench.offer(bid(1, COA2), bid(2, COA3))
    transaction = only(bench)
    bench.engine.abort(transaction.number, bench.now)
    assert bench.record().bindings == before.bindings
    assert bench.record().sequence == 2
    (reply,) = bench.replies()
    assert reply.message == BindingAcknowledgement(130, 2, 0, 0, (bid(1), bid(2)))
    assert bench.engine.events() == [Aborted(transaction, 130), Refused(HOA, COA1, 130)]


def test_bids_that_are_refused_while_others_are_accepted_are_reported(bench: Bench) -> None:
    """One without room, and one that RFC 5648 section 4.1 reserves; both with the source that asked."""
    bench.offer(bid(1, COA1), bid(2, COA2), bid(0, COA3))
    first = only(bench)
    bench.engine.abort(first.number, bench.now, 130, full=frozenset({2}))
    assert bench.engine.events() == [], "nothing has been decided yet"
    second = only(bench)
    bench.engine.commit(second.number, bench.now)
    assert bench.engine.events() == [Committed(second), RefusedInPart(HOA, COA1, ((2, 130), (0, 164)))]
    assert bench.engine.counters["bids_refused_130"] == 1
    assert bench.care_of() == {1: COA1}
    # An accepted BID with a status of its own is none that was refused.
    bench.replies()
    bench.exchange(bid(1, COA1))
    assert not any(isinstance(event, RefusedInPart) for event in bench.engine.events())


def test_abort_of_a_first_registration_leaves_nothing(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    bench.engine.abort(only(bench).number, bench.now, 143)
    assert list(bench.engine.records()) == []
    assert bench.engine.next_timer() is None
    assert answers(bench) == [(143, 1)]


def test_abort_of_a_removal(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    bench.offer(lifetime=0)
    bench.engine.abort(only(bench).number, bench.now, 128)
    assert bench.care_of() == {1: COA1}
    assert answers(bench) == [(128, 2)]


@pytest.mark.parametrize("status", [0, 4, 127, 256])
def test_abort_needs_a_status_that_refuses(bench: Bench, status: int) -> None:
    bench.offer(bid(1, COA1))
    number = only(bench).number
    with pytest.raises(ValueError, match="128 to 255"):
        bench.engine.abort(number, bench.now, status)
    bench.engine.commit(number, bench.now)


def test_abort_gives_the_room_back(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(config_max_bindings=2)
    for _ in range(5):
        bench.offer(bid(1, COA1), bid(2, COA2))
        bench.engine.abort(only(bench).number, bench.now)
    bench.engine.outbox()
    assert bench.exchange(bid(1, COA1), bid(2, COA2)).status == 0


def bid_statuses(answer: BindingAcknowledgement) -> list[tuple[int, int]]:
    return [(option.bid, option.status) for option in answer.options if isinstance(option, BindingIdentifier)]


def test_abort_for_some_bids_goes_on_with_the_others(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    bench.offer(bid(1, COA1), bid(2, COA2), bid(3, COA3))
    first = only(bench)
    bench.engine.abort(first.number, bench.now, full=frozenset({2}))
    assert bench.replies() == []
    second = only(bench)
    assert second.number > first.number
    assert second.after is not None
    assert [one.bid for one in second.after.bindings] == [1, 3]
    bench.engine.commit(second.number, bench.now)
    (reply,) = bench.replies()
    assert isinstance(reply.message, BindingAcknowledgement)
    assert (reply.message.status, reply.message.lifetime_units) == (4, 60)
    assert bid_statuses(reply.message) == [(1, 0), (2, 130), (3, 0)]
    assert bench.care_of() == {1: COA1, 3: COA3}


def test_abort_for_a_bid_that_moves_leaves_it_where_it_was(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    until = bench.record().bindings[1].expires
    bench.now += 8
    bench.offer(bid(1, COA1), bid(2, COA3))
    bench.engine.abort(only(bench).number, bench.now, full=frozenset({2}))
    bench.commit()
    assert answers(bench) == [(4, 2)]
    assert bench.care_of() == {1: COA1, 2: COA2}
    assert [one.expires for one in bench.record().bindings] == [until + 8, until]


def test_abort_for_one_bid_after_the_other_ends_with_a_refusal(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    due = bench.engine.next_timer()
    bench.offer(bid(2, COA2), bid(3, COA3))
    for number in (2, 3):
        bench.engine.abort(only(bench).number, bench.now, full=frozenset({number}))
    (reply,) = bench.replies()
    assert isinstance(reply.message, BindingAcknowledgement)
    assert reply.message == BindingAcknowledgement(130, 2, 0, 0, (bid(2), bid(3)))
    assert bench.care_of() == {1: COA1}
    assert bench.engine.next_timer() == due
    assert bench.exchange(bid(2, COA2)).status == 0, "what had no room then may have it now"


@pytest.mark.parametrize("full", [frozenset(), frozenset({9})])
def test_abort_for_no_bid_that_was_named_refuses_all(bench: Bench, full: frozenset[int]) -> None:
    bench.offer(bid(1, COA1), bid(2, COA2))
    bench.engine.abort(only(bench).number, bench.now, full=full)
    assert answers(bench) == [(130, 1)]
    assert bench.engine.transactions() == []


def test_abort_for_a_bid_without_number_refuses_all(bench: Bench) -> None:
    bench.offer()
    bench.engine.abort(only(bench).number, bench.now, full=frozenset({0}))
    assert answers(bench) == [(130, 1)]


def test_what_waits_and_what_comes_again_outlives_an_abort_for_some_bids(bench: Bench) -> None:
    bench.offer(bid(1, COA1), bid(2, COA2))
    first = only(bench)
    bench.offer(bid(1, COA1), bid(2, COA2))  # the same with a newer number, which counts
    bench.offer(bid(3, COA3))
    bench.engine.abort(first.number, bench.now, full=frozenset({2}))
    bench.engine.commit(only(bench).number, bench.now)
    assert answers(bench) == [(4, 2)]
    bench.commit()
    assert answers(bench) == [(0, 3)]
    assert bench.care_of() == {1: COA1, 3: COA3}
    assert len(bench.engine.transactions()) == 0


def test_room_is_taken_while_under_way(make_bench: Callable[..., Bench]) -> None:
    network = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA, open=True)
    bench = make_bench(config_max_bindings=2, config_networks=(network,))
    bench.offer(bid(1, COA1), bid(2, COA2))
    other = parse_address("2001:db8:0:1::200")
    bench.offer(bid(1, COA1), home_address=other)
    assert answers(bench) == [(130, 2)]


# Retransmissions


def test_retransmission_is_answered_once_with_the_newest_number(bench: Bench) -> None:
    for _ in range(4):
        bench.offer(bid(1, COA1))
    transaction = only(bench)
    bench.engine.commit(transaction.number, bench.now)
    assert answers(bench) == [(0, 4)]
    assert bench.record().sequence == 4
    assert bench.engine.transactions() == []


def test_duplicate_in_flight_is_dropped(bench: Bench) -> None:
    bench.offer(bid(1, COA1), sequence=7)
    assert bench.silence(bid(1, COA1), sequence=7) == DropReason.DUPLICATE
    assert bench.silence(bid(1, COA1), sequence=6) == DropReason.DUPLICATE
    bench.commit()
    assert answers(bench) == [(0, 7)]


def test_retransmission_after_abort_gets_the_refusal_once(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    bench.offer(bid(1, COA1))
    bench.engine.abort(only(bench).number, bench.now)
    assert answers(bench) == [(130, 2)]


def test_the_same_from_another_source_is_another_update(bench: Bench) -> None:
    bench.offer(bid(1, COA1), source=COA1)
    bench.offer(bid(1, COA1), source=COA2)
    bench.commit()
    assert [(reply.destination, reply.message.sequence) for reply in bench.replies() if reply.message] == [  # type: ignore[union-attr]  # all are acknowledgements
        (COA1, 1),
        (COA2, 2),
    ]


def test_the_same_with_a_home_address_option_is_another_update(bench: Bench) -> None:
    """They are answered in different ways: with and without a routing header."""
    bench.exchange(bid(1, COA1))
    bench.offer(lifetime=0, source=HOA)
    bench.offer(lifetime=0, source=HOA, home_address=None)
    bench.commit()
    assert [reply.routing_address for reply in bench.replies()] == [HOA, None]


# Waiting


def test_a_different_update_waits(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    bench.offer(bid(2, COA2))
    first = only(bench)
    bench.engine.commit(first.number, bench.now)
    second = only(bench)
    assert second.before == first.after
    assert answers(bench) == [(0, 1)]
    bench.engine.commit(second.number, bench.now)
    assert answers(bench) == [(0, 2)]
    assert bench.care_of() == {1: COA1, 2: COA2}


def test_what_waits_goes_on_after_abort(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    bench.offer(bid(2, COA2))
    bench.engine.abort(only(bench).number, bench.now)
    bench.commit()
    assert answers(bench) == [(130, 1), (0, 2)]
    assert bench.care_of() == {2: COA2}


def test_retransmission_of_the_last_that_waits_replaces_it(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    for _ in range(6):
        bench.offer(bid(2, COA2))
    assert bench.silence(bid(2, COA2), sequence=7) == DropReason.DUPLICATE
    bench.commit()
    assert answers(bench) == [(0, 1), (0, 7)]


def test_updates_are_carried_out_in_order(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    bench.offer(bid(1, COA2))
    bench.offer(bid(1, COA1))
    assert bench.commit() == 3
    assert bench.care_of() == {1: COA1}
    assert answers(bench) == [(0, 1), (0, 2), (0, 3)]


def test_old_number_that_waits_is_refused_in_its_turn(bench: Bench) -> None:
    bench.offer(bid(1, COA1), sequence=10)
    bench.offer(bid(2, COA2), sequence=9)
    bench.commit()
    assert answers(bench) == [(0, 10), (135, 10)]


def test_several_refusals_in_a_row(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    bench.offer(bid(7))
    bench.offer(bid(8))
    bench.offer(bid(2, COA2))
    assert bench.commit() == 2
    assert answers(bench) == [(0, 1), (167, 2), (167, 3), (0, 4)]


def test_the_queue_is_bounded(bench: Bench) -> None:
    bench.offer(bid(1, COA1))
    for number in range(2, 6):
        bench.offer(bid(number, COA1))
    assert bench.silence(bid(6, COA1)) == DropReason.WAITING_FULL
    bench.commit()
    assert set(bench.care_of()) == {1, 2, 3, 4, 5}


def test_nodes_under_way_are_bounded(make_bench: Callable[..., Bench]) -> None:
    network = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA, open=True)
    bench = make_bench(config_max_in_flight=3, config_networks=(network,))
    homes = [Address(HOA[:15] + bytes((number,))) for number in range(10, 14)]
    for home_address in homes[:3]:
        bench.offer(home_address=home_address)
    assert bench.silence(home_address=homes[3]) == DropReason.IN_FLIGHT_FULL
    assert bench.commit() == 3
    bench.engine.outbox()
    assert bench.exchange(home_address=homes[3]).status == 0


# Expiry


def test_expiry_is_a_transaction(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=1)
    before = bench.record()
    bench.now += 4
    bench.engine.handle_timer(bench.now)
    transaction = only(bench)
    assert (transaction.before, transaction.after, transaction.cause) == (before, None, Cause.EXPIRY)
    assert bench.record() == before
    bench.engine.commit(transaction.number, bench.now)
    assert bench.engine.record(HOA) is None
    assert answers(bench) == []


def test_expiry_that_is_undone_comes_back(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=1)
    bench.now += 4
    for _ in range(3):
        assert bench.engine.next_timer() is not None
        bench.engine.handle_timer(bench.now)
        bench.engine.abort(only(bench).number, bench.now)
        assert answers(bench) == []
        assert bench.engine.next_timer() == bench.now + 1
        bench.engine.handle_timer(bench.now)
        assert bench.engine.transactions() == []
        bench.now += 1
    bench.pass_time(0)
    assert bench.engine.record(HOA) is None


def test_forgetting_that_is_undone_comes_back(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    bench.exchange(lifetime=0)
    bench.now += 10
    bench.engine.handle_timer(bench.now)
    transaction = only(bench)
    assert transaction.cause is Cause.FORGOTTEN
    bench.engine.abort(transaction.number, bench.now)
    bench.pass_time(1)
    assert bench.engine.record(HOA) is None


def test_expiry_waits_for_what_is_under_way(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=1)
    bench.offer(bid(2, COA2), lifetime=100)
    transaction = only(bench)
    bench.now += 5
    bench.engine.handle_timer(bench.now)
    assert bench.engine.transactions() == []
    bench.engine.commit(transaction.number, bench.now)
    assert bench.engine.next_timer() is not None
    bench.pass_time(0)
    assert bench.care_of() == {2: COA2}


@pytest.mark.parametrize("finish", ["commit", "abort"])
def test_update_waits_for_an_expiry_under_way(bench: Bench, finish: str) -> None:
    bench.exchange(bid(1, COA1), lifetime=1)
    bench.now += 4
    bench.engine.handle_timer(bench.now)
    transaction = only(bench)
    bench.offer(bid(1, COA3))
    assert bench.engine.transactions() == []
    getattr(bench.engine, finish)(transaction.number, bench.now)
    bench.commit()
    assert answers(bench) == [(0, 2)]
    assert bench.care_of() == {1: COA3}
    bench.pass_time(100)
    assert bench.care_of() == {1: COA3}


def test_aborted_refresh_of_what_ran_out_meanwhile(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=1)
    bench.offer(bid(1))
    number = only(bench).number
    bench.now += 10
    bench.engine.handle_timer(bench.now)
    assert bench.engine.transactions() == []
    bench.engine.abort(number, bench.now)
    bench.pass_time(0)
    assert bench.engine.record(HOA) is None
