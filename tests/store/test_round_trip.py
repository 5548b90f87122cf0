"""Whatever the engine may hold comes back as it was."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.mobility.address import Address, Prefix
from controller.mobility.flows import (
    Balance,
    Discard,
    FlowEntry,
    FlowPolicy,
    FlowSelector,
    PortRange,
    Replicate,
    Share,
    Span,
    Steer,
    TrafficSelector,
    Treatment,
)
from controller.mobility.model import Binding, NodeRecord
from controller.store import Change, SqliteStore, StoredNode

NOW = 1000.0
addresses = st.binary(min_size=16, max_size=16).map(Address)
ports = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: PortRange(*sorted(pair)))


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    length = draw(st.integers(0, 128))
    value = draw(st.integers(0, 2**128 - 1)) >> (128 - length) << (128 - length)
    return Prefix(Address(value.to_bytes(16)), length)


@st.composite
def bindings(draw: st.DrawFn, bid: int) -> Binding:
    lifetime = draw(st.integers(1, 65535)) * 4
    # Whole seconds: the clock offset must not cost a bit here.
    remaining = draw(st.integers(1, lifetime))
    return Binding(bid, draw(addresses), lifetime, NOW + remaining, draw(st.integers(0, 127)), draw(st.booleans()))


def spans(width: int) -> st.SearchStrategy[Span | None]:
    ends = st.integers(0, (1 << width) - 1)
    return st.none() | st.tuples(ends, ends).map(lambda pair: Span(min(pair), max(pair)))


flow_entries = st.builds(
    FlowEntry,
    st.integers(1, 65535),
    st.integers(1, 65535),
    st.builds(
        FlowSelector,
        st.booleans(),
        spans(128),
        spans(128),
        spans(32),
        spans(20),
        spans(16),
        spans(16),
        spans(8),
        spans(8),
    ),
    st.lists(st.integers(1, 65535), min_size=1, max_size=3).map(tuple),
)


@st.composite
def nodes(draw: st.DrawFn) -> dict[Address, StoredNode]:
    homes = draw(st.lists(addresses, unique=True, max_size=4))
    found = {}
    for number, home in enumerate(homes, start=1):
        bids = sorted(draw(st.sets(st.integers(0, 65535), max_size=4)))
        record = NodeRecord(
            home_address=home,
            home_agent=draw(addresses),
            sequence=draw(st.integers(0, 65535)),
            bindings=tuple(draw(bindings(bid)) for bid in bids),
            prefixes=tuple(draw(st.lists(prefixes(), max_size=2))),
            mobile_router=draw(st.booleans()),
            flows=tuple(draw(st.lists(flow_entries, max_size=3))) if bids else (),
            forget_at=None if bids else NOW + draw(st.integers(1, 10)),
        )
        with_path = [bid for bid in bids if draw(st.booleans())]
        found[home] = StoredNode(record, number, {bid: draw(st.integers(1, 2**24 - 1)) for bid in with_path})
    return found


selectors = st.builds(
    TrafficSelector,
    source=st.none() | prefixes(),
    destination=st.none() | prefixes(),
    protocol=st.none() | st.integers(0, 255),
    source_ports=st.none() | ports,
    destination_ports=st.none() | ports,
    dscp=st.none() | st.integers(0, 63),
    flow_label=st.none() | st.integers(0, 0xFFFFF),
    spi=st.none() | st.integers(0, 0xFFFFFFFF),
)
bids = st.integers(1, 65535)
treatments: st.SearchStrategy[Treatment] = st.one_of(
    bids.map(Steer),
    st.lists(bids, min_size=1, max_size=8).map(lambda several: Replicate(tuple(several))),
    st.lists(st.builds(Share, bids, st.integers(1, 64)), min_size=1, max_size=8).map(
        lambda shares: Balance(tuple(shares))
    ),
    st.just(Discard()),
)
policies = st.lists(
    st.builds(
        FlowPolicy,
        name=st.text(max_size=20).filter(lambda text: text.isprintable()),
        home_address=addresses,
        priority=st.integers(1, 65535),
        selector=selectors,
        treatment=treatments,
        fallback=st.booleans(),
    ),
    unique_by=(
        lambda policy: (policy.home_address, policy.name),
        lambda policy: (policy.home_address, policy.priority),
    ),
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(first=nodes(), second=nodes(), policies=policies, offset=st.integers(-(2**31), 2**31))
def test_round_trip(
    first: dict[Address, StoredNode], second: dict[Address, StoredNode], policies: list[FlowPolicy], offset: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite3"
        store = SqliteStore(path, lambda: offset)
        store.commit([Change(home, node) for home, node in first.items()])
        # The second generation takes the node ids of the first: one that leaves gives its id to one that comes.
        gone = [Change(home, None) for home in first if home not in second]
        store.commit([*gone, *(Change(home, node) for home, node in second.items())])
        for policy in policies:
            store.save_policy(policy)
        store.close()
        store = SqliteStore(path, lambda: offset)
        state = store.load(NOW)
        store.close()
    assert state.nodes == tuple(second[home] for home in sorted(second))
    assert state.policies == tuple(sorted(policies, key=lambda policy: (policy.home_address, policy.priority)))
    assert state.expired == ()


@settings(max_examples=25, deadline=None)
@given(first=nodes(), second=nodes())
def test_bindings_that_are_written_over_are_as_if_all_had_been_replaced(
    first: dict[Address, StoredNode], second: dict[Address, StoredNode]
) -> None:
    later = {home: replace(node, node_id=first[home].node_id) for home, node in second.items() if home in first}

    def change(home: Address, node: StoredNode) -> Change:
        before, after = ({binding.bid for binding in one.record.bindings} for one in (first[home], node))
        return Change(home, node, gone=tuple(before - after))

    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "state.sqlite3", lambda: 0)
        store.commit([Change(home, node) for home, node in first.items()])
        store.commit([change(home, node) for home, node in later.items()])
        state = store.load(NOW)
        store.close()
    assert state.nodes == tuple((first | later)[home] for home in sorted(first))
