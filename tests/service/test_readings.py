import asyncio

import pytest

from controller.service.readings import Readings


async def slow(answers: list[int], seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    answers.append(len(answers))
    return answers[-1]


async def test_what_is_read_now_and_then_is_read_anew() -> None:
    readings, answers = Readings[int](), list[int]()
    assert [await readings.get("a", lambda: slow(answers)) for _ in range(3)] == [0, 1, 2]


async def test_who_asks_while_something_is_read_gets_the_same() -> None:
    readings, answers = Readings[int](), list[int]()
    found = await asyncio.gather(*(readings.get("a", lambda: slow(answers, 0.02)) for _ in range(5)))
    assert found == [0] * 5


async def test_readings_are_used_again_when_they_take_too_much_of_the_time() -> None:
    readings, answers = Readings[int](share=1e-9, credit=0.01), list[int]()
    assert [await readings.get("a", lambda: slow(answers, 0.02)) for _ in range(5)] == [0] * 5
    assert await readings.get("b", lambda: slow(answers)) == 1, "another thing has to be read"


async def test_a_reading_that_failed_is_not_used_again() -> None:
    readings, answers = Readings[int](share=1e-9, credit=0.0), list[int]()

    async def fails() -> int:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await readings.get("a", fails)
    assert await readings.get("a", lambda: slow(answers)) == 0


async def test_a_client_that_goes_away_takes_the_reading_from_nobody() -> None:
    readings, answers = Readings[int](), list[int]()
    first = asyncio.create_task(readings.get("a", lambda: slow(answers, 0.05)))
    await asyncio.sleep(0)
    second = asyncio.create_task(readings.get("a", lambda: slow(answers, 0.05)))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == 0
