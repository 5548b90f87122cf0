"""Fixtures of the gRPC server's tests."""

from collections.abc import AsyncIterator

import pytest

from rpc_site import RpcSite


@pytest.fixture
async def rpc() -> AsyncIterator[RpcSite]:
    site = RpcSite()
    site.port = await site.server.listen("127.0.0.1:0")
    yield site
    await site.stop()
