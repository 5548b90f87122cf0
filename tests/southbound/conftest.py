from collections.abc import AsyncIterator

import pytest

from controller.southbound.artefacts import Artefacts, load
from fake_p4runtime import FakeP4Runtime
from southbound_world import World
from testbed.softswitch.switch import SoftSwitch


@pytest.fixture(scope="session")
def artefacts() -> Artefacts:
    return load()


@pytest.fixture
def world(artefacts: Artefacts) -> World:
    return World(artefacts)


@pytest.fixture
async def soft_switch() -> AsyncIterator[tuple[SoftSwitch, str]]:
    """A running embedded switch without a pipeline, and its address."""
    soft = SoftSwitch()
    address = await soft.start()
    yield soft, address
    await soft.stop()


@pytest.fixture
async def fake() -> AsyncIterator[FakeP4Runtime]:
    """A server that does as it is told, and misbehaves when told."""
    server = FakeP4Runtime()
    await server.start()
    yield server
    await server.stop()
