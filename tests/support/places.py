"""Switches that a session can be tried on: embedded and BMv2, each in the clear or with certificates on both sides."""

import asyncio
import shutil
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from certificates import certificate
from controller.southbound.options import TlsFiles
from controller.southbound.targets import TARGETS
from testbed.softswitch.switch import SoftSwitch
from testbed.softswitch.switch import TlsFiles as ServerFiles

BMV2 = shutil.which("simple_switch_grpc")
_MARKS = [pytest.mark.bmv2, pytest.mark.skipif(BMV2 is None, reason="simple_switch_grpc is not on PATH")]
EMBEDDED = [pytest.param("embedded"), pytest.param("embedded-tls")]
OF_BMV2 = [pytest.param("bmv2", marks=_MARKS), pytest.param("bmv2-tls", marks=_MARKS)]
PLACES = [*EMBEDDED, *OF_BMV2]
SECURED = [EMBEDDED[1], OF_BMV2[1]]


class Place(Protocol):
    """A switch without a program, which can be stopped and started again, empty, at the same address."""

    address: str

    @property
    def options(self) -> dict[str, Any]:
        """What a session with it is to know."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass
class Certificates:
    """Each side's own, and that it trusts the other's."""

    server: tuple[Path, Path]
    client: tuple[Path, Path]

    @property
    def of_client(self) -> TlsFiles:
        return TlsFiles(ca=self.server[0], certificate=self.client[0], key=self.client[1])


def make_place(name: str, folder: Path) -> Place:
    kind, _, secured = name.partition("-")
    tls = Certificates(certificate(folder, "server"), certificate(folder, "client")) if secured else None
    return Embedded(tls) if kind == "embedded" else Bmv2(folder, tls)


def _options(kind: str, tls: Certificates | None) -> dict[str, Any]:
    return {"target": TARGETS[kind], "tls": None if tls is None else tls.of_client}


@dataclass
class Embedded:
    """The embedded switch."""

    tls: Certificates | None
    address: str = "127.0.0.1:0"
    soft: SoftSwitch = field(default_factory=SoftSwitch)

    @property
    def options(self) -> dict[str, Any]:
        return _options("embedded", self.tls)

    async def start(self) -> None:
        tls = self.tls
        files = None if tls is None else ServerFiles(tls.server[0], tls.server[1], tls.client[0])
        self.soft = SoftSwitch()
        self.address = await self.soft.start(self.address, files)

    async def stop(self) -> None:
        await self.soft.stop()


class Bmv2:
    """simple_switch_grpc, as a process."""

    def __init__(self, folder: Path, tls: Certificates | None) -> None:
        self._folder, self._tls = folder, tls
        port, self._thrift = _free_ports(2)
        self.address = f"127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def options(self) -> dict[str, Any]:
        return _options("bmv2", self._tls)

    async def start(self) -> None:
        assert BMV2 is not None
        # Its defaults for Thrift and notifications are the same for every instance on a machine.
        arguments = ["--device-id", "1", "--no-p4", "--thrift-port", str(self._thrift)]
        if "--notifications-addr" in await _help(BMV2):
            arguments += ["--notifications-addr", f"ipc://{self._folder}/n"]
        arguments += ["--", "--grpc-server-addr", self.address, "--cpu-port", "510"]
        if self._tls is not None:
            files = {"cacert": self._tls.client[0], "cert": self._tls.server[0], "key": self._tls.server[1]}
            arguments += ["--grpc-server-ssl", "--grpc-server-with-client-auth"]
            arguments += [word for name, file in files.items() for word in (f"--grpc-server-{name}", str(file))]
        self._process = await asyncio.create_subprocess_exec(
            BMV2, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


async def _help(program: str) -> str:
    """Return what it says of its options: some depend on what it was built with."""
    process = await asyncio.create_subprocess_exec(
        program, "--help", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    return told.decode(errors="replace")
