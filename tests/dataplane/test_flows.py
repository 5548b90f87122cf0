import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Range, Ternary
from controller.dataplane.flows import PolicyError, policy_entries, validate_policy
from controller.dataplane.pipeline import TABLES, Kind
from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.flows import FlowPolicy, PortRange, Steer, TrafficSelector

HOME = parse_address("2001:db8:0:1::100")

TO_2 = (p.STEER_FLOW, (2,))


def policy(selector: TrafficSelector, priority: int = 10, bid: int = 2, name: str = "video") -> FlowPolicy:
    return FlowPolicy(name, HOME, priority, selector, Steer(bid))


def test_every_field_of_a_selector_finds_its_place() -> None:
    selector = TrafficSelector(
        source=Prefix.parse("2001:db8:c::/64"),
        destination=Prefix(HOME, 128),
        protocol=17,
        source_ports=PortRange(5000, 5009),
        destination_ports=PortRange(53, 53),
        dscp=46,
        flow_label=0xABCDE,
    )
    (entry,) = policy_entries(7, policy(selector), TO_2)
    assert entry.table == p.FLOW_BINDINGS
    assert entry.match == (
        7,
        Ternary(int.from_bytes(parse_address("2001:db8:c::")), (2**64 - 1) << 64),
        Ternary(int.from_bytes(HOME), 2**128 - 1),
        Ternary(17, 0xFF),
        Range(5000, 5009),
        Range(53, 53),
        Ternary(46 << 2, 0xFC),
        Ternary(0xABCDE, 0xFFFFF),
        None,
        Ternary(0, 1),
    )
    assert (entry.action, entry.params, entry.priority) == (p.STEER_FLOW, (2,), 131062)
    assert policy_entries(7, policy(TrafficSelector(spi=9)), TO_2)[0].match[-2] == Ternary(9, 2**32 - 1)


def test_what_matches_everything_is_left_out() -> None:
    selector = TrafficSelector(source_ports=PortRange(0, 65535))
    validate_policy(policy(selector))
    assert policy_entries(7, policy(selector), TO_2)[0].match == (7, *(None,) * 9)
    ipv6 = TrafficSelector(source=Prefix.parse("::/0"))
    assert policy_entries(7, policy(ipv6), TO_2)[0].match == (7, *(None,) * 8, Ternary(0, 1))


def test_a_smaller_priority_number_wins_on_the_switch() -> None:
    entries = [policy_entries(1, policy(TrafficSelector(), priority), TO_2)[0] for priority in (1, 2, 65535)]
    assert [entry.priority for entry in entries] == [131071, 131070, 65537]


@pytest.mark.parametrize(
    ("selector", "field"),
    [
        (TrafficSelector(protocol=256), "selector.protocol"),
        (TrafficSelector(protocol=-1), "selector.protocol"),
        (TrafficSelector(dscp=64), "selector.dscp"),
        (TrafficSelector(flow_label=2**20), "selector.flow_label"),
        (TrafficSelector(spi=2**32), "selector.spi"),
        (TrafficSelector(protocol=6, spi=1), "selector.spi"),
        (TrafficSelector(spi=0), "selector.spi"),
        (TrafficSelector(spi=7, source_ports=PortRange(1, 2)), "selector.spi"),
        (TrafficSelector(protocol=6, source_ports=PortRange(9, 8)), "selector.source_ports"),
        (TrafficSelector(protocol=6, source_ports=PortRange(1, 65536)), "selector.source_ports.high"),
        (TrafficSelector(protocol=6, destination_ports=PortRange(-1, 6)), "selector.destination_ports.low"),
        (TrafficSelector(protocol=58, destination_ports=PortRange(1, 6)), "selector.destination_ports"),
        (TrafficSelector(destination_ports=PortRange(0, 1023)), "selector.destination_ports"),
        (TrafficSelector(source=Prefix(HOME, 129)), "selector.source.length"),
        (TrafficSelector(source=Prefix(HOME, 64)), "selector.source"),
        (TrafficSelector(destination=Prefix(Address(b"short"), 0)), "selector.destination"),
    ],
)
def test_what_the_switch_cannot_match_is_refused_by_field(selector: TrafficSelector, field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        validate_policy(policy(selector))
    assert caught.value.field == field
    assert str(caught.value) == f"{field}: {caught.value.reason}"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (policy(TrafficSelector(), priority=0), "priority"),
        (policy(TrafficSelector(), priority=65536), "priority"),
        (policy(TrafficSelector(), bid=0), "bid"),
        (policy(TrafficSelector(), bid=65536), "bid"),
        (policy(TrafficSelector(), name=""), "name"),
    ],
)
def test_a_policy_out_of_range_is_refused_by_field(bad: FlowPolicy, field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        validate_policy(bad)
    assert caught.value.field == field


prefixes = st.builds(
    lambda value, length: Prefix(Address((value >> (128 - length) << (128 - length)).to_bytes(16)), length),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
ranges = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda ends: PortRange(min(ends), max(ends)))
selectors = st.builds(
    TrafficSelector,
    source=st.none() | prefixes,
    destination=st.none() | prefixes,
    protocol=st.none() | st.sampled_from([6, 17, 50, 58, 132]),
    source_ports=st.none() | ranges,
    destination_ports=st.none() | ranges,
    dscp=st.none() | st.integers(0, 63),
    flow_label=st.none() | st.integers(0, 2**20 - 1),
    spi=st.none() | st.integers(0, 2**32 - 1),
)


@settings(deadline=None)
@given(selectors, st.integers(1, 65535), st.integers(1, 65535))
def test_every_valid_policy_gives_a_key_that_fits_the_table(selector: TrafficSelector, priority: int, bid: int) -> None:
    candidate = policy(selector, priority, bid)
    try:
        validate_policy(candidate)
    except PolicyError:
        return
    (entry,) = policy_entries(3, candidate, TO_2)
    assert 65537 <= entry.priority <= 131071
    for field, match in zip(TABLES[p.FLOW_BINDINGS].fields, entry.match, strict=True):
        highest = (1 << field.width) - 1
        if field.kind is Kind.TERNARY and match is not None:
            assert isinstance(match, Ternary)
            assert match.value & ~match.mask == 0
            assert 0 < match.mask <= highest
        elif field.kind is Kind.RANGE and match is not None:
            assert isinstance(match, Range)
            assert 0 <= match.low <= match.high <= highest
            assert (match.low, match.high) != (0, highest)
