"""What can go wrong between the controller and a switch."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import grpc
import grpc.aio
from finsy.proto import p4r, rpc_status

from controller.dataplane.entries import Update

DETAILS_KEY = "grpc-status-details-bin"
"""The trailing metadata that carries a `google.rpc.Status` with one `p4.v1.Error` for each update of a Write."""


class SouthboundError(Exception):
    """Any failure of this layer."""


class NotReadyError(SouthboundError):
    """The session is not ready: not connected, not primary, or still reconciling. When it is, tables are as desired."""


class ConnectionLostError(SouthboundError):
    """The switch did not answer, so it is unknown what it carried out. The session reconnects and reconciles."""


class DistrustError(SouthboundError):
    """The switch said what cannot be true. It is not written to before it has been read back and found right."""


class Failure(NamedTuple):
    """One update that a switch refused."""

    update: Update
    code: int
    """The canonical code of gRPC, as in `grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]`."""
    message: str


class WriteFailedError(SouthboundError):
    """A switch refused some updates; it has carried out all others of that call.

    Attributes:
        failures: what it refused.
    """

    def __init__(self, switch: str, failures: Iterable[Failure]) -> None:
        self.failures = tuple(failures)
        first = self.failures[0]
        op, entry = first.update
        code = code_name(first.code)
        super().__init__(
            f"{switch} refused {len(self.failures)} updates, the first: {op.name} {entry.table} {entry.match}: {code} {first.message}"
        )


def code_name(code: int) -> str:
    """Return the name of a canonical code."""
    return next((status.name for status in grpc.StatusCode if status.value[0] == code), str(code))


def code_of(error: grpc.aio.AioRpcError) -> int:
    """Return the canonical code of a failed call."""
    return int(error.code().value[0])


def update_errors(error: grpc.aio.AioRpcError, count: int) -> list[Any] | None:
    """Return the `p4.v1.Error` of each update of a failed Write, in order; None if the switch gave none that can be read.

    Args:
        error: the failed call.
        count: updates in the Write.
    """
    trailing: Any = error.trailing_metadata()  # a sequence of pairs; its stubs say one pair
    for key, value in trailing or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            status = rpc_status.Status.FromString(value)
            if len(status.details) != count:
                return None
            errors = []
            for detail in status.details:
                message = p4r.Error()
                detail.Unpack(message)
                errors.append(message)
            return errors
    return None
