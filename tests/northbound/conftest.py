import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from controller.northbound.app import create_app


def load_fake() -> ModuleType:
    """Import the fake by its path: test folders are no packages."""
    name = "mcoa_fake_control"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("fake_control.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def control() -> Any:
    return load_fake().FakeControl()


@pytest.fixture
async def client(control: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(control), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://northbound") as client:
        yield client
