"""What may go wrong between a client and its controller."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A request did not succeed. The text is one line for people."""


class InvalidUrlError(ClientError):
    """What should be the address of a controller is none."""


class UnreachableError(ClientError):
    """Nobody answers there, or not in time."""


class StrangerError(ClientError):
    """What answers there is not a controller."""


class RefusedError(ClientError):
    """The controller refused a request.

    Attributes:
        status: HTTP status, 400 or more.
        problem: the problem document (RFC 9457).
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", f"status {status}")))
        self.status = status
        self.problem = problem
