"""The process: opens what a controller needs, and runs it until a signal ends it."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from controller.config import Settings
from controller.garbage import search_in_steps
from controller.northbound import ServerError
from controller.service.errors import ServiceError
from controller.service.service import Service
from controller.southbound.artefacts import ArtefactError, load
from controller.southbound.journal import Journal, JournalError
from controller.store import Document, SqliteStore, StoredState, StoreError, system_boot

_STARTS: Final = ("counter", "starts")
"""Kind and key of the store's document that counts the controller's starts."""


def _count_start(store: SqliteStore, state: StoredState) -> int:
    """Return how often a controller was started on a store, this time included; peers are told (RFC 5847 section 3.1)."""
    counter = next((one for one in state.documents if (one.kind, one.key) == _STARTS), None)
    starts = 1 + (int(counter.body) if counter is not None else 0)
    store.save_document(Document(*_STARTS, str(starts)))
    return starts


async def run(settings: Settings) -> None:
    """Run the controller until SIGINT or SIGTERM; SIGHUP has it read its configuration file again.

    Raises:
        ServiceError: it cannot start; the text is one line for the operator.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with ThreadPoolExecutor(1, thread_name_prefix="store") as thread:
        journal: Journal | None = None
        try:
            artefacts = load()
            if settings.journal is not None:
                others = {name: program.cookie for name, program in settings.programs.items()}
                size = settings.controller.journal_mib << 20
                journal = Journal(settings.journal, size, artefacts.cookie, others=others)
            survives = settings.controller.durability == "power-loss"
            store = await loop.run_in_executor(
                thread, lambda: SqliteStore(settings.state, boot=system_boot(), survives_power_loss=survives)
            )
        except (ArtefactError, JournalError, StoreError) as error:
            raise ServiceError(str(error)) from error
        try:
            state = await loop.run_in_executor(thread, store.load, loop.time())
            restarts = await loop.run_in_executor(thread, _count_start, store, state)
            service = Service(settings, artefacts, thread, store, state, restarts, journal=journal)
            loop.add_signal_handler(signal.SIGHUP, service.reload)
            async with search_in_steps():
                await service.run(stop)
        except (StoreError, ServerError) as error:
            raise ServiceError(str(error)) from error
        finally:
            await loop.run_in_executor(thread, store.close)
            if journal is not None:
                journal.close()
