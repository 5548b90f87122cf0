"""The session's states: one table, and what must hold of it."""

import pytest

from controller.southbound.states import TRANSITIONS, SessionEvent, SessionState, after


def test_only_a_primary_that_is_in_sync_may_write() -> None:
    ways = {(state, event) for (state, event), to in TRANSITIONS.items() if to is SessionState.READY}
    assert ways == {(SessionState.SYNCING, SessionEvent.IN_SYNC), (SessionState.READY, SessionEvent.ELECTED)}


@pytest.mark.parametrize("state", [state for state in SessionState if state is not SessionState.STOPPED])
def test_every_state_can_fail_lose_its_primacy_and_end(state: SessionState) -> None:
    assert after(state, SessionEvent.FAILED) is SessionState.CONNECTING
    assert after(state, SessionEvent.OUTBID) is SessionState.STANDBY
    assert after(state, SessionEvent.STOP) is SessionState.STOPPED


def test_every_state_can_be_reached() -> None:
    reached, before = {SessionState.STOPPED}, set[SessionState]()
    while reached != before:
        before = set(reached)
        reached |= {to for (state, _), to in TRANSITIONS.items() if state in reached}
    assert reached == set(SessionState)


def test_what_cannot_happen_is_told() -> None:
    with pytest.raises(RuntimeError, match="a session that is standby cannot be in sync"):
        after(SessionState.STANDBY, SessionEvent.IN_SYNC)
