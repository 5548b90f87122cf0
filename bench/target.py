"""Switches in processes of their own, for benches of the southbound: the embedded one, and BMv2 where there is one."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio

from bench.bed import BenchError
from testbed.settings import free_port

_SERVE = """
import asyncio, sys
from controller.garbage import search_in_steps
from testbed.softswitch.switch import SoftSwitch
async def main():
    switch = SoftSwitch()
    await switch.start(sys.argv[1])
    async with search_in_steps():
        await asyncio.to_thread(sys.stdin.read)
    await switch.stop()
asyncio.run(main())
"""
_BMV2 = "simple_switch_grpc"
_WITHIN = 20.0


def kinds() -> list[str]:
    """Return the targets that can be measured here."""
    return ["embedded", "bmv2"] if shutil.which(_BMV2) else ["embedded"]


@asynccontextmanager
async def running(kind: str) -> AsyncIterator[str]:
    """Run an empty switch without a program; give its address."""
    address = f"127.0.0.1:{free_port()}"
    if kind == "embedded":
        command = [sys.executable, "-c", _SERVE, address]
    else:
        command = [_BMV2, "--device-id", "1", "--no-p4", "--thrift-port", str(free_port()), "--log-level", "off"]
        command += ["--", "--grpc-server-addr", address, "--cpu-port", "510"]
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=nowhere, stderr=nowhere
    )
    try:
        async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(_WITHIN):
            await channel.channel_ready()
        yield address
    except TimeoutError:
        raise BenchError(f"the {kind} switch does not answer") from None
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
