"""Python's search for garbage, by the clock and in small steps.

By itself Python searches when so many more objects have come than gone. Where each registration replaces as many entries as it brings,
that is seldom; all that was replaced meanwhile is then looked at in one go, and for 100 to 300 ms no packet moves. And a search through
everything, with some hundred thousand entries in a table, takes as long, whenever a quarter more of them has come.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_STEP: Final = 0.1
"""Seconds between two searches among what has come since the last one; what is in use then is left alone from then on. At a thousand
registrations a second a search takes half a millisecond; after four times as long it takes 2 to 8, and eight of them wait for it."""
_YOUNG: Final = 1
"""The generations that such a search looks at: 0 and 1, so that nothing is looked at twice."""
_FULL: Final = 3600.0
"""Seconds between two searches through everything but what was there at the beginning. Bindings and entries refer to each other in no
circle: what is left for this one are connections and pages that were open for some time."""


@asynccontextmanager
async def search_in_steps() -> AsyncIterator[None]:
    """Search for garbage in small steps as long as the body runs; what there is at the beginning is never looked at.

    For a whole process: Python has one collector. The event loop has to be the one that the process works in.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    searching = asyncio.create_task(_search(), name="garbage")
    try:
        yield
    finally:
        searching.cancel()
        await asyncio.wait([searching])
        gc.enable()
        gc.unfreeze()


async def _search() -> None:
    loop = asyncio.get_running_loop()
    full = loop.time() + _FULL
    while True:
        await asyncio.sleep(_STEP)
        if loop.time() >= full:
            gc.collect()
            full = loop.time() + _FULL
        else:
            gc.collect(_YOUNG)
