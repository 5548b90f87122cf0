"""HTTP/2 by hand: what a client may do, and what ends its connection and nobody else's."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rpc_site import RpcSite, hello, message, opening, spoken
from testbed.rpc.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PREFACE,
    PRIORITISED,
    Code,
    Kind,
    Setting,
    frame,
    head,
    number_frame,
    settings_frame,
)

OK = b"\x0bgrpc-status\x010"
PING = frame(Kind.PING, 0, 0, b"12345678")
PONG = frame(Kind.PING, ACK, 0, b"12345678")
BLOCK = opening()[9:]
ROOM = number_frame(Kind.WINDOW_UPDATE, 1, 100)
BOMB = b"\x40\1a\x7f\xa1\x1e" + bytes(4000) + b"\xbe" * 50
"""A header of 4 000 octets, and 50 times the same one."""

WRONG = {
    "another protocol": (b"GET / HTTP/1.1\r\n\r\n", Code.PROTOCOL_ERROR),
    "a frame that is too long": (hello() + head(1 << 20, Kind.DATA, 0, 1), Code.FRAME_SIZE_ERROR),
    "a stream of the server's": (hello() + opening(2), Code.PROTOCOL_ERROR),
    "headers of the connection": (hello() + opening(0), Code.PROTOCOL_ERROR),
    "data of nothing": (hello() + message(b"x", 3), Code.PROTOCOL_ERROR),
    "headers that are not continued": (hello() + opening(flags=0) + PING, Code.PROTOCOL_ERROR),
    "headers that another continues": (
        hello() + opening(flags=0) + frame(Kind.CONTINUATION, END_HEADERS, 3),
        Code.PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (hello() + frame(Kind.CONTINUATION, END_HEADERS, 1), Code.PROTOCOL_ERROR),
    "headers without end": (
        hello() + opening(flags=0) + frame(Kind.CONTINUATION, 0, 1, bytes(16000)) * 5,
        Code.ENHANCE_YOUR_CALM,
    ),
    "few octets that make many headers": (hello() + frame(Kind.HEADERS, END_HEADERS, 1, BOMB), Code.COMPRESSION_ERROR),
    "headers that say nothing": (
        hello() + frame(Kind.HEADERS, END_HEADERS, 1, b"\xff\xff\xff"),
        Code.COMPRESSION_ERROR,
    ),
    "padding without content": (hello() + frame(Kind.HEADERS, END_HEADERS | PADDED, 1, b"\x09"), Code.PROTOCOL_ERROR),
    "a push": (hello() + frame(Kind.PUSH_PROMISE, 0, 1), Code.PROTOCOL_ERROR),
    "a ping of three octets": (hello() + frame(Kind.PING, 0, 0, b"123"), Code.FRAME_SIZE_ERROR),
    "a part of a setting": (PREFACE + frame(Kind.SETTINGS, 0, 0, b"123"), Code.FRAME_SIZE_ERROR),
    "frames of no size": (PREFACE + settings_frame([(Setting.MAX_FRAME_SIZE, 0)]), Code.PROTOCOL_ERROR),
    "too large a window": (
        PREFACE + settings_frame([(Setting.INITIAL_WINDOW_SIZE, 1 << 31)]),
        Code.FLOW_CONTROL_ERROR,
    ),
    "windows that grow too large": (
        hello() + number_frame(Kind.WINDOW_UPDATE, 0, (1 << 31) - 1),
        Code.FLOW_CONTROL_ERROR,
    ),
    "a window that does not grow": (hello() + number_frame(Kind.WINDOW_UPDATE, 0, 0), Code.PROTOCOL_ERROR),
}
RIGHT = {
    "at once": hello() + opening() + message(b"abc"),
    "padded and with priority": hello()
    + frame(Kind.HEADERS, END_HEADERS | PADDED | PRIORITISED, 1, b"\x03" + bytes(5) + BLOCK + bytes(3))
    + frame(Kind.DATA, PADDED | END_STREAM, 1, b"\x02" + message(b"abc")[9:] + bytes(2)),
    "in pieces": hello()
    + frame(Kind.HEADERS, 0, 1, BLOCK[:5])
    + frame(Kind.CONTINUATION, 0, 1, BLOCK[5:9])
    + frame(Kind.CONTINUATION, END_HEADERS, 1, BLOCK[9:])
    + b"".join(frame(Kind.DATA, 0, 1, octet.to_bytes(1)) for octet in message(b"abc")[9:])
    + frame(Kind.DATA, END_STREAM, 1),
    "with trailers": hello()
    + opening()
    + message(b"abc", flags=0)
    + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, b"\0\1a\1b"),
    "among frames that nobody knows": hello()
    + frame(Kind.PRIORITY, 0, 1, bytes(5))
    + head(3, 0xEE, 0xFF, 9)
    + b"xyz"
    + opening()
    + number_frame(Kind.RST_STREAM, 77, Code.CANCEL)
    + message(b"abc"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_ends_the_connection(rpc: RpcSite, name: str) -> None:
    octets, code = WRONG[name]
    heard = await spoken(rpc.port, octets)
    assert head(0, Kind.GOAWAY, 0, 0)[3:] in heard
    assert code.to_bytes(4) in heard[heard.rindex(head(0, Kind.GOAWAY, 0, 0)[3:]) :]
    assert await rpc.call("echo", b"still there") == b"still there"


@pytest.mark.parametrize("name", RIGHT)
async def test_what_is_answered(rpc: RpcSite, name: str) -> None:
    heard = await spoken(rpc.port, RIGHT[name], until=OK)
    assert message(b"abc", flags=0) in heard
    assert heard.endswith(OK)


async def test_a_ping_is_answered(rpc: RpcSite) -> None:
    assert PONG in await spoken(rpc.port, hello() + PING, until=PONG)


async def test_what_is_no_grpc_is_refused(rpc: RpcSite) -> None:
    octets = hello() + opening(more={"content-type": "text/html"}) + PING
    assert b":status\x03415" in await spoken(rpc.port, octets, until=PONG)


async def test_a_client_gets_no_more_than_it_has_room_for(rpc: RpcSite) -> None:
    small = PREFACE + settings_frame([(Setting.INITIAL_WINDOW_SIZE, 10)])
    call = small + opening() + message(bytes(20))
    answer = message(bytes(20), flags=0)[9:]
    for more, room in (
        (b"", 10),
        (number_frame(Kind.WINDOW_UPDATE, 1, 10), 20),
        (settings_frame([(Setting.INITIAL_WINDOW_SIZE, 15)]), 15),
    ):
        some = frame(Kind.DATA, 0, 1, answer[:room])
        assert OK not in await spoken(rpc.port, call + more, until=some)
    assert frame(Kind.DATA, 0, 1, answer) in await spoken(rpc.port, call + more + ROOM, until=OK)


async def test_calls_beyond_the_most_are_refused(rpc: RpcSite) -> None:
    many = b"".join(opening(1 + 2 * number, "/site/chat") for number in range(300))
    refused = number_frame(Kind.RST_STREAM, 1 + 2 * 256, Code.REFUSED_STREAM)
    heard = await spoken(rpc.port, hello() + many + PING, until=PONG)
    assert refused in heard
    assert number_frame(Kind.RST_STREAM, 1 + 2 * 255, Code.REFUSED_STREAM) not in heard


FRAMES = st.builds(
    frame,
    st.sampled_from(list(Kind)),
    st.integers(0, 255),
    st.sampled_from([0, 1, 1, 2, 3, 5]),
    st.one_of(st.binary(max_size=30), st.just(BLOCK), st.just(message(b"abc")[9:])),
)


@given(parts=st.lists(st.one_of(FRAMES, st.sampled_from(list(RIGHT.values())), st.binary(max_size=20)), max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nonsense_hurts_nobody_else(rpc: RpcSite, parts: list[bytes]) -> None:
    await spoken(rpc.port, hello() + b"".join(parts) + PING + WRONG["a push"][0][len(hello()) :], until=PONG)
    assert await rpc.call("echo", b"still there") == b"still there"
