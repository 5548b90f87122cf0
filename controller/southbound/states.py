"""The states of a session and what leads from one to another, as one table."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class SessionState(StrEnum):
    """Where a session stands."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    """Not reachable yet, or again."""
    STANDBY = "standby"
    """Connected, but another controller is primary, or nobody yet."""
    SYNCING = "syncing"
    """Primary; the pipeline is being pushed or the tables reconciled."""
    READY = "ready"
    """Primary, with the tables as desired: writes are taken."""


class SessionEvent(StrEnum):
    """What happens to a session."""

    START = "start"
    ELECTED = "elected"
    """The switch says that this session is primary."""
    OUTBID = "outbid"
    """The switch says that it is not, or not any more."""
    IN_SYNC = "in sync"
    """The tables are as desired."""
    FAILED = "failed"
    """The connection is lost, the switch refused something that it must not, or it cannot be trusted."""
    STOP = "stop"


_S, _E = SessionState, SessionEvent

TRANSITIONS: Final[Mapping[tuple[SessionState, SessionEvent], SessionState]] = MappingProxyType(
    {
        (_S.STOPPED, _E.START): _S.CONNECTING,
        (_S.CONNECTING, _E.ELECTED): _S.SYNCING,
        (_S.CONNECTING, _E.OUTBID): _S.STANDBY,
        (_S.CONNECTING, _E.FAILED): _S.CONNECTING,
        (_S.STANDBY, _E.ELECTED): _S.SYNCING,
        (_S.STANDBY, _E.OUTBID): _S.STANDBY,
        (_S.STANDBY, _E.FAILED): _S.CONNECTING,
        (_S.SYNCING, _E.ELECTED): _S.SYNCING,
        (_S.SYNCING, _E.OUTBID): _S.STANDBY,
        (_S.SYNCING, _E.IN_SYNC): _S.READY,
        (_S.SYNCING, _E.FAILED): _S.CONNECTING,
        # The switch may say again what it said before.
        (_S.READY, _E.ELECTED): _S.READY,
        (_S.READY, _E.OUTBID): _S.STANDBY,
        (_S.READY, _E.FAILED): _S.CONNECTING,
        **{(state, _E.STOP): _S.STOPPED for state in SessionState},
    }
)
"""From a state, by an event, to a state. What is not here cannot happen."""


def after(state: SessionState, event: SessionEvent) -> SessionState:
    """Return the state that an event leads to.

    Raises:
        RuntimeError: it cannot happen in this state: a fault of the session's.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(f"a session that is {state} cannot be {event}") from None
