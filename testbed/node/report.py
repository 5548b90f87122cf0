"""What a node agent tells of itself: its interfaces, and what has happened of late."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from controller.mobility.address import Address, format_address
from controller.mobility.model import NO_BID, Binding
from controller.mobility.node_events import NodeEvent
from testbed.node.config import InterfaceSection, NodeFile

KEPT: Final = 50
"""Events that are remembered."""


class EventLog:
    """The last events, as JSON can have them."""

    def __init__(self) -> None:
        self._events: Final[deque[dict[str, Any]]] = deque(maxlen=KEPT)

    def add(self, event: NodeEvent, now: float) -> dict[str, Any]:
        """Remember an event of the engine; return it without its time."""
        told = {"event": type(event).__name__, **_plain(asdict(event))}
        self.note(told, now)
        return told

    def note(self, told: Mapping[str, Any], now: float) -> None:
        """Remember something that the agent itself did."""
        self._events.append({"at": now, **told})

    def kept(self) -> list[dict[str, Any]]:
        """Return the events that are remembered, the oldest first."""
        return list(self._events)


def node_status(
    config: NodeFile, care_of: Mapping[int, Address], bindings: Mapping[int, Binding], now: float
) -> dict[str, Any]:
    """Return what is to be said of a node and its interfaces.

    Args:
        config: its settings.
        care_of: the addresses that are used, by the BID of the interface.
        bindings: what the home agent has accepted, by the BID of the interface.
        now: seconds of the clock.
    """
    node = config.node
    return {
        "home_address": format_address(node.home_address),
        "home_agent": format_address(node.home_agent),
        "prefixes": [str(prefix) for prefix in node.prefixes],
        "now": now,
        "interfaces": [interface_status(one, care_of.get(one.bid), bindings, now) for one in config.interface],
    }


def interface_status(
    interface: InterfaceSection, care_of: Address | None, bindings: Mapping[int, Binding], now: float
) -> dict[str, Any]:
    """Return what is to be said of an interface.

    Args:
        interface: its settings.
        care_of: the address that is used there; None: none.
        bindings: what the home agent has accepted, by the BID of the interface.
        now: seconds of the clock.
    """
    binding = bindings.get(interface.bid)
    if binding is not None and binding.care_of == care_of:
        state = "registered"
    elif care_of is None:
        state = "down"
    else:
        # A node with one binding has it for its best interface; the others wait.
        single = any(one.bid == NO_BID for one in bindings.values())
        state = "standby" if single else "pending"
    return {
        "name": interface.name,
        "bid": interface.bid,
        "priority": interface.priority,
        "care_of": None if care_of is None else format_address(care_of),
        "state": state,
        "expires_in": None if binding is None else round(binding.expires - now, 1),
    }


def _plain(value: Any) -> Any:  # noqa: ANN401  any field of an event
    """Return a value as JSON can have it: addresses as text."""
    if isinstance(value, bytes):
        return format_address(Address(value)) if len(value) == 16 else value.hex()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
