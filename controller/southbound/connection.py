"""One connection with a switch: its calls, its stream, and whoever is told what comes, for as long as it lasts."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

import grpc.aio

from controller.southbound.calls import Calls
from controller.southbound.codec import Codec, CodecError
from controller.southbound.errors import DistrustError
from controller.southbound.options import SessionOptions
from controller.southbound.ports import PortsListener, watch_ports
from controller.southbound.stream import Arbitration, Digest, Idle, PacketIn, Stream, StreamCodec

_LOG = logging.getLogger(__name__)

PacketHandler = Callable[[PacketIn], None]
NoticeHandler = Callable[[Digest | Idle], None]


@dataclass(frozen=True, slots=True)
class Handlers:
    """Who is told what a switch sends. None: nobody."""

    on_packet: PacketHandler | None = None
    """Called with each packet that the switch hands up, one after the other."""
    on_notice: NoticeHandler | None = None
    """Called with each list of digests and each idle timeout."""
    on_ports: PortsListener | None = None
    """Called with the ports that are up or down, where this kind of switch tells (`ports`)."""


class Connection:
    """What a channel to a switch is used for.

    Args:
        options: the switch and the limits.
        channel: open, and closed by whoever opened it.
        codec: of the program's entries.
        stream_codec: of what travels on the stream.
        handlers: who is told what comes.
        on_arbitration: called at once with what the switch says about who is primary.
    """

    def __init__(
        self,
        options: SessionOptions,
        channel: grpc.aio.Channel,
        codec: Codec,
        stream_codec: StreamCodec,
        handlers: Handlers,
        on_arbitration: Callable[[Arbitration], None],
    ) -> None:
        self.calls = Calls(
            options.name,
            channel,
            options.device_id,
            codec,
            options.target,
            role=options.role,
            timeouts=options.timeouts,
            journal=options.journal,
        )
        self.stream = Stream(options, self._packet_in, on_arbitration)
        self._options = options
        self._channel = channel
        self._stream_codec = stream_codec
        self._handlers = handlers

    async def run(self, others: Mapping[str, Coroutine[None, None, None]]) -> None:
        """Hand on what comes until something fails, which is always an error.

        Args:
            others: what else is to be done as long as the connection lasts, by the names of the tasks.

        Raises:
            Exception: what the first of all tasks to end has raised; the others were cancelled for it.
        """
        work = {"stream": self.stream.run(), "notices": self._notices(), **others}
        if self._options.target.gnmi and self._handlers.on_ports is not None:
            work["ports"] = watch_ports(self._options.name, self._channel, self._handlers.on_ports)
        # Not a TaskGroup: in Python 3.11 it swallows a cancellation that comes together with a failure.
        tasks = [asyncio.create_task(one, name=f"switch {self._options.name} {what}") for what, one in work.items()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    def _packet_in(self, data: bytes) -> None:
        if self._handlers.on_packet is None:
            return
        try:
            self._handlers.on_packet(self._stream_codec.packet_in(data))
        except Exception:  # noqa: BLE001  whatever one packet does to its handler, the next one is handled
            _LOG.exception("%s: a packet could not be handled", self._options.name)

    async def _notices(self) -> None:
        while True:
            message = await self.stream.notices.get()
            try:
                notice = self._stream_codec.notice(message)
            except CodecError as error:
                raise DistrustError(f"{self._options.name} sends what is not of its program: {error}") from error
            if isinstance(notice, Digest):
                self.stream.acknowledge(notice)
            if self._handlers.on_notice is None:
                _LOG.info("%s: %s, which nobody waits for", self._options.name, notice)
            else:
                self._handlers.on_notice(notice)
