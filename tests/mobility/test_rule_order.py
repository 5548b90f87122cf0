"""When several things are wrong at once, the first in the order of the RFCs decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.mobility.address import Prefix, parse_address
from controller.mobility.rules import RULES
from controller.mobility.wire import (
    AlternateCareOf,
    BindingIdentifier,
    NetworkPrefix,
    NonceIndices,
    RawOption,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mobility.conftest import Bench

HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a1::1")
LINK_LOCAL = parse_address("fe80::1")
BAD_LENGTH = RawOption(35, bytes(6))
STRANGE_PREFIX = NetworkPrefix(Prefix.parse("2001:db8:9::/48"))


def test_rules_are_explained() -> None:
    for rule in RULES:
        assert rule.__doc__, rule.__name__
        assert "RFC" in rule.__doc__ or "correspondent" in rule.__doc__


@pytest.fixture
def bound(make_bench: Callable[..., Bench]) -> Bench:
    """A node that may do nothing special, with BID 1 registered under sequence number 100."""
    bench = make_bench(bulk=False, multiple_care_of=True)
    bench.exchange(BindingIdentifier(1, COA1), sequence=100)
    bench.sequence = 100
    return bench


def test_home_address_before_care_of_address(bound: Bench) -> None:
    assert bound.silence(home_address=LINK_LOCAL, source=LINK_LOCAL) == "home_address"


def test_care_of_address_before_everything_else(bound: Bench) -> None:
    options = (AlternateCareOf(LINK_LOCAL), NonceIndices(1, 1), BAD_LENGTH)
    assert bound.silence(*options, sequence=1, flags=0xC600) == "care_of_address"


def test_nonce_indices_before_sequence(bound: Bench) -> None:
    assert bound.silence(NonceIndices(1, 1), sequence=1) == "nonce_indices"


def test_sequence_before_type_and_options(bound: Bench) -> None:
    for flags in (0x8000, 0xC400, 0xC200, 0xC000):
        assert bound.exchange(BAD_LENGTH, BindingIdentifier(0), flags=flags, sequence=100).status == 135


def test_type_before_policy_and_options(bound: Bench) -> None:
    assert bound.exchange(BAD_LENGTH, flags=0xC600).status == 139
    assert bound.exchange(BAD_LENGTH, flags=0x8200).status == 139


def test_proxy_before_removal(bound: Bench) -> None:
    assert bound.exchange(flags=0xC200, lifetime=0, home_address=HOA).status == 152


def test_home_subnet_before_authorisation_and_router(bound: Bench) -> None:
    elsewhere = parse_address("2001:db8:77::1")
    assert bound.exchange(BAD_LENGTH, flags=0xC400, home_address=elsewhere).status == 132


def test_authorisation_before_router(bound: Bench) -> None:
    stranger = parse_address("2001:db8:0:1::999")
    assert bound.exchange(BAD_LENGTH, flags=0xC400, home_address=stranger).status == 133


def test_router_before_prefixes_before_bids(make_bench: Callable[..., Bench]) -> None:
    assert make_bench().exchange(STRANGE_PREFIX, BAD_LENGTH, flags=0xC400).status == 140
    own = (Prefix.parse("2001:db8:1:2::/64"),)
    bench = make_bench(mobile_router=True, prefixes=own, multiple_care_of=False)
    assert bench.exchange(STRANGE_PREFIX, BAD_LENGTH, flags=0xC400).status == 142
    assert bench.exchange(NetworkPrefix(own[0]), BAD_LENGTH, flags=0xC400).status == 166


def test_prohibition_before_malformation_before_bulk(make_bench: Callable[..., Bench], bound: Bench) -> None:
    both = (BAD_LENGTH, BindingIdentifier(1, COA1), BindingIdentifier(0, COA1))
    assert make_bench(multiple_care_of=False, bulk=False).exchange(*both).status == 166
    assert bound.exchange(*both).status == 164
    assert bound.exchange(*both[1:]).status == 168


def test_malformation_before_an_unknown_bid_in_a_removal(bound: Bench) -> None:
    assert bound.exchange(BAD_LENGTH, BindingIdentifier(9), lifetime=0).status == 164
    assert bound.care_of() == {1: COA1}


def test_plain_binding_before_single_bids(bound: Bench) -> None:
    bound.exchange()
    assert bound.exchange(BindingIdentifier(9)).status == 165
