import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.northbound import NorthboundServer, create_app
from fake_control import OPEN, FakeControl

ROOT = Path(__file__).parent.parent.parent
CONFIG = """
[home_agent]
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"
[topology]
file = "net.yaml"
"""

Mcoa = Callable[..., Result]


@pytest.fixture
def mcoa(monkeypatch: pytest.MonkeyPatch) -> Mcoa:
    """Runs the command line as a user would, within this process."""
    monkeypatch.delenv("MCOA_URL", raising=False)
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        return runner.invoke(app, arguments)

    return run


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def url(control: FakeControl) -> Iterator[str]:
    """A real server on loopback, in a thread of its own: the commands block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> NorthboundServer:
        server = NorthboundServer(create_app(control, OPEN), "127.0.0.1", 0)
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield server.url
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "topologies" / "three-access.yaml", tmp_path / "net.yaml")
    path = tmp_path / "mcoa.toml"
    path.write_text(CONFIG)
    return path
