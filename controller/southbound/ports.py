"""Which ports of a switch are up, as it says itself by gNMI (openconfig-interfaces, `state/oper-status`).

It is asked on the session's own connection: Stratum serves P4Runtime and gNMI at one address. The leaf `state/ifindex` ties an
interface's name to the port number that P4Runtime knows it by; Stratum puts that number there. Interfaces that a switch gets
later are seen with the next connection.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import grpc
import grpc.aio
from finsy.proto import gnmi, gnmi_grpc

_LOG = logging.getLogger(__name__)

PortsListener = Callable[[Mapping[int, bool]], None]
"""Called with all ports of which it is known whether they are up, by number, whenever one of them is another than before."""

MAX_INTERFACES: Final = 4096
"""More than that no switch has: the rest is not looked at."""
RETRY: Final = 5.0
"""Seconds after a failure before the switch is asked again."""
MAX_JSON: Final = 64
"""Octets of a value in JSON: a number or a word."""
TIMEOUT: Final = 10.0
"""Seconds that it has for its list of interfaces."""

_MAX_PORT: Final = 2**32 - 1
_UP: Final = "UP"
_DOWN: Final = frozenset({"DOWN", "LOWER_LAYER_DOWN", "NOT_PRESENT", "DORMANT", "TESTING"})
"""What carries no packets (RFC 2863 section 3.1.14). Of an UNKNOWN one nothing is known."""


async def watch_ports(switch: str, channel: grpc.aio.Channel, heard: PortsListener, retry: float = RETRY) -> None:
    """Tell which ports are up until cancelled; whatever the switch answers, it ends by nothing else.

    Args:
        switch: its name.
        channel: the connection to it.
        heard: is told.
        retry: seconds after a failure before it is asked again.
    """
    stub = gnmi_grpc.gNMIStub(channel)
    told: str | None = None
    while True:
        try:
            await _follow(stub, heard)
            why = "the subscription ended"
        except grpc.aio.AioRpcError as error:
            why = f"{error.code().name} {error.details()}"
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                why = told or ""  # the connection is lost: the session says so
        if why and why != told:
            told = why
            _LOG.warning("%s does not say which ports are up: %s; it is asked again every %g s", switch, why, retry)
        await asyncio.sleep(retry)


async def _follow(stub: Any, heard: PortsListener) -> None:  # noqa: ANN401  the generated stub has no types
    """Tell what the switch says until it stops.

    Raises:
        AioRpcError: it refuses, or the connection is lost.
    """
    numbers = await _numbers(stub)
    call = stub.Subscribe()
    try:
        await call.write(_subscription(numbers))
        known: dict[int, bool] = {}
        told: dict[int, bool] | None = None
        async for name, status, complete in _changes(call):
            number = numbers.get(name)
            if number is not None and (status == _UP or status in _DOWN):
                known[number] = status == _UP
            elif number is not None:
                known.pop(number, None)
            # Before it has said all that it has to say at first, what is missing is not down.
            if complete and known != told:
                told = dict(known)
                heard(told)
    finally:
        call.cancel()


async def _numbers(stub: Any) -> dict[str, int]:  # noqa: ANN401  the generated stub has no types
    """Return the number of each interface by name."""
    request = gnmi.GetRequest(
        path=[_path("*", "ifindex")], type=gnmi.GetRequest.DataType.STATE, encoding=gnmi.Encoding.PROTO
    )
    answer = await stub.Get(request, timeout=TIMEOUT)
    found: dict[str, int] = {}
    for notification in answer.notification:
        for update in notification.update:
            name, leaf = _place(notification.prefix, update.path)
            number = _value(update.val)
            if (
                leaf == "ifindex"
                and isinstance(number, int)
                and 0 < number <= _MAX_PORT
                and len(found) < MAX_INTERFACES
            ):
                found[name] = number
    return found


def _subscription(names: Mapping[str, int]) -> Any:  # noqa: ANN401  finsy's messages have no types
    request = gnmi.SubscribeRequest()
    request.subscribe.mode = gnmi.SubscriptionList.Mode.STREAM
    request.subscribe.encoding = gnmi.Encoding.PROTO
    for name in names:
        # Each by its name: Stratum knows no wildcard where it tells of changes.
        request.subscribe.subscription.add(path=_path(name, "oper-status"), mode=gnmi.SubscriptionMode.ON_CHANGE)
    return request


async def _changes(call: Any) -> AsyncIterator[tuple[str, str | int | None, bool]]:  # noqa: ANN401  grpc's calls have no types
    """Yield interface and status of each message, and whether the first round of them is over."""
    complete = False
    async for message in call:
        if message.sync_response:
            complete = True
            yield "", None, complete
            continue
        for update in message.update.update:
            name, leaf = _place(message.update.prefix, update.path)
            if leaf == "oper-status":
                yield name, _value(update.val), complete
        for gone in message.update.delete:
            yield _place(message.update.prefix, gone)[0], None, complete


def _path(interface: str, leaf: str) -> Any:  # noqa: ANN401  finsy's messages have no types
    path = gnmi.Path()
    path.elem.add(name="interfaces")
    path.elem.add(name="interface").key["name"] = interface
    path.elem.add(name="state")
    path.elem.add(name=leaf)
    return path


def _place(prefix: Any, path: Any) -> tuple[str, str]:  # noqa: ANN401  finsy's messages have no types
    """Return the interface and the leaf that a path is about; empty where it is about none."""
    elements = [*prefix.elem, *path.elem]
    name = next((element.key["name"] for element in elements if element.name == "interface" and element.key), "")
    return name, elements[-1].name if elements else ""


def _value(value: Any) -> str | int | None:  # noqa: ANN401  finsy's messages have no types
    """Return what a leaf says, in whichever of gNMI's forms; None: nothing that one of these leaves may say."""
    found: object = None
    match value.WhichOneof("value"):
        case "string_val" | "uint_val" | "int_val" | "ascii_val" as kind:
            found = getattr(value, kind)
        case "json_val" | "json_ietf_val" as kind if len(getattr(value, kind)) <= MAX_JSON:
            with contextlib.suppress(ValueError):
                found = json.loads(getattr(value, kind))
    return found if isinstance(found, str | int) else None
