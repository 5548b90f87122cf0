"""The unary half of P4Runtime towards one switch: pipeline, Write, Read. No state but the election id."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import grpc
import grpc.aio
from finsy.proto import U128, p4r, p4r_grpc

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, EntryKey, Op, Update
from controller.southbound.artefacts import Artefacts
from controller.southbound.codec import Codec, Message
from controller.southbound.errors import (
    ConnectionLostError,
    Failure,
    NotReadyError,
    SouthboundError,
    WriteFailedError,
    code_of,
    update_errors,
)
from controller.southbound.targets import Target

_OK: Final = 0
_NOT_FOUND: Final = int(grpc.StatusCode.NOT_FOUND.value[0])
_ALREADY_EXISTS: Final = int(grpc.StatusCode.ALREADY_EXISTS.value[0])
_GONE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
    }
)
# What a switch says before it has had its first pipeline.
_NO_PIPELINE: Final = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND})
# Entries decoded in one go: some milliseconds, after which other tasks get their turn.
_SLICE: Final = 500

# An update that was refused because the switch already was, or no longer was, as it assumes: what to do instead.
_INSTEAD: Final = {(Op.INSERT, _ALREADY_EXISTS): Op.MODIFY, (Op.MODIFY, _NOT_FOUND): Op.INSERT}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one call may take, in seconds."""

    write: float = 10.0
    read: float = 60.0
    push: float = 60.0


