"""Sends what a journal holds to a switch, as it was sent before."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc.aio
from finsy.proto import U128, p4r, p4r_grpc

from controller.southbound.artefacts import Artefacts
from controller.southbound.errors import SouthboundError, code_name, code_of, update_errors
from controller.southbound.journal import Record
from controller.southbound.options import SessionOptions, open_channel

_ANSWER_TIME = 10.0
"""Seconds that the switch has for each answer."""
_FAREWELL = 2.0
"""Seconds that it has to see us go."""


@dataclass(slots=True)
class Replayed:
    """What became of a replay."""

    writes: int = 0
    updates: int = 0
    refused: int = 0
    """Updates that the switch refused."""
    otherwise: int = 0
    """Updates that were answered otherwise than they were recorded; those without a recorded answer do not count."""
    first: str | None = None
    """The first of these, in words."""


async def replay(
    records: Iterable[Record], options: SessionOptions, artefacts: Artefacts, election_id: int, *, push: bool
) -> Replayed:
    """Send records to a switch, one Write after the other.

    Args:
        records: what to send, for the pipeline of `artefacts`.
        options: the switch.
        artefacts: the program.
        election_id: to become primary with.
        push: push the program first, which empties the tables; otherwise the switch must run it.

    Raises:
        SouthboundError: the switch cannot be reached, another controller is primary, or it runs another program.
        OSError: a TLS file cannot be read.
    """
    async with open_channel(options) as channel:
        try:
            return await _replay(channel, records, options, artefacts, U128.encode(election_id), push=push)
        except grpc.aio.AioRpcError as error:
            raise SouthboundError(f"{options.address}: {error.code().name} {error.details()}") from error


async def _replay(
    channel: grpc.aio.Channel,
    records: Iterable[Record],
    options: SessionOptions,
    artefacts: Artefacts,
    election_id: p4r.Uint128,
    *,
    push: bool,
) -> Replayed:
    stub = p4r_grpc.P4RuntimeStub(channel)
    device, role = options.device_id, options.role
    stream = stub.StreamChannel()
    arbitration = p4r.StreamMessageRequest()
    arbitration.arbitration.device_id = device
    arbitration.arbitration.election_id.CopyFrom(election_id)
    if role:
        arbitration.arbitration.role.name = role
    await stream.write(arbitration)
    answer = await stream.read()
    if not isinstance(answer, p4r.StreamMessageResponse) or answer.arbitration.status.code != 0:
        raise SouthboundError(f"{options.address}: another controller is primary: give a higher election id")
    try:
        if push:
            config = p4r.ForwardingPipelineConfig(p4info=artefacts.info, p4_device_config=artefacts.config)
            config.cookie.cookie = artefacts.cookie
            request = p4r.SetForwardingPipelineConfigRequest(
                device_id=device,
                role=role,
                election_id=election_id,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=config,
            )
            await stub.SetForwardingPipelineConfig(request, timeout=options.timeouts.push)
        else:
            query = p4r.GetForwardingPipelineConfigRequest(
                device_id=device, response_type=p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY
            )
            there = await stub.GetForwardingPipelineConfig(query, timeout=_ANSWER_TIME)
            if there.config.cookie.cookie != artefacts.cookie:
                raise SouthboundError(f"{options.address} runs another program: push ours (--push), which empties it")
        done = Replayed()
        for record in records:
            recorded = p4r.WriteRequest.FromString(record.request)
            request = p4r.WriteRequest(device_id=device, role=role, election_id=election_id, updates=recorded.updates)
            _compare(done, record, recorded, await _write(stub, request, options.timeouts.write))
        return done
    finally:
        await _leave(stream)


async def _leave(stream: Any) -> None:  # noqa: ANN401  grpc's calls are untyped
    """End a stream, and wait until the switch knows: the next client may want the same election id."""
    with contextlib.suppress(TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        async with asyncio.timeout(_FAREWELL):
            await stream.done_writing()
            while await stream.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]  # its stubs lack it
                pass
    stream.cancel()


async def _write(stub: p4r_grpc.P4RuntimeStub, request: p4r.WriteRequest, timeout: float) -> dict[int, int]:  # noqa: ASYNC109  gRPC's own
    """Return the codes of refused updates by position."""
    try:
        await stub.Write(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        details = update_errors(error, len(request.updates))
        if details is None:
            if error.code() is not grpc.StatusCode.UNKNOWN:
                raise
            return dict.fromkeys(range(len(request.updates)), code_of(error))
        return {position: detail.canonical_code for position, detail in enumerate(details) if detail.canonical_code}
    return {}


def _compare(done: Replayed, record: Record, request: p4r.WriteRequest, refused: dict[int, int]) -> None:
    done.writes += 1
    done.updates += len(request.updates)
    done.refused += len(refused)
    if record.refused is None:
        return
    for position in sorted(refused.keys() | record.refused.keys()):
        then, now = record.refused.get(position, 0), refused.get(position, 0)
        if then != now:
            done.otherwise += 1
            if done.first is None:
                kind = p4r.Update.Type.Name(request.updates[position].type)
                done.first = f"{kind} in write {done.writes}: {code_name(then)} then, {code_name(now)} now"
