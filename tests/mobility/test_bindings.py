"""What registrations do to the bindings of a node (RFC 5648 section 6.2), and what time does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.mobility.address import Prefix, parse_address
from controller.mobility.decide import ACTIONS
from controller.mobility.home_agent import HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.model import Binding, Cause, NodeRecord
from controller.mobility.request import RecordState, RequestKind
from controller.mobility.wire import AlternateCareOf, BindingIdentifier, NetworkPrefix, RawOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mobility.conftest import Bench

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
HOA2 = parse_address("2001:db8:0:1::200")
COA1 = parse_address("2001:db8:a1::1")
COA2 = parse_address("2001:db8:a2::1")
COA3 = parse_address("2001:db8:a3::1")
PLAIN, OVERWRITE, ROUTER = 0xC000, 0xC040, 0xC400


def bid(number: int, care_of: bytes | None = None, priority: int = 0, status: int = 0) -> BindingIdentifier:
    return BindingIdentifier(number, care_of, priority, status)


def test_the_table_knows_every_case() -> None:
    assert set(ACTIONS) == {(state, kind) for state in RecordState for kind in RequestKind}


def test_first_registration(bench: Bench) -> None:
    assert bench.exchange(bid(1, COA1, 10), flags=OVERWRITE, lifetime=60).status == 0
    assert bench.record() == NodeRecord(HOA, HA, 1, (Binding(1, COA1, 240, bench.now + 240, 10),))


def test_another_bid_is_added(bench: Bench) -> None:
    bench.exchange(bid(2, COA2))
    bench.exchange(bid(1, COA1))
    assert bench.care_of() == {1: COA1, 2: COA2}
    assert [binding.bid for binding in bench.record().bindings] == [1, 2]


def test_bulk_is_one_transaction(bench: Bench) -> None:
    bench.offer(bid(3, COA3), bid(1, COA1), bid(2, COA2))
    (transaction,) = bench.engine.transactions()
    assert (transaction.before, transaction.cause) == (None, Cause.REGISTRATION)
    assert transaction.after is not None
    assert [binding.bid for binding in transaction.after.bindings] == [1, 2, 3]


def test_same_bid_moves(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    bench.exchange(bid(1, COA3))
    assert bench.care_of() == {1: COA3, 2: COA2}


def test_refresh_without_address_keeps_it(bench: Bench) -> None:
    bench.exchange(bid(1, COA1, 5), bid(2, COA2, 6), lifetime=60)
    bench.now += 100
    bench.exchange(bid(1, priority=7), lifetime=30)
    assert bench.record().bindings == (
        Binding(1, COA1, 120, bench.now + 120, 7),
        Binding(2, COA2, 240, bench.now + 140, 6),
    )


def test_overwrite_removes_what_it_does_not_name(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    bench.exchange(bid(3, COA3), flags=OVERWRITE)
    assert bench.care_of() == {3: COA3}


def test_overwrite_takes_addresses_from_what_it_overwrites(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    assert bench.exchange(bid(1), flags=OVERWRITE).status == 0
    assert bench.care_of() == {1: COA1}


def test_overwrite_flag_without_bid_means_nothing(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    bench.exchange(flags=OVERWRITE, source=COA2)
    assert bench.care_of() == {0: COA2}


def test_registration_without_bid_replaces_all(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    assert bench.exchange(source=COA3).status == 0
    assert bench.care_of() == {0: COA3}


def test_alternate_address_does_not_override_that_of_the_bid(bench: Bench) -> None:
    assert bench.exchange(AlternateCareOf(COA3), bid(1, COA1)).status == 0
    assert bench.care_of() == {1: COA1}


def test_address_of_the_bid_need_not_be_the_source(bench: Bench) -> None:
    bench.exchange(bid(1, COA2), source=COA1)
    assert bench.care_of() == {1: COA2}


def test_status_in_an_update_is_ignored(bench: Bench) -> None:
    assert bench.exchange(bid(1, COA1, status=255)).options == (BindingIdentifier(1),)


def test_unknown_options_and_reserved_flags_are_ignored(bench: Bench) -> None:
    assert bench.exchange(RawOption(200, b"x"), bid(1, COA1), flags=0xF80F | 0x4000 & ~0x0800).status == 0


def test_removal_of_all(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    answer = bench.exchange(lifetime=0)
    assert (answer.status, answer.lifetime_units, answer.options) == (0, 0, ())
    assert bench.record() == NodeRecord(HOA, HA, 2, forget_at=bench.now + 10)


def test_removal_of_some(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2), bid(3, COA3))
    answer = bench.exchange(bid(2), lifetime=0)
    assert (answer.status, answer.options) == (0, (BindingIdentifier(2),))
    assert bench.care_of() == {1: COA1, 3: COA3}


def test_removal_of_the_last_leaves_a_tombstone(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    bench.exchange(bid(2), bid(1), lifetime=0)
    assert bench.record().forget_at == bench.now + 10


def test_removal_ignores_overwrite_and_addresses(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    assert bench.exchange(bid(1, COA3), flags=OVERWRITE, lifetime=0).status == 0
    assert bench.care_of() == {2: COA2}


def test_removal_of_a_bid_from_a_plain_binding(bench: Bench) -> None:
    bench.exchange()
    assert bench.exchange(bid(1), lifetime=0).status == 133
    assert bench.care_of() == {0: COA1}


def test_bids_of_two_nodes_are_apart(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(config_networks=(HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA, open=True),))
    bench.exchange(bid(1, COA1))
    bench.exchange(bid(1, COA2), home_address=HOA2, sequence=1)
    assert (bench.care_of(HOA), bench.care_of(HOA2)) == ({1: COA1}, {1: COA2})


def test_open_network_does_not_give_its_own_address_away(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(config_networks=(HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA, open=True),))
    assert bench.exchange(home_address=HA).status == 133


def test_most_specific_network_decides(make_bench: Callable[..., Bench]) -> None:
    wide = HomeNetwork(Prefix.parse("2001:db8::/32"), HA, open=True)
    narrow = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA)
    bench = make_bench(config_networks=(wide, narrow))
    assert bench.exchange(home_address=HOA2).status == 133
    assert bench.exchange(home_address=parse_address("2001:db8:0:7::1"), sequence=1).status == 0


def test_sequence_number_is_shared_by_all_bids(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), sequence=9)
    assert bench.exchange(bid(2, COA2), sequence=9).status == 135


def test_refused_update_counts_its_sequence_number(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), sequence=5)
    before = bench.record()
    assert bench.exchange(bid(9), sequence=20).status == 167
    assert bench.record().sequence == 20
    assert bench.record().bindings == before.bindings
    assert bench.exchange(bid(1), sequence=20).status == 135


# Mobile routers


@pytest.fixture
def router(make_bench: Callable[..., Bench]) -> Bench:
    prefixes = (Prefix.parse("2001:db8:1:2::/64"), Prefix.parse("2001:db8:1:3::/64"))
    return make_bench(mobile_router=True, prefixes=prefixes)


def test_router_names_its_prefixes(router: Bench) -> None:
    one, two = router.config.nodes[HOA].prefixes
    router.exchange(NetworkPrefix(one), bid(1, COA1), flags=ROUTER)
    assert router.record().prefixes == (one,)
    assert router.record().mobile_router
    router.exchange(NetworkPrefix(two), NetworkPrefix(two), bid(1), flags=ROUTER)
    assert router.record().prefixes == (two,), "what a refresh does not name is no longer forwarded"
    router.exchange(bid(2, COA2), flags=ROUTER)
    assert router.record().prefixes == (one, two)


def test_router_removal_of_a_bid_keeps_the_prefixes(router: Bench) -> None:
    router.exchange(bid(1, COA1), bid(2, COA2), flags=ROUTER)
    prefixes = router.record().prefixes
    stranger = NetworkPrefix(Prefix.parse("2001:db8:9::/64"))
    assert router.exchange(stranger, bid(1), lifetime=0).status == 0
    assert (router.record().prefixes, router.record().mobile_router) == (prefixes, True)


def test_router_at_home_removes_with_a_lifetime(router: Bench) -> None:
    router.exchange(bid(1, COA1), flags=ROUTER)
    assert router.exchange(source=HOA, home_address=None, flags=ROUTER, lifetime=60).lifetime_units == 0
    assert router.care_of() == {}


def test_home_care_of_address_removes_where_configured(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(config_home_care_of_removes=True)
    bench.exchange()
    assert bench.exchange(AlternateCareOf(HOA)).status == 0
    assert bench.care_of() == {}


def test_router_may_have_its_home_address_in_its_prefix(make_bench: Callable[..., Bench]) -> None:
    inside = parse_address("2001:db8:1:2::1")
    provision = NodeProvision(inside, prefixes=(Prefix.parse("2001:db8:1:2::/64"),), mobile_router=True)
    bench = make_bench(config_nodes={inside: provision})
    assert bench.exchange(home_address=inside, flags=PLAIN).status == 132
    assert bench.exchange(home_address=inside, flags=ROUTER).status == 0
    assert bench.exchange(home_address=inside, flags=PLAIN, lifetime=0).status == 0


def test_prefixes_of_a_plain_node_are_ignored(bench: Bench) -> None:
    assert bench.exchange(NetworkPrefix(Prefix.parse("2001:db8:1:2::/64"))).status == 0
    assert bench.record().prefixes == ()


# Time


def test_bindings_expire_one_by_one(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=15)
    bench.exchange(bid(2, COA2), lifetime=150)
    assert bench.engine.next_timer() == bench.now + 60
    bench.pass_time(61)
    assert bench.care_of() == {2: COA2}
    bench.pass_time(600)
    assert bench.engine.record(HOA) is None
    assert bench.engine.next_timer() is None
    assert bench.exchange(bid(1, COA1), sequence=1).status == 0


def test_refresh_restarts_the_clock(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=15)
    bench.pass_time(50)
    bench.exchange(bid(1), lifetime=15)
    bench.pass_time(50)
    assert bench.care_of() == {1: COA1}
    bench.pass_time(10)
    assert bench.care_of() == {}


def test_tombstone_refuses_late_updates_and_goes(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), sequence=19)
    bench.exchange(sequence=20, lifetime=0)
    bench.pass_time(9)
    assert (bench.exchange(bid(1, COA1), sequence=19).status, bench.record().sequence) == (135, 20)
    assert bench.exchange(sequence=21, lifetime=0).status == 133
    bench.pass_time(2)
    assert bench.engine.record(HOA) is None
    assert bench.exchange(bid(1, COA1), sequence=3).status == 0


def test_tombstone_yields_to_a_registration(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    bench.exchange(lifetime=0)
    assert bench.exchange(bid(1, COA2)).status == 0
    bench.pass_time(30)
    assert bench.care_of() == {1: COA2}


def test_what_has_run_out_counts_no_more_before_its_timer(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=15)
    bench.exchange(bid(2, COA2), lifetime=150)
    bench.now += 60
    assert bench.exchange(bid(1)).status == 167
    assert bench.exchange(bid(3, COA3)).status == 0
    assert bench.care_of() == {2: COA2, 3: COA3}


def test_bindings_survive_a_restart(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=15)
    bench.exchange(bid(2, COA2), lifetime=150)
    again = bench.restarted()
    assert list(again.engine.records()) == list(bench.engine.records())
    assert again.engine.next_timer() == bench.engine.next_timer()
    assert again.exchange(bid(2), sequence=2).status == 135
    again.pass_time(61)
    assert again.care_of() == {2: COA2}


def test_what_ran_out_while_it_was_down_goes_at_once(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), lifetime=15)
    again = bench.restarted()
    again.now += 1000
    again.pass_time(0)
    assert again.engine.record(HOA) is None


def test_removal_is_allowed_after_the_provision_is_gone(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    again = bench.restarted(nodes={})
    assert again.exchange(bid(1)).status == 133
    assert again.exchange(bid(1), bid(2), lifetime=0).status == 0
    assert again.care_of() == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_lifetime", 3), ("max_lifetime", 262141), ("max_bindings", 0), ("max_in_flight", 0), ("error_burst", 0)],
)
def test_configuration_that_cannot_be(name: str, value: int) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match="it has to be"):
        HomeAgentConfig((), **changes)
