"""The packet replication engine: multicast groups and clone sessions."""

from typing import NamedTuple


class Copy(NamedTuple):
    """One copy to make."""

    port: int
    instance: int
    """The program sees it as egress_rid."""
    length: int | None = None
    """Bytes to cut the copy to; None: all."""


class Replication:
    """Groups and sessions by id. One that does not exist makes no copies."""

    def __init__(self) -> None:
        self.groups: dict[int, tuple[Copy, ...]] = {}
        self.sessions: dict[int, tuple[Copy, ...]] = {}

    def group(self, number: int) -> tuple[Copy, ...]:
        """Copies of a multicast group."""
        return self.groups.get(number, ())

    def session(self, number: int) -> tuple[Copy, ...]:
        """Copies of a clone session."""
        return self.sessions.get(number, ())
