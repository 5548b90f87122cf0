"""p4runtime-shell, a client that is not ours, on the embedded switch: arbitration, pipeline, writes, reads, counters, packets."""

import asyncio
import os
from pathlib import Path

import pytest

import shell_session
from softswitch_kit import PROGRAMS
from softswitch_site import Site

COPY_TO_CONTROLLER = bytes([7]) + bytes(12)
"""The program `tables` sends this frame to the controller."""


@pytest.fixture
def python() -> Path:
    """The console's Python: `mcoa shell` makes its environment in the folder that MCOA_SHELL_HOME names."""
    found = Path(os.environ.get("MCOA_SHELL_HOME", "/nonexistent"), "bin", "python")
    if not found.exists():
        pytest.skip("MCOA_SHELL_HOME names no environment with p4runtime-shell")
    return found


@pytest.mark.timeout(180)
async def test_the_console_controls_the_switch(python: Path, site: Site) -> None:
    environment = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "PATH": os.environ.get("PATH", "")}
    process = await asyncio.create_subprocess_exec(
        str(python),
        shell_session.__file__,
        site.address,
        str(PROGRAMS),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    assert process.stdout is not None
    said, everything = [], []
    async for line in process.stdout:
        text = line.decode().rstrip()
        everything.append(text)
        if text == "> ready":
            site.wires[1].receive(bytes([1, 0, 0, 0, 1, 0, 2, 1]) + bytes(5))  # a hit of the entry
            site.wires[1].receive(COPY_TO_CONTROLLER)
        elif text.startswith("> "):
            said.append(text.removeprefix("> "))
    assert await process.wait() == 0, "\n".join(everything)
    assert said == [
        "refused P4RuntimeWriteException",
        "entries 1",
        "packet-in 07",
        "counted 1",
        "cell 9",
        "groups 1",
        "left 0",
        "group 1",
        "members 2",
    ], "\n".join(everything)
    assert (2, bytes.fromhex("6300000001000201 0000000000".replace(" ", ""))) in site.out
