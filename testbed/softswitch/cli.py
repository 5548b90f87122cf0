"""`mcoa switch`: run the embedded switch as a process of its own."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from controller.garbage import search_in_steps
from testbed.softswitch.ports import parse_endpoint, parse_port
from testbed.softswitch.switch import SoftSwitch, TlsFiles

_Interfaces = Annotated[
    list[str],
    typer.Option("--interface", "-i", metavar="N@WHERE", help="A port: N@INTERFACE or N@udp:HOST:PORT/HOST:PORT."),
]


def switch(  # noqa: PLR0913, PLR0917 - every parameter is an option on the command line
    interface: _Interfaces = [],  # noqa: B006 - typer wants a list; it is never changed
    grpc: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where P4Runtime is served.")] = "127.0.0.1:9559",
    device_id: Annotated[int, typer.Option(min=1, help="P4Runtime's device id.")] = 1,
    cpu_port: Annotated[int, typer.Option(min=0, max=510, help="The port of the controller.")] = 510,
    p4info: Annotated[Path | None, typer.Option(help="P4Info in text form, to start with; with --json.")] = None,
    json: Annotated[Path | None, typer.Option(help="The compiled program, to start with; with --p4info.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file: the server's certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file: the server's key.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM file: clients need a certificate signed by it.")] = None,
) -> None:
    """Run the embedded P4 switch: a P4Runtime target without hardware."""
    try:
        parse_endpoint(grpc)
        tls = _tls(tls_certificate, tls_key, tls_ca)
        device = _device(device_id, cpu_port, interface)
        _load(device, p4info, json)
        asyncio.run(_run(device, grpc, tls))
    except (ValueError, OSError) as error:
        typer.echo(f"mcoa switch: {error}", err=True)
        raise typer.Exit(2) from None


def _tls(certificate: Path | None, key: Path | None, ca: Path | None) -> TlsFiles | None:
    if certificate is not None and key is not None:
        return TlsFiles(certificate, key, ca)
    if certificate is None and key is None and ca is None:
        return None
    raise ValueError("TLS needs --tls-certificate and --tls-key; --tls-ca is an addition to them")


def _device(device_id: int, cpu_port: int, interfaces: list[str]) -> SoftSwitch:
    device = SoftSwitch(device_id, cpu_port)
    for text in interfaces:
        device.add_port(*parse_port(text))
    return device


def _load(device: SoftSwitch, p4info: Path | None, json: Path | None) -> None:
    if p4info is not None and json is not None:
        device.load(p4info, json)
    elif p4info is not None or json is not None:
        raise ValueError("--p4info and --json belong together: give both or none")


async def _run(device: SoftSwitch, address: str, tls: TlsFiles | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    bound = await device.start(address, tls)
    loaded = "with a program" if device.pipeline else "waiting for a program"
    typer.echo(f"ready: device {device.device_id}, {len(device.counters)} ports, P4Runtime at {bound}, {loaded}")
    async with search_in_steps():
        await stop.wait()
    await device.stop()
