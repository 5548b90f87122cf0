"""The embedded switch: ports, a pipeline, and P4Runtime, on one event loop."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
from finsy.proto import p4i, p4r

from testbed.softswitch.errors import ArtefactError
from testbed.softswitch.pipeline import ForwardingPipeline, parse_p4info
from testbed.softswitch.ports import Port, PortError, Receiver, Tap
from testbed.softswitch.server import P4RuntimeService, make_server

TICK = 0.05
"""Seconds between two looks at timeouts."""
GRACE = 0.5
"""Seconds that running calls get at a stop."""


@dataclass(slots=True)
class PortCounters:
    """What went through one port."""

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a server with TLS; `ca` asks clients for certificates signed by it."""

    certificate: Path
    key: Path
    ca: Path | None = None


class SoftSwitch:
    """A P4 switch in this process.

    Args:
        device_id: P4Runtime's device id, 1 and up.
        cpu_port: the port whose packets go to and come from the controller.
        clock: seconds, monotonic: what meters and timestamps go by.
    """

    def __init__(self, device_id: int = 1, cpu_port: int = 510, clock: Callable[[], float] = time.monotonic) -> None:
        self.device_id = device_id
        self.cpu_port = cpu_port
        self.pipeline: ForwardingPipeline | None = None
        self.counters: dict[int, PortCounters] = {}
        """By port."""
        self.no_port = 0
        """Packets that a program sent to a port that does not exist."""
        self.no_pipeline = 0
        """Packets that came before there was a pipeline."""
        self._clock = clock
        self._ports: dict[int, Port] = {}
        self._taps: dict[int, Tap] = {}
        self._service: P4RuntimeService | None = None
        self._server: grpc.aio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def undelivered(self) -> int:
        """Packets for the controller that nobody took since the start: no primary, or a client too slow."""
        return self._service.dropped if self._service else 0

    # -- pipeline ------------------------------------------------------------------------------------------------------

    def load(self, p4info: p4i.P4Info | str | Path, config: bytes | Path, cookie: int = 0) -> None:
        """Put a program in force, with empty tables, as P4Runtime's VERIFY_AND_COMMIT would.

        Args:
            p4info: a message, text, or the path of a text file.
            config: BMv2's JSON or the path of it.
            cookie: what a controller would call it.

        Raises:
            ArtefactError: the two are malformed or do not belong together.
            UnsupportedError: the program needs something that this switch does not do.
        """
        if isinstance(p4info, Path):
            p4info = _read(p4info).decode()
        if isinstance(p4info, str):
            p4info = parse_p4info(p4info)
        data = _read(config) if isinstance(config, Path) else config
        self.commit(ForwardingPipeline(p4info, data, cookie, self._clock))

    def build(self, config: p4r.ForwardingPipelineConfig) -> ForwardingPipeline:
        """Compile a pipeline without using it.

        Raises:
            ArtefactError: P4Info and program are malformed or do not belong together.
            UnsupportedError: the program needs something that this switch does not do.
        """
        return ForwardingPipeline(config.p4info, config.p4_device_config, config.cookie.cookie, self._clock)

    def commit(self, pipeline: ForwardingPipeline) -> None:
        """Put a compiled pipeline in force."""
        pipeline.send = self._notify
        self.pipeline = pipeline

    def _notify(self, message: p4r.StreamMessageResponse) -> None:
        if self._service is not None:
            self._service.notify(message)

    async def _tick(self) -> None:
        """Let what goes by time in the pipeline take its course."""
        while True:
            await asyncio.sleep(TICK)
            if self.pipeline is not None:
                self.pipeline.tick()

    # -- ports ---------------------------------------------------------------------------------------------------------

    def add_port(self, number: int, port: Port, tap: Tap | None = None) -> None:
        """Attach a port. Before `start`, or for wires at any time.

        Args:
            number: 0 to 510, not the CPU port.
            port: what it is attached to.
            tap: sees every frame that enters or leaves.

        Raises:
            ValueError: the number is taken or out of range.
        """
        if not 0 <= number < 511 or number == self.cpu_port:
            raise ValueError(f"the port number {number} is out of range or the CPU port's")
        if number in self._ports:
            raise ValueError(f"there is a port {number} already")
        self._ports[number] = port
        self.counters[number] = PortCounters()
        port.receiver = self._receiver(number)
        if tap is not None:
            self.set_tap(number, tap)

    def set_tap(self, number: int, tap: Tap | None) -> None:
        """Show every frame at a port to somebody; None stops it."""
        if tap is None:
            self._taps.pop(number, None)
        else:
            self._taps[number] = tap

    def _receiver(self, number: int) -> Receiver:
        counters = self.counters[number]

        def receive(frame: bytes) -> None:
            counters.packets_in += 1
            counters.bytes_in += len(frame)
            tap = self._taps.get(number)
            if tap is not None:
                tap("in", frame)
            if self.pipeline is None:
                self.no_pipeline += 1
            else:
                self._send(self.pipeline.process(frame, number))

        return receive

    # -- packets -------------------------------------------------------------------------------------------------------

    def process(self, frame: bytes, ingress_port: int) -> list[tuple[int, bytes]]:
        """Run the pipeline on a frame and give back what would leave, without sending it."""
        return [] if self.pipeline is None else list(self.pipeline.process(frame, ingress_port))

    def packet_out(self, frame: bytes) -> None:
        """Run the pipeline on a frame from the CPU port, with its controller header, and send what leaves."""
        if self.pipeline is not None:
            self._send(self.pipeline.process(frame, self.cpu_port))

    def _send(self, output: Iterable[tuple[int, bytes]]) -> None:
        for number, frame in output:
            port = self._ports.get(number)
            if port is not None:
                counters = self.counters[number]
                counters.packets_out += 1
                counters.bytes_out += len(frame)
                tap = self._taps.get(number)
                if tap is not None:
                    tap("out", frame)
                port.send(frame)
            elif number == self.cpu_port:
                if self._service is not None:
                    self._service.packet_in(frame)
            else:
                self.no_port += 1

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self, grpc_address: str = "127.0.0.1:0", tls: TlsFiles | None = None) -> str:
        """Open the ports and serve P4Runtime.

        Args:
            grpc_address: HOST:PORT; port 0 takes one that is free.
            tls: certificate files; None serves without TLS.

        Returns:
            The address that is served, HOST:PORT.

        Raises:
            PortError: the address or a port cannot be used.
            ArtefactError: a TLS file cannot be read.
        """
        self._service = P4RuntimeService(self)
        self._server = make_server(self._service)
        try:
            number = _listen(self._server, grpc_address, tls)
            for port in self._ports.values():
                await port.open()
            await self._server.start()
            self._ticker = asyncio.create_task(self._tick(), name="softswitch tick")
        except BaseException:
            await self.stop()
            raise
        return f"{grpc_address.rpartition(':')[0]}:{number}"

    async def stop(self) -> None:
        """Stop serving and close the ports; no effect when it is not running."""
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.cancel()
            await asyncio.wait([ticker])
        server, self._server = self._server, None
        if server is not None:
            if self._service is not None:
                self._service.close()
            await server.stop(GRACE)
        for port in self._ports.values():
            port.close()
        self._service = None


def _listen(server: grpc.aio.Server, address: str, tls: TlsFiles | None) -> int:
    reason = "the address is in use or not usable; choose another"
    credentials = None
    if tls is not None:
        reason += ", or check that the TLS files hold a key and its certificate"
        credentials = grpc.ssl_server_credentials(
            [(_read(tls.key), _read(tls.certificate))],
            root_certificates=_read(tls.ca) if tls.ca else None,
            require_client_auth=tls.ca is not None,
        )
    try:
        number = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except (RuntimeError, ValueError):
        number = 0
    if number == 0:
        raise PortError(f"cannot serve P4Runtime at {address}: {reason}")
    return int(number)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"cannot read {path}: {error.strerror}") from None
