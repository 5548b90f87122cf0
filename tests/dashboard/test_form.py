"""The policy editor knows every field that REST takes, and what it loads is what it saves."""

import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.flows import (
    MAX_TARGETS,
    MAX_WEIGHT,
    Balance,
    Discard,
    FlowPolicy,
    PortRange,
    Replicate,
    Share,
    Steer,
    TrafficSelector,
)
from controller.northbound.control import PolicyState, PolicyView
from controller.northbound.dashboard import form
from controller.northbound.policy_models import PolicyRequest, PolicyResource, ScheduleResource, Selector
from controller.northbound.schedule import Schedule

NODE = parse_address("2001:db8:0:1::100")
BIDS = st.integers(1, 65535)
SEVERAL = st.lists(BIDS, min_size=1, max_size=MAX_TARGETS, unique=True)


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    length = draw(st.integers(0, 128))
    bits = draw(st.integers(0, 2**length - 1)) << (128 - length)
    return Prefix(Address(bits.to_bytes(16)), length)


@st.composite
def port_ranges(draw: st.DrawFn) -> PortRange:
    low, high = sorted((draw(st.integers(0, 65535)), draw(st.integers(0, 65535))))
    return PortRange(low, high)


@st.composite
def selectors(draw: st.DrawFn) -> TrafficSelector:
    kind = draw(st.sampled_from(("any", "ports", "spi")))
    numbers = {
        "any": st.integers(0, 255),
        "ports": st.sampled_from((6, 17, 33, 132, 136)),
        "spi": st.sampled_from((50, 51)),
    }
    ports = st.none() | port_ranges() if kind == "ports" else st.none()
    return TrafficSelector(
        source=draw(st.none() | prefixes()),
        destination=draw(st.none() | prefixes()),
        protocol=draw(st.none() | numbers[kind]),
        source_ports=draw(ports),
        destination_ports=draw(ports),
        dscp=draw(st.none() | st.integers(0, 63)),
        flow_label=draw(st.none() | st.integers(0, 0xFFFFF)),
        spi=draw(st.none() | st.integers(0, 0xFFFFFFFF)) if kind == "spi" else None,
    )


def shares() -> st.SearchStrategy[Balance]:
    weighed = SEVERAL.flatmap(
        lambda bids: st.tuples(*(st.builds(Share, st.just(bid), st.integers(1, MAX_WEIGHT)) for bid in bids))
    )
    return st.builds(Balance, weighed)


@st.composite
def policies(draw: st.DrawFn) -> FlowPolicy:
    fallback = draw(st.booleans())
    treatment: Any = draw(
        st.one_of(st.builds(Steer, BIDS), shares(), st.builds(Replicate, SEVERAL.map(tuple)), st.just(Discard()))
    )
    selector = TrafficSelector() if fallback else draw(selectors())
    return FlowPolicy("x", NODE, draw(st.integers(1, 65535)), selector, treatment, fallback=fallback)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule | None:
    moments = st.none() | st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1)).map(  # noqa: DTZ001  only its digits count
        lambda moment: (moment.replace(microsecond=0) - datetime(1970, 1, 1)).total_seconds()  # noqa: DTZ001  the same
    )
    begin, end = draw(moments), draw(moments)
    if begin is not None and end is not None and begin >= end:
        end = None
    days = tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1))))
    return draw(st.none() | st.just(Schedule(begin, end, days, draw(st.integers(0, 1439)), draw(st.integers(1, 1440)))))


def test_no_field_is_missing() -> None:
    assert set(form.SELECTORS) == set(Selector.model_fields)
    assert {*form.INSTANTS, *form.HOURS, "days"} == set(ScheduleResource.model_fields)
    targets = {"bid", "shares", "bids"}
    assert {"priority", "action", "selector", "fallback", "schedule"} | targets == set(PolicyRequest.model_fields)


@given(policies(), schedules())
def test_what_is_loaded_is_what_is_saved(policy: FlowPolicy, schedule: Schedule | None) -> None:
    values = form.filled(PolicyResource.of(PolicyView(policy, PolicyState.ACTIVE, schedule)))
    request = PolicyRequest.model_validate(form.body(values))
    assert request.to_policy(NODE, "x") == policy
    assert (request.to_schedule() or Schedule()) == (schedule or Schedule())


FIELDS = {"action": "steer", "priority": "1", "targets": "2"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"priority": ""}, "priority: a number is missing"),
        ({"priority": "first"}, "priority: 'first' is no number"),
        ({"targets": "²"}, "BID: '²' is no number"),
        ({"action": "balance", "targets": "1:x"}, "weight: 'x' is no number"),
        ({"action": "balance", "targets": "1,,2"}, "BID: a number is missing"),
        ({"action": "replicate", "targets": "1;2"}, "BID: '1;2' is no number"),
        ({"flow_label": "-1"}, "flow label: '-1' is no number"),
        ({"spi": "9" * 5000}, "spi: "),
        ({"targets": "70000"}, "less than or equal to 65535"),
        ({"destination": "2001:db8::"}, "is not an IPv6 prefix"),
        ({"protocol": "tcp", "spi": "1"}, "protocol tcp has no SPI"),
        ({"protocol": "300"}, "is not a protocol"),
        ({"fallback": True, "dscp": "1"}, "leave out its selector"),
        ({"begins": "24:00"}, "should match pattern"),
        ({"not_before": "tomorrow"}, "is not a time"),
        ({"not_before": "2026-01-02T00:00", "not_after": "2026-01-01T00:00"}, "never be in force"),
    ],
)
def test_a_wrong_field_is_told(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        PolicyRequest.model_validate(form.body(FIELDS | wrong))
