"""Fixtures of the embedded switch's tests."""

from collections.abc import AsyncIterator

import pytest

from softswitch_site import Site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    site.address = await site.switch.start("127.0.0.1:0")
    yield site
    for session in site.sessions:
        await session.close()
    await site.switch.stop()
