from collections.abc import AsyncIterator

import httpx
import pytest

from controller.northbound import create_app
from fake_control import OPEN, FakeControl


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
async def client(control: FakeControl) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(control, OPEN), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://northbound") as client:
        yield client
