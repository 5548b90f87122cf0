"""One session with one switch: connect, become primary, bring the pipeline and the tables to what they should be, serve.

It is a loop that never gives up: whatever ends a connection, it starts over after a pause. Writes are taken only while the
tables are as desired; a change that comes while they are not is carried out by the reconciliation, which reads what is
desired anew until nothing differs.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence

import grpc
import grpc.aio

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entries, Entry, EntryKey, Update
from controller.dataplane.pipeline import DropReason
from controller.dataplane.plans import Stages, diff
from controller.southbound.artefacts import ArtefactError, Artefacts
from controller.southbound.calls import Calls
from controller.southbound.codec import Codec, CodecError
from controller.southbound.errors import ConnectionLostError, NotReadyError, SouthboundError, WriteFailedError
from controller.southbound.options import CHANNEL_OPTIONS, ElectionIds, SessionOptions, SessionState
from controller.southbound.stream import PacketIn, Stream, StreamCodec

_LOG = logging.getLogger(__name__)

StateListener = Callable[["SwitchSession", SessionState], None]
PacketHandler = Callable[[PacketIn], Awaitable[None] | None]


class SwitchSession:
    """The session with one switch.

    Args:
        options: the switch and the limits.
        artefacts: the program that it must run.
        desired: gives the entries that its tables should hold now.
        election_ids: remembers what was bid.
        on_state: called with the session after each change of `state`.
        on_packet: called with each packet that the switch hands up, one after the other.

    Raises:
        ArtefactError: the program is not built for this kind of switch.
    """

    def __init__(
        self,
        options: SessionOptions,
        artefacts: Artefacts,
        desired: Callable[[], Entries],
        election_ids: ElectionIds,
        *,
        on_state: StateListener | None = None,
        on_packet: PacketHandler | None = None,
    ) -> None:
        if artefacts.config_format != options.target.config_format:
            raise ArtefactError(
                f"{options.name} is of kind {options.target.name} and takes {options.target.config_format}, "
                f"but the program is built as {artefacts.config_format}"
            )
        self.options = options
        self.state = SessionState.STOPPED
        self.last_error: str | None = None
        """Why the session last failed; None if it never did."""
        self._dropped_before = 0
        self._artefacts = artefacts
        self._desired = desired
        self._election_ids = election_ids
        self._on_state = on_state
        self._on_packet = on_packet
        self._codec = Codec(artefacts.info)
        self._stream_codec = StreamCodec(artefacts.info)
        (self._drops_id,) = (c.preamble.id for c in artefacts.info.counters if c.preamble.alias == p.DROPS_COUNTER)
        self._sizes = {table.preamble.alias: int(table.size) for table in artefacts.info.tables}
        self._seen = 0
        self._bidden = 0
        self._changed = asyncio.Event()
        self._calls: Calls | None = None
        self._stream: Stream | None = None
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The switch's name."""
        return self.options.name

    @property
    def packets_dropped(self) -> int:
        """Packets from the switch that found the backlog full, over all connections."""
        return self._dropped_before + (self._stream.dropped if self._stream is not None else 0)

    @property
    def table_sizes(self) -> dict[str, int]:
        """The size of each table that the program asks for."""
        return dict(self._sizes)

    # Life.

    def start(self) -> None:
        """Begin in a task of its own."""
        if self._task is None:
            self._task = asyncio.create_task(self.run(), name=f"switch {self.name}")

    async def stop(self) -> None:
        """End the session; the switch keeps what it has."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def wait_for(self, state: SessionState) -> None:
        """Wait until the session is in a state."""
        while self.state is not state:
            await self._changed.wait()

    def restart(self, reason: str) -> None:
        """Drop the connection and start over, with a reconciliation: for a switch of which it is unknown what it holds."""
        if self._stream is not None:
            self._stream.fail(ConnectionLostError(reason))

    async def run(self) -> None:
        """Hold the session until cancelled."""
        failures = 0
        try:
            while True:
                self._enter(SessionState.CONNECTING)
                try:
                    async with self._channel() as channel:
                        await self._connected(channel)
                except (SouthboundError, CodecError, TimeoutError, OSError) as error:
                    # Once it was up, the next failure is a new story: begin with short pauses again.
                    failures = 1 if self.state in {SessionState.READY, SessionState.STANDBY} else failures + 1
                    self._note(error)
                except Exception as error:  # noqa: BLE001  a fault of ours must not end the session either
                    failures += 1
                    _LOG.exception("%s: the session failed", self.name)
                    self._note(error)
                self._enter(SessionState.CONNECTING)
                await asyncio.sleep(self._pause(failures))
        finally:
            self._enter(SessionState.STOPPED)

    async def _connected(self, channel: grpc.aio.Channel) -> None:
        """Do everything that one connection is for, until it fails."""
        options = self.options
        calls = Calls(
            self.name,
            channel,
            options.device_id,
            self._codec,
            options.target,
            role=options.role,
            timeouts=options.timeouts,
        )
        stream = Stream(calls.stub.StreamChannel(), options.device_id, options.role, options.packet_backlog)
        self._calls, self._stream = calls, stream
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(stream.run(), name=f"switch {self.name} stream")
                group.create_task(self._dispatch(stream), name=f"switch {self.name} packets")
                group.create_task(self._hold(calls, stream), name=f"switch {self.name} session")
        except BaseExceptionGroup as failed:
            # What one task noticed is told; the others were cancelled for it.
            raise failed.exceptions[0] from None
        finally:
            self._dropped_before += stream.dropped
            self._calls = self._stream = None

    async def _hold(self, calls: Calls, stream: Stream) -> None:
        """Become primary, reconcile, and watch who is primary from then on."""
        stored = await self._election_ids.load(self.name)
        self._seen = max(self._seen, stored)
        may_outbid = self.options.takeover
        if may_outbid:
            await self._bid(stream)
        else:
            await stream.bid(None)
        answer_due = True
        while True:
            async with asyncio.timeout(self.options.answer_time if answer_due else None):
                news = await stream.news()
            answer_due = False
            self._seen = max(self._seen, news.election_id)
            if news.primary:
                may_outbid = False  # Whoever outbids us later means it: two that answer in kind would never end.
                if self.state is SessionState.READY:
                    continue
                calls.election_id = self._bidden
                try:
                    await self._sync(calls, stream)
                except NotReadyError as error:
                    self._note(error)
                    answer_due = True  # Who has become primary is on its way.
            elif news.vacant or may_outbid:
                may_outbid = False
                answer_due = True
                if self.state is not SessionState.CONNECTING:
                    self._enter(SessionState.STANDBY)
                await self._bid(stream)
            else:
                self._enter(SessionState.STANDBY)

    async def _bid(self, stream: Stream) -> None:
        self._seen = self._bidden = self._seen + 1
        await self._election_ids.save(self.name, self._bidden)
        await stream.bid(self._bidden)

    async def _sync(self, calls: Calls, stream: Stream) -> None:
        """Bring pipeline and tables to what they should be, and be ready."""
        self._enter(SessionState.SYNCING)
        if await calls.cookie() != self._artefacts.cookie:
            _LOG.info("%s: pushing the pipeline %016x", self.name, self._artefacts.cookie)
            await calls.push(self._artefacts)
        async with self._writing:
            actual: Entries = await calls.read_entries()
            while True:
                wanted = dict(self._desired())
                stages = diff(actual, wanted)
                if not stages:
                    break
                _LOG.info("%s: reconciling %d entries", self.name, sum(map(len, stages)))
                await self._write_all(calls, stages)
                actual = wanted
            # Nothing was awaited since `desired` was asked: a change that comes now finds the session ready.
            if stream.latest.primary:
                self._enter(SessionState.READY)

    @staticmethod
    async def _write_all(calls: Calls, stages: Stages) -> None:
        """Write every stage, also after a refusal: the more of the entries are right the better."""
        refused: WriteFailedError | None = None
        for stage in stages:
            try:
                await calls.write(stage)
            except WriteFailedError as error:
                refused = refused or error
        if refused is not None:
            raise refused

    async def _dispatch(self, stream: Stream) -> None:
        while True:
            packet = await stream.packets.get()
            if self._on_packet is None:
                continue
            try:
                outcome = self._on_packet(self._stream_codec.packet_in(packet))
                if outcome is not None:
                    await outcome
            except Exception:  # noqa: BLE001  whatever one packet does to its handler, the next one is handled
                _LOG.exception("%s: a packet could not be handled", self.name)

    # What the service does with it.

    async def write(self, updates: Sequence[Update]) -> None:
        """Carry out updates that may be done in any order. Calls are carried out one after the other.

        What exists already is replaced, what is gone already is no error.

        Raises:
            NotReadyError: the session is not ready; nothing was written, and the reconciliation will.
            WriteFailedError: the switch refused some updates; all others are in force.
            ConnectionLostError: the switch did not answer; the session starts over and reconciles.
        """
        async with self._writing:
            await self._write_ready(updates)

    async def _write_ready(self, updates: Sequence[Update]) -> None:
        calls, stream = self._calls, self._stream
        if self.state is not SessionState.READY or calls is None or stream is None:
            raise NotReadyError(f"{self.name} is {self.state}")
        if updates:
            try:
                await calls.write(updates)
            except ConnectionLostError as error:
                stream.fail(error)
                raise

    async def read_entries(self) -> dict[EntryKey, Entry]:
        """Return every entry that the switch has.

        Raises:
            NotReadyError: it is not connected, or its pipeline may not be ours.
            ConnectionLostError: it did not answer.
        """
        return await self._reachable().read_entries()

    async def read_counters(self, table: str) -> dict[EntryKey, tuple[int, int]]:
        """Return packets and bytes that each entry of a table has counted.

        Raises:
            ValueError: the table is unknown or counts nothing.
            NotReadyError: it is not connected, or its pipeline may not be ours.
            ConnectionLostError: it did not answer.
        """
        return await self._reachable().read_counters(table)

    async def read_drops(self) -> dict[DropReason, tuple[int, int]]:
        """Return packets and bytes dropped for each reason; raises as `read_entries` does."""
        cells = await self._reachable().read_drops(self._drops_id)
        return {reason: cells.get(reason, (0, 0)) for reason in DropReason}

    def packet_out(self, frame: bytes, *, routed: bool = True, egress_port: int = 0) -> bool:
        """Send an Ethernet frame.

        Args:
            frame: the frame; with `routed` its addresses may be zero.
            routed: find the way by the destination; False: out of `egress_port` as it is.
            egress_port: the port if not routed.

        Returns:
            Whether it is on its way; False if this session is not primary or the backlog is full.
        """
        stream = self._stream
        if stream is None or self.state not in {SessionState.READY, SessionState.SYNCING}:
            return False
        return stream.send(self._stream_codec.packet_out(frame, routed=routed, egress_port=egress_port))

    # Small things.

    def _reachable(self) -> Calls:
        if self._calls is None or self.state not in {SessionState.READY, SessionState.STANDBY}:
            raise NotReadyError(f"{self.name} is {self.state}")
        return self._calls

    def _channel(self) -> grpc.aio.Channel:
        tls = self.options.tls
        if tls is None:
            return grpc.aio.insecure_channel(self.options.address, options=CHANNEL_OPTIONS)
        credentials = grpc.ssl_channel_credentials(
            tls.ca.read_bytes(),
            tls.key.read_bytes() if tls.key else None,
            tls.certificate.read_bytes() if tls.certificate else None,
        )
        return grpc.aio.secure_channel(self.options.address, credentials, options=CHANNEL_OPTIONS)

    def _pause(self, failures: int) -> float:
        """Return how long to wait: doubling, and jittered so that many sessions do not come back at once."""
        longest = min(self.options.pause * 2 ** min(failures - 1, 16), self.options.longest_pause)
        return secrets.SystemRandom().uniform(longest / 2, longest)

    def _note(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if text != self.last_error:
            _LOG.warning("%s: %s", self.name, text)
        self.last_error = text

    def _enter(self, state: SessionState) -> None:
        if state is self.state:
            return
        _LOG.info("%s: %s", self.name, state)
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if self._on_state is not None:
            self._on_state(self, state)
