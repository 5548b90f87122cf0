"""The gRPC server, with grpcio's own client at the other end."""

import asyncio
from itertools import pairwise
from typing import Any

import grpc
import grpc.aio
import pytest

from rpc_site import SECRET, RpcSite


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 70_000, 5_000_000])
async def test_messages_of_any_size(rpc: RpcSite, size: int) -> None:
    request = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert await rpc.call("echo", request) == request


async def test_a_status_with_text_and_metadata(rpc: RpcSite) -> None:
    text = "100 % of it\nis gone: weg, ü"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rpc.call("refuse", text.encode())
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert caught.value.details() == text
    trailers: Any = caught.value.trailing_metadata()
    assert dict(trailers) == SECRET


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        ("fail", b"oh", grpc.StatusCode.UNKNOWN, "oh"),
        ("digits", b"x", grpc.StatusCode.INTERNAL, "deserializing"),
        ("nothing", b"", grpc.StatusCode.UNIMPLEMENTED, "not found"),
        ("/", b"", grpc.StatusCode.UNIMPLEMENTED, "not found"),
    ],
)
async def test_what_goes_wrong_is_told_and_hurts_nobody_else(
    rpc: RpcSite, method: str, request_: bytes, code: grpc.StatusCode, text: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=text) as caught:
        await rpc.call(method, request_)
    assert caught.value.code() is code
    assert await rpc.call("digits", b"007") == b"7"


async def test_compressed_messages_are_refused(rpc: RpcSite) -> None:
    channel = rpc.channel(compression=grpc.Compression.Gzip)
    with pytest.raises(grpc.aio.AioRpcError, match="compressed") as caught:
        await channel.unary_unary("/site/echo")(bytes(5000))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert await rpc.call("echo", b"plain") == b"plain"


async def test_a_stream_in_both_directions(rpc: RpcSite) -> None:
    call: Any = rpc.channel().stream_stream("/site/chat")()
    requests = [bytes([number & 0xFF]) * (number % 3000) for number in range(3000)]

    async def ask() -> None:
        for request in requests:
            await call.write(request)
        await call.done_writing()

    asking = asyncio.create_task(ask())
    assert [answer async for answer in call] == requests
    assert await call.code() is grpc.StatusCode.OK
    await asking


async def test_a_stream_of_requests(rpc: RpcSite) -> None:
    call: Any = rpc.channel().stream_unary("/site/length")
    assert await call(iter([bytes(1000)] * 5000)) == b"5000"


async def test_a_client_that_reads_slowly_is_waited_for(rpc: RpcSite) -> None:
    call: Any = rpc.channel().unary_stream("/site/count")(b"20000")
    assert await call.read() == bytes(10_000)
    before = -1
    async with asyncio.timeout(10):
        while rpc.methods.sent != before:
            before = rpc.methods.sent
            await asyncio.sleep(0.3)
    assert 0 < before < 19_000  # 200 MB in all
    assert await rpc.call("echo", b"meanwhile") == b"meanwhile"
    for number in range(1, before + 100):
        assert await call.read() == number.to_bytes(4) * 2500
    assert rpc.methods.sent > before
    call.cancel()


async def test_more_calls_than_a_client_may_have_under_way(rpc: RpcSite) -> None:
    channel = rpc.channel()
    echo: Any = channel.unary_unary("/site/echo")
    answers = await asyncio.gather(*(echo(b"%d" % number) for number in range(1000)))
    assert answers == [b"%d" % number for number in range(1000)]


@pytest.mark.parametrize("how", ["cancel", "deadline", "close"])
async def test_a_servicer_whose_client_is_gone_is_cancelled(rpc: RpcSite, how: str) -> None:
    channel = rpc.channel()
    call: Any = channel.unary_unary("/site/sleep")(b"", timeout=0.3 if how == "deadline" else None)
    await asyncio.sleep(0.2)
    assert not rpc.methods.cancelled.is_set()
    if how == "cancel":
        call.cancel()
    elif how == "close":
        await channel.close()
    async with asyncio.timeout(5):
        await rpc.methods.cancelled.wait()


async def test_a_stop_ends_what_does_not_end_by_itself(rpc: RpcSite) -> None:
    call: Any = rpc.channel().unary_unary("/site/sleep")(b"")
    await asyncio.sleep(0.2)
    await rpc.server.stop(0.1)
    assert rpc.methods.cancelled.is_set()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(grpc.aio.AioRpcError):
        await rpc.call("echo")


def test_a_client_of_threads_and_one_of_every_address_family() -> None:
    async def run() -> None:
        site = RpcSite()
        ports = [await site.server.listen(address) for address in ("[::]:0", "127.0.0.1:0", "[::1]:0")]
        addresses = [f"127.0.0.1:{ports[0]}", f"[::1]:{ports[0]}", f"127.0.0.1:{ports[1]}", f"[::1]:{ports[2]}"]
        for address in addresses:
            assert await asyncio.to_thread(ask, address) == b"hello"
        for wrong in ("127.0.0.1", "127.0.0.1:x", f"127.0.0.1:{ports[1]}", "203.0.113.1:0"):
            with pytest.raises((OSError, ValueError)):
                await site.server.listen(wrong)
        await site.server.stop(0.1)

    def ask(address: str) -> bytes:
        channel: Any
        with grpc.insecure_channel(address) as channel:
            answer: bytes = channel.unary_unary("/site/echo")(b"hello", timeout=5)
            return answer

    asyncio.run(run())


async def test_calls_of_one_connection_do_not_wait_for_each_other(rpc: RpcSite) -> None:
    channel = rpc.channel()
    count: Any = channel.unary_stream("/site/count")
    echo: Any = channel.unary_unary("/site/echo")
    slow = [count(b"3000") for _ in range(4)]
    assert await echo(b"x") == b"x"
    for call in slow:
        numbers = [int.from_bytes(answer[:4]) async for answer in call]
        assert all(after == before + 1 for before, after in pairwise(numbers))
        assert len(numbers) == 3000
