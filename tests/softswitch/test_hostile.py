"""Packets that mean harm: whatever comes in, the switch goes on, and what it gives back is frames at ports."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch_kit import Bench
from testbed.artefacts import artefacts
from testbed.softswitch import SoftSwitch

NAMES = ("arithmetic", "parsing", "tables", "copies", "selectors", "learning", "variable", "hashes")
BENCHES = {name: Bench(name) for name in NAMES}


def home_agent() -> SoftSwitch:
    switch = SoftSwitch()
    switch.load(*artefacts())
    return switch


HOME_AGENT = home_agent()
ETHERNET = bytes.fromhex("020000000001020000000002")
IPV6 = st.binary(min_size=39, max_size=39).map(lambda rest: b"\x86\xdd\x60" + rest)
OPTIONS = st.lists(st.sampled_from([0, 43, 44, 50, 60, 135, 41, 59]), max_size=10).map(
    lambda chain: b"".join(bytes([header, 0]) + bytes(6) for header in chain)
)
FRAMES = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda *parts: b"".join(parts), st.just(ETHERNET), IPV6, OPTIONS, st.binary(max_size=60)),
)


def check(outputs: list[tuple[int, bytes]]) -> None:
    for port, frame in outputs:
        assert 0 <= port < 511
        assert isinstance(frame, bytes)


@pytest.mark.parametrize("name", NAMES)
@given(frame=st.binary(max_size=120), port=st.sampled_from([0, 1, 2, 510]))
@settings(max_examples=60, deadline=None)
def test_no_packet_makes_a_program_fail(name: str, frame: bytes, port: int) -> None:
    check(BENCHES[name].switch.process(frame, port))


@given(frame=FRAMES, port=st.sampled_from([1, 2, 3, 510]))
@settings(max_examples=200, deadline=None)
def test_no_packet_makes_the_home_agent_fail(frame: bytes, port: int) -> None:
    check(HOME_AGENT.process(frame, port))


def test_a_frame_as_large_as_can_be_is_done_with_in_time() -> None:
    began = time.process_time()
    for bench in BENCHES.values():
        for fill in (b"\0", b"\1", b"\xff"):
            check(bench.switch.process(fill * 65535, 1))
    assert time.process_time() - began < 30  # a loop would never come back
