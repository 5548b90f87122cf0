"""Pauses before a switch is tried again: they grow, end somewhere, and are different for each session. Nobody waits for them here."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.southbound.backoff import Backoff
from southbound_world import World
from testbed.settings import free_port

_SECONDS = st.floats(0.001, 100.0)


@given(st.integers(), _SECONDS, _SECONDS, st.integers(1, 40))
def test_each_pause_is_in_the_upper_half_of_what_doubles_up_to_the_longest(
    seed: int, first: float, longest: float, failures: int
) -> None:
    backoff = Backoff(first, longest, random.Random(seed))
    most = first
    for _ in range(failures):
        bound = min(most, longest)
        assert bound / 2 <= backoff.pause() <= bound
        most *= 2


@given(st.integers())
def test_pauses_grow_until_the_longest(seed: int) -> None:
    backoff = Backoff(1.0, 64.0, random.Random(seed))
    pauses = [backoff.pause() for _ in range(7)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 32.0


def test_sessions_that_fail_together_come_back_at_different_times() -> None:
    sessions = [Backoff(0.2, 2.0, random.Random(seed)) for seed in range(100)]
    for _ in range(6):
        assert len({round(session.pause(), 6) for session in sessions}) > 90


def test_without_numbers_of_its_own_no_two_are_alike() -> None:
    one, other = Backoff(0.2, 2.0), Backoff(0.2, 2.0)
    assert [one.pause() for _ in range(8)] != [other.pause() for _ in range(8)]


def test_after_a_connection_that_worked_the_pauses_are_short_again() -> None:
    backoff = Backoff(1.0, 1000.0, random.Random(5))
    for _ in range(10):
        backoff.pause()
    backoff.reset()
    assert backoff.pause() <= 1.0


async def test_a_session_waits_longer_each_time_that_nobody_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep, pauses = asyncio.sleep, list[float]()

    async def at_once(seconds: float) -> None:
        if seconds > 1.0:  # grpc and what ends of other tests sleep for shorter
            pauses.append(seconds)
        await sleep(0)

    session = world.session(f"127.0.0.1:{free_port()}", pause=1000.0, longest_pause=8000.0)
    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", at_once)
        session.start()
        try:
            async with asyncio.timeout(10):
                while len(pauses) < 6:
                    await sleep(0.005)
        finally:
            await session.stop()
    for pause, most in zip(pauses, (1000.0, 2000.0, 4000.0, 8000.0, 8000.0, 8000.0), strict=False):
        assert most / 2 <= pause <= most
    assert len(set(pauses)) == len(pauses)
