"""One session with one switch: connect, become primary, bring the pipeline and the tables to what they should be, serve.

It is a loop that never gives up: whatever ends a connection, it starts over after a pause. `states` has the table of what
leads where. Writes are taken only while the tables are as desired; a change that comes while they are not is carried out by the
reconciliation, which reads what is desired anew until nothing differs.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence

import grpc
import grpc.aio

from controller.dataplane.entries import Entry, EntryKey, Update
from controller.dataplane.pipeline import DropReason
from controller.dataplane.wanted import Wanted
from controller.southbound.artefacts import ArtefactError, Artefacts
from controller.southbound.backoff import Backoff
from controller.southbound.calls import Calls
from controller.southbound.codec import Codec, CodecError
from controller.southbound.connection import Connection, Handlers, NoticeHandler, PacketHandler
from controller.southbound.errors import ConnectionLostError, DistrustError, NotReadyError, SouthboundError
from controller.southbound.faults import Faults
from controller.southbound.options import ElectionIds, SessionOptions, open_channel
from controller.southbound.ports import PortsListener
from controller.southbound.readback import Drift
from controller.southbound.reconciler import Reconciler
from controller.southbound.states import SessionEvent, SessionState, after
from controller.southbound.stream import Arbitration, Stream, StreamCodec

_LOG = logging.getLogger(__name__)

StateListener = Callable[["SwitchSession", SessionState], None]


class SwitchSession:
    """The session with one switch.

    Args:
        options: the switch and the limits.
        artefacts: the program that it must run.
        wanted: what its tables should hold.
        election_ids: remembers what was bid.
        on_state: called with the session after each change of `state`.
        on_packet: called with each packet that the switch hands up, one after the other.
        on_notice: called with each list of digests and each idle timeout.
        on_ports: called with the ports that are up or down, where this kind of switch tells (`ports`).

    Raises:
        ArtefactError: the program is not built for this kind of switch.
        ValueError: a role is asked for, and this kind of switch knows none.
    """

    def __init__(
        self,
        options: SessionOptions,
        artefacts: Artefacts,
        wanted: Wanted,
        election_ids: ElectionIds,
        *,
        on_state: StateListener | None = None,
        on_packet: PacketHandler | None = None,
        on_notice: NoticeHandler | None = None,
        on_ports: PortsListener | None = None,
    ) -> None:
        if artefacts.config_format != options.target.config_format:
            raise ArtefactError(
                f"{options.name} is of kind {options.target.name} and takes {options.target.config_format}, "
                f"but the program is built as {artefacts.config_format}"
            )
        if options.role and not options.target.roles:
            raise ValueError(f"{options.name} is of kind {options.target.name}, which knows no roles: ask for none")
        self.options = options
        self.state = SessionState.STOPPED
        self._dropped_before = 0
        self._election_ids = election_ids
        self._on_state = on_state
        self._handlers = Handlers(on_packet, on_notice, on_ports)
        copy_port = options.target.copy_port if options.copy_port is None else options.copy_port
        self._codec = Codec(artefacts.info, copy_port)
        self._stream_codec = StreamCodec(artefacts.info, self._codec)
        several = (*artefacts.info.tables, *artefacts.info.action_profiles)
        self._sizes = {one.preamble.alias: int(one.size) for one in several}
        self._seen = 0
        self._bidden = 0
        self._changed = asyncio.Event()
        self._calls: Calls | None = None
        self._stream: Stream | None = None
        self._writing = asyncio.Lock()
        self._joining = False
        self._reconciler = Reconciler(options, artefacts, wanted)
        self._faults = Faults(options.name, self._reconciler.distrust)
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The switch's name."""
        return self.options.name

    @property
    def last_error(self) -> str | None:
        """Why the session last failed; None if it never did."""
        return self._faults.last_error

    @property
    def suspicions(self) -> Sequence[str]:
        """What the switch said lately that cannot be true."""
        return self._faults.suspicions

    @property
    def takes_writes(self) -> bool:
        """Whether changes are to be written to it: it is ready, or will be when what has changed before is written."""
        return self.state is SessionState.READY or self._joining

    @property
    def packets_dropped(self) -> int:
        """Messages of either direction that found a queue full, over all connections."""
        return self._dropped_before + (self._stream.dropped if self._stream is not None else 0)

    @property
    def packets_waiting(self) -> int:
        """Messages of either direction that wait in a queue now."""
        return self._stream.waiting if self._stream is not None else 0

    @property
    def table_sizes(self) -> dict[str, int]:
        """The size of each table, and of each action selector, that the program asks for."""
        return dict(self._sizes)

    @property
    def drift(self) -> Drift:
        """What the last comparison found, repaired or not."""
        return self._reconciler.last

    @property
    def repaired(self) -> int:
        """Entries that were not as desired while the session was ready, and were put right, since the start."""
        return self._reconciler.repaired

    @property
    def progress(self) -> tuple[int, int]:
        """Updates written and to be written by the reconciliation that is under way, or was last."""
        return self._reconciler.progress(self._calls)

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
        backoff = Backoff(self.options.pause, self.options.longest_pause)
        self._happen(SessionEvent.START)
        try:
            while True:
                try:
                    async with open_channel(self.options) as channel:
                        await self._connected(channel)
                except (SouthboundError, CodecError, TimeoutError, OSError) as error:
                    if self.state in {SessionState.READY, SessionState.STANDBY}:
                        backoff.reset()
                    self._faults.note(error)
                except Exception as error:  # noqa: BLE001  a fault of ours must not end the session either
                    _LOG.exception("%s: the session failed", self.name)
                    self._faults.note(error)
                # A failure that comes together with a cancellation hides it.
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise asyncio.CancelledError
                self._happen(SessionEvent.FAILED)
                await asyncio.sleep(backoff.pause())
        finally:
            self._happen(SessionEvent.STOP)

    async def _connected(self, channel: grpc.aio.Channel) -> None:
        """Do everything that one connection is for, until it fails."""
        connection = Connection(
            self.options, channel, self._codec, self._stream_codec, self._handlers, self._arbitrated
        )
        calls, stream = self._calls, self._stream = connection.calls, connection.stream
        try:
            await connection.run({"session": self._hold(calls, stream), "audits": self._audits()})
        finally:
            self._dropped_before += stream.dropped
            self._calls = self._stream = None

    def _arbitrated(self, news: Arbitration) -> None:
        """Stop writing the moment that the switch says that somebody else may."""
        self._seen = max(self._seen, news.election_id)
        if not news.primary and self._calls is not None:
            self._calls.must_not_write()
            if self.state in {SessionState.SYNCING, SessionState.READY}:
                self._happen(SessionEvent.OUTBID)

    async def _hold(self, calls: Calls, stream: Stream) -> None:
        """Become primary, reconcile, and watch who is primary from then on."""
        stored = await self._election_ids.load(self.name)
        self._seen = max(self._seen, stored)
        may_outbid = self.options.takeover
        if may_outbid:
            await self._bid(stream)
        else:
            stream.bid(None)
        answer_due = True
        while True:
            async with asyncio.timeout(self.options.answer_time if answer_due else None):
                news = await stream.news()
            answer_due = False
            if news.primary:
                may_outbid = False  # Whoever outbids us later means it: two that answer in kind would never end.
                if self.state is SessionState.READY:
                    continue
                calls.may_write(self._bidden)
                self._happen(SessionEvent.ELECTED)
                try:
                    await self._sync(calls)
                except NotReadyError as error:
                    self._faults.note(error)
                    answer_due = True  # Who has become primary is on its way.
            elif news.vacant or may_outbid:
                may_outbid = False
                answer_due = True
                await self._bid(stream)
            else:
                self._happen(SessionEvent.OUTBID)

    async def _bid(self, stream: Stream) -> None:
        self._seen = self._bidden = self._seen + 1
        await self._election_ids.save(self.name, self._bidden)
        stream.bid(self._bidden)

    async def _sync(self, calls: Calls) -> None:
        """Bring pipeline and tables to what they should be, and be ready."""
        pushed = await self._reconciler.ensure_pipeline(calls)
        async with self._writing:
            held = await self._reconciler.reconcile(calls, pushed=pushed)
            if not calls.writes:
                return
            # While others register at other switches there is no end of changes to write: from here on they come here too, and
            # wait for us.
            self._joining = True
            try:
                if held is not None:
                    await self._reconciler.catch_up(calls, held)
                if calls.writes:
                    self._happen(SessionEvent.IN_SYNC)
            finally:
                self._joining = False

    async def _audits(self) -> None:
        """Compare now and then, and soon after something was written that has not been seen yet."""
        while True:
            await self.wait_for(SessionState.READY)
            await self._reconciler.due()
            if self.state is SessionState.READY:
                with contextlib.suppress(NotReadyError):
                    await self.audit()

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
            calls, stream = self._calls, self._stream
            if not self.takes_writes or calls is None or stream is None:
                raise NotReadyError(f"{self.name} is {self.state}")
            if updates:
                try:
                    await calls.write(updates)
                except ConnectionLostError as error:
                    stream.fail(error)
                    raise

    async def audit(self, *, repair: bool = True) -> Drift:
        """Compare the switch with what it should hold.

        Args:
            repair: put right what differs.

        Returns:
            What differed.

        Raises:
            NotReadyError: it is not connected, or its pipeline may not be ours.
            ConnectionLostError: it did not answer.
            DistrustError: what it says cannot be true.
        """
        try:
            return await self._audit(repair=repair)
        except DistrustError as error:
            self._faults.suspect(error)
            if self._stream is not None:
                self._stream.fail(error)
            raise

    async def _audit(self, *, repair: bool) -> Drift:
        calls = self._reachable()
        drift = await self._reconciler.compare(calls)
        if drift and self.state is SessionState.READY:
            async with self._writing:  # Nothing is under way to the switch now: what still differs is true.
                drift = await self._reconciler.compare(calls)
                if self.state is SessionState.READY and calls is self._calls:
                    await self._reconciler.judge(calls, drift, repair=repair)
        elif self.state is SessionState.READY:
            await self._reconciler.judge(calls, drift, repair=repair)
        return drift

    async def read_entries(self) -> dict[EntryKey, Entry]:
        """Return every entry that the switch has.

        Raises:
            NotReadyError: it is not connected, or its pipeline may not be ours.
            ConnectionLostError: it did not answer.
        """
        return await self._faults.asked(self._reachable().read_entries())

    async def read_counters(self, table: str) -> dict[EntryKey, tuple[int, int]]:
        """Return packets and bytes that each entry of a table has counted.

        Raises:
            ValueError: the table is unknown or counts nothing.
            NotReadyError: it is not connected, or its pipeline may not be ours.
            ConnectionLostError: it did not answer.
            DistrustError: what it says cannot be true.
        """
        return await self._faults.asked(self._reachable().read_counters(table))

    async def read_counters_of(self, keys: Iterable[EntryKey]) -> dict[EntryKey, tuple[int, int]]:
        """Return packets and bytes that some entries have counted; raises as `read_counters` does."""
        return await self._faults.asked(self._reachable().read_counters_of(keys))

    async def read_drops(self) -> dict[DropReason, tuple[int, int]]:
        """Return packets and bytes dropped for each reason; raises as `read_counters` does."""
        return await self._faults.asked(self._reachable().read_drops())

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

    def _happen(self, event: SessionEvent) -> None:
        state = after(self.state, event)
        if state is self.state:
            return
        _LOG.info("%s: %s", self.name, state)
        self.state = state
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if self._on_state is not None:
            self._on_state(self, state)
