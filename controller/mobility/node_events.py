"""What a `MobileNode` reports to whoever drives it."""

from dataclasses import dataclass

from controller.mobility.model import Binding


@dataclass(frozen=True, slots=True)
class Registered:
    """The home agent accepted these bindings, new or refreshed."""

    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """These bindings are no longer registered, because the node asked for it or because they ran out."""

    bids: tuple[int, ...]
    expired: bool = False


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """The home agent refused one BID; it is not asked again before the link changes."""

    bid: int
    status: int


@dataclass(frozen=True, slots=True)
class RegistrationRefused:
    """The home agent refused a whole Binding Update."""

    status: int
    final: bool
    """Nothing is sent until the node is told to register again; otherwise it tries in another way, or later."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A packet that the node had no use for."""

    detail: str


NodeEvent = Registered | Removed | LinkRefused | RegistrationRefused | Ignored
