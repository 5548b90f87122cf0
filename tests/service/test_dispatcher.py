"""When what has happened is told: not while somebody waits for a change that is being carried out."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from controller.mobility.address import parse_address
from controller.mobility.events import Committed
from controller.mobility.model import Cause, Transaction
from controller.northbound.events import EventFeed
from controller.service import dispatcher
from controller.service.dispatcher import Dispatcher
from controller.service.stages import Stopwatch
from southbound_world import eventually

NODE = parse_address("2001:db8:0:1::100")


class Engine:
    """One that has decided nothing, and to which something has happened."""

    def __init__(self) -> None:
        self.happened = [Committed(Transaction(1, NODE, None, None, Cause.REGISTRATION))]

    def events(self) -> list[Committed]:
        happened, self.happened = self.happened, []
        return happened

    def transactions(self) -> list[Any]:
        return []

    path_mtu_changes = outbox = link_outbox = transactions

    def next_timer(self) -> None:
        return None


@pytest.mark.parametrize("at_work", [False, True])
async def test_what_has_happened_is_told_at_the_latest_when_the_delay_is_over(
    monkeypatch: pytest.MonkeyPatch, *, at_work: bool
) -> None:
    monkeypatch.setattr(dispatcher, "TIDY_INTERVAL", 0.01)
    monkeypatch.setattr(dispatcher, "TIDY_DELAY", 0.5 if at_work else 60.0)
    engine: Any = Engine()
    committer: Any = SimpleNamespace(at_work=at_work)
    nobody: Any = None
    told = Dispatcher(engine, committer, nobody, nobody, EventFeed(time.time), Stopwatch(), nodes_at=lambda _: ())
    told.pump()
    if at_work:
        await asyncio.sleep(0.1)
        assert engine.happened
    await eventually(lambda: not engine.happened)
    told.close()
