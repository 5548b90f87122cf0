"""The search for garbage by the clock: seen by what it finds, and by what it leaves as it was."""

import asyncio
import gc
import weakref

from controller.garbage import search_in_steps


class Circle:
    """Refers to itself: only a search finds that nobody else does."""

    def __init__(self) -> None:
        self.me = self


async def test_what_nobody_refers_to_goes_without_being_asked_for() -> None:
    gone = asyncio.Event()
    async with search_in_steps():
        weakref.finalize(Circle(), gone.set)
        async with asyncio.timeout(10):
            await gone.wait()


async def test_objects_that_come_and_stay_start_no_search_of_everything() -> None:
    searches: list[int] = []
    several = asyncio.Event()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            searches.append(info["generation"])
            if len(searches) == 5:
                several.set()

    async with search_in_steps():
        gc.callbacks.append(note)
        try:
            kept = [[number] for number in range(300_000)]
            assert not searches
            async with asyncio.timeout(10):
                await several.wait()
        finally:
            gc.callbacks.remove(note)
    assert len(kept) == 300_000
    assert set(searches) == {1}


async def test_afterwards_python_searches_as_before() -> None:
    before = gc.get_threshold()
    async with search_in_steps():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
