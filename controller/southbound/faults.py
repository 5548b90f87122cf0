"""What went wrong with a switch, kept for whoever looks at it."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from controller.southbound.errors import DistrustError

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

KEPT_SUSPICIONS: Final = 16
"""How many of the last things that a switch cannot have meant are remembered."""


class Faults:
    """Failures of a session, and what its switch said that cannot be true.

    Args:
        switch: its name.
        on_suspicion: called when the switch has said such a thing.
    """

    def __init__(self, switch: str, on_suspicion: Callable[[], None]) -> None:
        self.last_error: str | None = None
        """Why the session last failed; None if it never did."""
        self.suspicions: deque[str] = deque(maxlen=KEPT_SUSPICIONS)
        """What the switch said lately that cannot be true."""
        self._switch = switch
        self._on_suspicion = on_suspicion

    def note(self, error: Exception) -> None:
        """Take note of a failure, and tell the log if it is another than the last."""
        if isinstance(error, DistrustError):
            self.suspect(error)
        text = str(error) or type(error).__name__
        if text != self.last_error:
            _LOG.warning("%s: %s", self._switch, text)
        self.last_error = text

    def suspect(self, error: DistrustError) -> None:
        """Take note of what cannot be true."""
        if not self.suspicions or self.suspicions[-1] != str(error):
            _LOG.error("%s cannot be trusted: %s", self._switch, error)
            self.suspicions.append(str(error))
        self._on_suspicion()

    async def asked(self, answer: Awaitable[_T]) -> _T:
        """Wait for an answer, and remember one that cannot be true."""
        try:
            return await answer
        except DistrustError as error:
            self.suspect(error)
            raise
