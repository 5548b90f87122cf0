"""The unary half of P4Runtime towards one switch: pipeline, Write, Read. No state but the election id."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import grpc
import grpc.aio
from finsy.proto import U128, p4r, p4r_grpc

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entries, Entry, EntryKey, Op, Update
from controller.southbound.artefacts import Artefacts
from controller.southbound.codec import Codec, Message
from controller.southbound.errors import (
    ConnectionLostError,
    DistrustError,
    Failure,
    NotReadyError,
    SouthboundError,
    WriteFailedError,
    code_of,
    update_errors,
)
from controller.southbound.options import Foreign, Timeouts, WriteLog
from controller.southbound.readback import Readback
from controller.southbound.targets import Target

_OK: Final = 0
_WRITE: Final = "/p4.v1.P4Runtime/Write"
_READ: Final = "/p4.v1.P4Runtime/Read"
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


def _positions(batch: Sequence[Update], failures: Sequence[Failure] | None) -> dict[int, int] | None:
    if failures is None:
        return None
    codes = {id(failure.update): failure.code for failure in failures}
    return {number: codes[id(update)] for number, update in enumerate(batch) if id(update) in codes} if codes else {}


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
        journal: keeps what is written, with the results.
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
        journal: WriteLog | None = None,
    ) -> None:
        self.stub = p4r_grpc.P4RuntimeStub(channel)
        # What is written and what is read back is bytes already, and packets are: see `encoding`, `readback` and `stream`.
        self._write_call = channel.unary_unary(_WRITE, None, p4r.WriteResponse.FromString)
        self._read_call = channel.unary_stream(_READ, p4r.ReadRequest.SerializeToString, None)
        self.sent = 0
        """Updates that the switch has answered."""
        self._head: bytes | None = None
        self._switch = switch
        self._device_id = device_id
        self._codec = codec
        self._target = target
        self._role = role
        self._timeouts = timeouts if timeouts is not None else Timeouts()
        self._journal = journal
        self._election_id = U128.encode(0)

    def may_write(self, election_id: int) -> None:
        """Write with this election id from now on: it has made this session primary."""
        self._election_id = U128.encode(election_id)
        request = p4r.WriteRequest(device_id=self._device_id, role=self._role, election_id=self._election_id)
        self._head = request.SerializeToString()

    def must_not_write(self) -> None:
        """Send no more writes, those of a stage that is under way included: somebody else is primary."""
        self._head = None

    @property
    def writes(self) -> bool:
        """Whether this session may write."""
        return self._head is not None

    # The pipeline.

    async def pipeline(self) -> tuple[int, Message] | None:
        """Return cookie and P4Info of the switch's pipeline; None if it has no pipeline."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self._device_id, response_type=p4r.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE
        )
        with self._failures("reading which pipeline there is"):
            try:
                response = await self.stub.GetForwardingPipelineConfig(request, timeout=self._timeouts.query)
            except grpc.aio.AioRpcError as error:
                if error.code() in _NO_PIPELINE:
                    return None
                raise
        return int(response.config.cookie.cookie), response.config.p4info

    async def push(self, artefacts: Artefacts) -> None:
        """Make a program the switch's pipeline. Its tables are empty after that."""
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self._device_id,
            role=self._role,
            election_id=self._election_id,
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
        if len(updates) <= size:
            failures = await self._write_batch(updates)
        else:
            limit = asyncio.Semaphore(self._target.in_flight)

            async def limited(start: int) -> list[Failure]:
                async with limit:
                    return await self._write_batch(updates[start : start + size])

            # Every batch is waited for even if one fails: the next stage must not overtake a Write that is still under way.
            results = await asyncio.gather(*map(limited, range(0, len(updates), size)), return_exceptions=True)
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
        head = self._head
        if head is None:
            raise NotReadyError(f"{self._switch}: another controller is primary")
        request = head + self._codec.updates(batch)
        failures: list[Failure] | None = None
        try:
            failures = await self._send_request(request, batch)
        finally:
            self.sent += len(batch)
            if self._journal is not None:
                self._journal.append(self._switch, request, _positions(batch, failures))
        return failures

    async def _send_request(self, request: bytes, batch: Sequence[Update]) -> list[Failure]:
        with self._failures("writing"):
            try:
                await self._write_call(request, timeout=self._timeouts.write)
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

    async def compare(self, desired: Entries) -> Readback:
        """Read all entries of all tables, without default entries, beside what they should be.

        Raises:
            ConnectionLostError: the switch did not answer.
            SouthboundError: it refused.
            DistrustError: it sent what no switch with our program would send.
        """
        request = self._read_request()
        for name, table_id in self._codec.table_ids.items():
            wanted = request.entities.add().table_entry
            wanted.table_id = table_id
            if p.TABLES[name].metered:
                wanted.meter_config.SetInParent()
        request.entities.add().packet_replication_engine_entry.multicast_group_entry.SetInParent()
        found = Readback(self._switch, self._codec, desired)
        with self._failures("reading the tables"):
            answers = self._read_call(request, timeout=self._timeouts.read)
            # While the switch gathers its entries we encode ours, in slices: other tasks get their turn.
            several = list(desired.values())
            for start in range(0, len(several), _SLICE):
                found.expect(several[start : start + _SLICE])
                await asyncio.sleep(0)
            async for answer in answers:
                for _ in found.take(answer, _SLICE):
                    await asyncio.sleep(0)
        return found

    async def read_entries(self) -> dict[EntryKey, Entry]:
        """Return all entries of all tables, without default entries; raises as `compare` does."""
        drift = (await self.compare({})).drift(Foreign.REMOVE)
        return {entry.key: entry for entry in drift.foreign}

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
                counters[self._codec.decode_key(message)] = self._plausible(table, counted)
        return counters

    async def read_counters_of(self, keys: Iterable[EntryKey]) -> dict[EntryKey, tuple[int, int]]:
        """Return packets and bytes that some entries have counted; entries that are not there are left out.

        Raises:
            CodecError: a key does not fit the program, or its table counts nothing.
            ConnectionLostError: the switch did not answer.
            SouthboundError: it refused.
        """
        request = self._read_request()
        for key in keys:
            wanted = request.entities.add().table_entry
            wanted.MergeFromString(self._codec.key(key))
            wanted.counter_data.SetInParent()
        counters: dict[EntryKey, tuple[int, int]] = {}
        async for entity in self._read(request, "reading counters"):
            key = self._codec.decode_key(entity.table_entry)
            counters[key] = self._plausible(key[0], entity.table_entry.counter_data)
        return counters

    async def read_drops(self) -> dict[p.DropReason, tuple[int, int]]:
        """Return packets and bytes dropped for each reason, in ingress and egress together.

        Raises:
            ConnectionLostError: the switch did not answer.
            SouthboundError: it refused.
        """
        request = self._read_request()
        for counter_id in self._codec.drop_counters:
            request.entities.add().counter_entry.counter_id = counter_id
        drops = dict.fromkeys(p.DropReason, (0, 0))
        async for entity in self._read(request, "reading the drops"):
            cell = entity.counter_entry.index.index
            packets, octets = self._plausible("drops", entity.counter_entry.data)
            if cell in drops:
                before = drops[p.DropReason(cell)]
                drops[p.DropReason(cell)] = before[0] + packets, before[1] + octets
        return drops

    def _plausible(self, what: str, data: Message) -> tuple[int, int]:
        packets, octets = int(data.packet_count), int(data.byte_count)
        if packets < 0 or octets < 0 or (octets > 0 and packets == 0):
            raise DistrustError(f"{self._switch} counts {packets} packets and {octets} bytes in {what}")
        return packets, octets

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
        except grpc.aio.UsageError as error:
            # grpc's word for a channel that was closed before the call began: whoever asks may have been preparing meanwhile.
            raise ConnectionLostError(f"{self._switch}: {doing} failed: {error}") from error
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
