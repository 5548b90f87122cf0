"""Sessions over TLS, with certificates made for the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from certificates import certificate
from controller.southbound.options import TlsFiles
from controller.southbound.states import SessionState
from southbound_world import World, eventually
from testbed.softswitch.switch import SoftSwitch
from testbed.softswitch.switch import TlsFiles as ServerFiles


@pytest.fixture
def client(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path, "client")


@pytest.fixture
def server(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path, "server")


@pytest.fixture
async def address(client: tuple[Path, Path], server: tuple[Path, Path]) -> AsyncIterator[str]:
    """A switch that asks for the client's certificate."""
    soft = SoftSwitch()
    yield await soft.start(tls=ServerFiles(certificate=server[0], key=server[1], ca=client[0]))
    await soft.stop()


async def test_both_sides_show_certificates(
    world: World, address: str, client: tuple[Path, Path], server: tuple[Path, Path]
) -> None:
    async with world.running(address, tls=TlsFiles(ca=server[0], certificate=client[0], key=client[1])) as session:
        assert session.state is SessionState.READY


async def test_a_wrong_authority_or_a_missing_file_is_told(
    world: World, address: str, client: tuple[Path, Path], tmp_path: Path
) -> None:
    async with world.running(address, until=None, tls=TlsFiles(ca=client[0])) as session:
        await eventually(lambda: session.last_error is not None)
        assert "UNAVAILABLE" in str(session.last_error)
    async with world.running(address, until=None, tls=TlsFiles(ca=tmp_path / "nowhere.pem")) as session:
        await eventually(lambda: session.last_error is not None)
        assert "nowhere.pem" in str(session.last_error)
