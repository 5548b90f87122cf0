"""Bindings at home in the desired state: one plan for all anchors, written to each through its own port."""

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.dataplane.doors import Door
from controller.dataplane.entries import Entry, Op
from controller.dataplane.planner import binding_counters
from controller.mobility.address import parse_address
from controller.mobility.model import Binding, Cause, NodeRecord, Transaction

HOME = parse_address("2001:db8:0:1::100")
AGENT = parse_address("2001:db8:0:1::1")
COA = parse_address("2001:db8:a1::100")
MAC = bytes.fromhex("020000000177")
AWAY = Binding(1, COA, 60, 60.0)
AT_HOME = Binding(2, HOME, 60, 60.0, at_home=True, link_layer=MAC)
AGENT_NUMBER = int.from_bytes(AGENT)


def record(*bindings: Binding) -> NodeRecord:
    return NodeRecord(HOME, AGENT, 1, bindings)


@pytest.fixture
def state() -> DesiredState:
    state = DesiredState()
    state.set_static("on-link", (), doors={AGENT_NUMBER: Door(4, 0xA)})
    state.set_static("beside", (), doors={AGENT_NUMBER: Door(7, 0xB, 0xC)})
    state.set_static("far", ())
    return state


def change(state: DesiredState, number: int, before: NodeRecord | None, after: NodeRecord) -> list[tuple[Op, Entry]]:
    plan = state.apply(Transaction(number, HOME, before, after, Cause.REGISTRATION))
    state.confirm(plan)
    return [
        (op, entry)
        for stage in plan.stages
        for op, entry in state.localised("on-link", stage)
        if entry.table == p.TUNNELS
    ]


def test_each_anchor_has_its_own_port(state: DesiredState) -> None:
    change(state, 1, None, record(AWAY, AT_HOME))
    mac = int.from_bytes(MAC)
    expected = {
        "on-link": Entry(p.TUNNELS, (1, 2), p.HOME_LINK, (4, 0xA, mac)),
        "beside": Entry(p.TUNNELS, (1, 2), p.HOME_LINK, (7, 0xB, 0xC)),
        "far": Entry(p.TUNNELS, (1, 2), p.DROP_TUNNEL),
    }
    assert {name: state.desired(name)[p.TUNNELS, (1, 2), 0] for name in expected} == expected


def test_coming_home_and_leaving_is_one_modification(state: DesiredState) -> None:
    both, away = record(AWAY, AT_HOME), record(AWAY, Binding(2, COA, 60, 60.0))
    change(state, 1, None, away)
    ((op, entry),) = change(state, 2, away, both)
    assert (op, entry.action, entry.params) == (Op.MODIFY, p.HOME_LINK, (4, 0xA, int.from_bytes(MAC)))
    ((op, entry),) = change(state, 3, both, away)
    assert (op, entry.action) == (Op.MODIFY, p.ENCAP_IPV6)


def test_it_has_no_path_and_counts_downstream_only(state: DesiredState) -> None:
    both = record(AWAY, AT_HOME)
    change(state, 1, None, both)
    assert state.path_ids(both) == {1: 1}
    counters = binding_counters(both, state.ids)
    assert counters[2].upstream == ()
    assert counters[2].downstream == (p.TUNNELS, (1, 2), 0)
    again = DesiredState()
    again.set_static("on-link", (), doors={AGENT_NUMBER: Door(4, 0xA)})
    again.restore(both, 1, {1: 1})
    assert again.desired("on-link") == state.desired("on-link")


def test_without_a_link_layer_address_it_cannot_be_carried_out(state: DesiredState) -> None:
    nowhere = record(Binding(2, HOME, 60, 60.0, at_home=True))
    with pytest.raises(ValueError, match="link-layer address"):
        state.apply(Transaction(1, HOME, None, nowhere, Cause.REGISTRATION))
    assert state.record(HOME) is None