class Calls:
    """Calls to one switch over one channel.

    Args:
        switch: its name, for messages.
        channel: an open channel.
        device_id: of the switch.
        codec: of the program.
        target: its capabilities.
        role: the arbitration role; empty: full access.
        timeouts: of the calls.
    """

    def __init__(
        self,
        switch: str,
        channel: grpc.aio.Channel,
        device_id: int,
        codec: Codec,
        target: Target,
        *,
        role: str = "",
        timeouts: Timeouts | None = None,
    ) -> None:
        self.stub = p4r_grpc.P4RuntimeStub(channel)
        self.election_id = 0
        """The one that made this session primary."""
        self._switch = switch
        self._device_id = device_id
        self._codec = codec
        self._target = target
        self._role = role
        self._timeouts = timeouts if timeouts is not None else Timeouts()

    # The pipeline.

    async def cookie(self) -> int | None:
        """Return the cookie of the switch's pipeline; None if it has no pipeline."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self._device_id, response_type=p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY
        )
        with self._failures("reading the pipeline's cookie"):
            try:
                response = await self.stub.GetForwardingPipelineConfig(request, timeout=self._timeouts.read)
            except grpc.aio.AioRpcError as error:
                if error.code() in _NO_PIPELINE:
                    return None
                raise
        return int(response.config.cookie.cookie) if response.config.HasField("cookie") else None

    async def push(self, artefacts: Artefacts) -> None:
        """Make a program the switch's pipeline. Its tables are empty after that."""
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self._device_id,
            role=self._role,
            election_id=U128.encode(self.election_id),
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
        )
        request.config.p4info.CopyFrom(artefacts.info)
        request.config.p4_device_config = artefacts.config
        request.config.cookie.cookie = artefacts.cookie
        with self._failures("pushing the pipeline"):
            await self.stub.SetForwardingPipelineConfig(request, timeout=self._timeouts.push)

    # Writing.

    async def write(self, updates: Sequence[Update]) -> None:
        """Carry out updates that may be done in any order.

        What exists already is replaced, what is gone already is no error.

        Raises:
            WriteFailedError: the switch refused some; all others are in force.
            NotReadyError: this session is not the primary's any more.
            ConnectionLostError: the switch did not answer.
            CodecError: an entry does not fit the program; nothing was written.
        """
        size = self._target.batch
        batches = [updates[start : start + size] for start in range(0, len(updates), size)]
        if len(batches) == 1:
            failures = await self._write_batch(batches[0])
        else:
            limit = asyncio.Semaphore(self._target.in_flight)

            async def limited(batch: Sequence[Update]) -> list[Failure]:
                async with limit:
                    return await self._write_batch(batch)

            # Every batch is waited for even if one fails: the next stage must not overtake a Write that is still under way.
            results = await asyncio.gather(*map(limited, batches), return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
            failures = list(chain.from_iterable(result for result in results if isinstance(result, list)))
        if failures:
            raise WriteFailedError(self._switch, failures)

    async def _write_batch(self, batch: Sequence[Update]) -> list[Failure]:
        failures: list[Failure] = []
        again: list[Update] = []
        for failure in await self._send(batch):
            op, entry = failure.update
            instead = _INSTEAD.get((op, failure.code))
            if instead is not None:
                again.append(Update(instead, entry))
            elif (op, failure.code) != (Op.DELETE, _NOT_FOUND):
                failures.append(failure)
        if again:
            asked = {update.entry.key: update for update in batch}
            failures += [
                failure._replace(update=asked[failure.update.entry.key]) for failure in await self._send(again)
            ]
        return failures

    async def _send(self, batch: Sequence[Update]) -> list[Failure]:
        request = p4r.WriteRequest(
            device_id=self._device_id, role=self._role, election_id=U128.encode(self.election_id)
        )
        self._codec.add_updates(request, batch)
        with self._failures("writing"):
            try:
                await self.stub.Write(request, timeout=self._timeouts.write)
            except grpc.aio.AioRpcError as error:
                if error.code() in _GONE or error.code() is grpc.StatusCode.PERMISSION_DENIED:
                    raise
                # P4Runtime section 12.3: UNKNOWN with a status for each update in the details.
                details = update_errors(error, len(batch))
                if details is None:
                    return [Failure(update, code_of(error), error.details() or "") for update in batch]
                return [
                    Failure(update, detail.canonical_code, detail.message)
                    for update, detail in zip(batch, details, strict=True)
                    if detail.canonical_code != _OK
                ]
        return []

    # Reading.

    async def read_entries(self) -> dict[EntryKey, Entry]:
        """Return all entries of all tables, without default entries.

        Raises:
            ConnectionLostError: the switch did not answer.
            SouthboundError: it refused.
            CodecError: it has entries that are not of the program.
        """
        request = self._read_request()
        for name, table_id in self._codec.table_ids.items():
            wanted = request.entities.add().table_entry
            wanted.table_id = table_id
            if p.TABLES[name].metered:
                wanted.meter_config.SetInParent()
        entries: dict[EntryKey, Entry] = {}
        async for entity in self._read(request, "reading the tables"):
            message = entity.table_entry
            if not message.is_default_action and not message.is_const:
                entry = self._codec.decode(message)
                entries[entry.key] = entry
        return entries

    async def read_counters(self, table: str) -> dict[EntryKey, tuple[int, int]]:
        """Return packets and bytes that each entry of a table has counted.

        Raises:
            ValueError: the table is unknown or counts nothing.
            ConnectionLostError: the switch did not answer.
            SouthboundError: it refused.
        """
        if table not in p.TABLES or not p.TABLES[table].counted:
            raise ValueError(f"table {table!r} has no counter")
        request = self._read_request()
        wanted = request.entities.add().table_entry
        wanted.table_id = self._codec.table_ids[table]
        wanted.counter_data.SetInParent()
        counters: dict[EntryKey, tuple[int, int]] = {}
        async for entity in self._read(request, f"reading the counters of {table}"):
            message = entity.table_entry
            if not message.is_default_action:
                counted = message.counter_data
                counters[self._codec.decode_key(message)] = (counted.packet_count, counted.byte_count)
        return counters

    async def read_drops(self, counter_id: int) -> dict[int, tuple[int, int]]:
        """Return packets and bytes of every cell of a counter by index.

        Raises:
            ConnectionLostError: the switch did not answer.
            SouthboundError: it refused.
        """
        request = self._read_request()
        request.entities.add().counter_entry.counter_id = counter_id
        return {
            entity.counter_entry.index.index: (
                entity.counter_entry.data.packet_count,
                entity.counter_entry.data.byte_count,
            )
            async for entity in self._read(request, "reading the drops")
        }

    def _read_request(self) -> Message:
        return p4r.ReadRequest(device_id=self._device_id, role=self._role)

    async def _read(self, request: Message, doing: str) -> AsyncIterator[Any]:
        count = 0
        with self._failures(doing):
            async for response in self.stub.Read(request, timeout=self._timeouts.read):
                for entity in response.entities:
                    yield entity
                    count += 1
                    if count % _SLICE == 0:
                        await asyncio.sleep(0)

    @contextlib.contextmanager
    def _failures(self, doing: str) -> Iterator[None]:
        """Turn what grpc raises into errors of this layer."""
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise self._failure(doing, error) from error
        except asyncio.CancelledError:
            # A call under way when its channel closes ends as if its task had been cancelled. Only if that is so, it is passed on.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise ConnectionLostError(f"{self._switch}: {doing} failed: the connection was closed") from None

    def _failure(self, doing: str, error: grpc.aio.AioRpcError) -> SouthboundError:
        text = f"{self._switch}: {doing} failed: {error.code().name} {error.details()}"
        if error.code() in _GONE:
            return ConnectionLostError(text)
        if error.code() is grpc.StatusCode.PERMISSION_DENIED:
            return NotReadyError(text)
        return SouthboundError(text)
