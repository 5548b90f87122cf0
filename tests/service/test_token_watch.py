"""What `mcoa token` does to the token file is in the audit log, whether the controller runs meanwhile or not."""

import asyncio
import getpass
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.northbound import Role, TokenFile
from controller.northbound.errors import UnavailableError
from controller.northbound.views import Change
from controller.service.keeper import Keeper
from controller.service.token_watch import KIND, TokenWatch
from controller.store import Document, SqliteStore, StoreError
from fault_world import FaultWorld
from testbed.settings import TOKENS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.northbound.tokens._RECHECK", 0.0)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder / "state.sqlite3")
        self.file = TokenFile(folder / "tokens.json")
        self.full = False
        self.log: list[Change] = []
        self.watch = self.started()

    def started(self) -> TokenWatch:
        """Return the watch of a controller that has just been started."""
        watch = TokenWatch(TokenFile(self.file.path), self._record, self.store, Keeper(self._in_thread))
        watch.restore(self.store.load(0.0).documents)
        return watch

    async def _record(self, change: Change) -> None:
        self.log.append(change)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        if self.full:
            raise StoreError("no space left on device")
        return call()

    async def look(self) -> list[tuple[str, str]]:
        """Return what the next look writes down."""
        self.log.clear()
        await self.watch.look()
        return [(change.action, change.resource) for change in self.log]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_each_change_is_written_once(bench: Bench) -> None:
    assert await bench.look() == []
    bench.file.create("alice", Role.OPERATOR, 3600)
    assert await bench.look() == [("put", "tokens/alice")]
    (change,) = bench.log
    assert (change.actor, change.role, change.before) == (f"{getpass.getuser()} (token file)", "admin", None)
    assert change.after is not None
    assert (change.after["name"], change.after["role"]) == ("alice", "operator")
    assert await bench.look() == []
    bench.file.create("bob", Role.VIEWER)
    bench.file.revoke("alice")
    assert sorted(await bench.look()) == [("delete", "tokens/alice"), ("put", "tokens/bob")]
    bench.file.path.unlink()
    assert await bench.look() == [("delete", "tokens/bob")]


async def test_another_role_written_by_hand_is_a_change(bench: Bench) -> None:
    bench.file.create("alice", Role.VIEWER)
    await bench.look()
    text = bench.file.path.read_text()
    bench.file.path.write_text(text.replace('"viewer"', '"admin"'))
    assert await bench.look() == [("put", "tokens/alice")]
    (change,) = bench.log
    assert change.before is not None
    assert change.after == {**change.before, "role": "admin"}


async def test_a_token_in_place_of_one_of_the_same_name_is_two_changes(bench: Bench) -> None:
    bench.file.create("alice", Role.VIEWER)
    await bench.look()
    bench.file.revoke("alice")
    bench.file.create("alice", Role.VIEWER)
    assert sorted(await bench.look()) == [("delete", "tokens/alice"), ("put", "tokens/alice")]


async def test_a_start_notices_what_happened_before_it(bench: Bench) -> None:
    bench.file.create("alice", Role.ADMIN)
    bench.file.create("bob", Role.ADMIN)
    await bench.look()
    bench.file.revoke("alice")
    bench.watch = bench.started()
    assert await bench.look() == [("delete", "tokens/alice")]
    bench.watch = bench.started()
    assert await bench.look() == []


async def test_neither_log_nor_store_has_the_hash(bench: Bench, tmp_path: Path) -> None:
    secret = bench.file.create("alice", Role.ADMIN)
    await bench.look()
    (token,) = bench.file.all()
    kept = "".join(sqlite3.connect(tmp_path / "state.sqlite3").iterdump()) + repr(bench.log)
    assert "alice" in kept
    assert token.digest not in kept
    assert secret.split("_", 2)[2] not in kept


async def test_what_could_not_be_kept_is_written_again(bench: Bench) -> None:
    bench.file.create("alice", Role.ADMIN)
    bench.full = True
    with pytest.raises(UnavailableError):
        await bench.look()
    bench.full = False
    assert await bench.look() == [("put", "tokens/alice")]


async def test_a_damaged_file_changes_nothing_and_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bench.file.create("alice", Role.ADMIN)
    await bench.look()
    good = bench.file.path.read_text()
    bench.file.path.write_text("{")
    for watch in (bench.watch, bench.watch, bench.started()):
        bench.watch = watch
        assert await bench.look() == []
    assert [text.endswith("the tokens of before stay good") for text in caplog.messages] == [True, True]
    bench.file.path.write_text(good)
    assert await bench.look() == []


@pytest.mark.parametrize("body", ["", "[]", '{"1": 5}'])
def test_a_damaged_document_is_no_start(bench: Bench, body: str) -> None:
    with pytest.raises(StoreError, match="the document tokens is damaged"):
        bench.watch.restore([Document(KIND, "", body)])


async def test_rest_shows_it_over_a_restart(tmp_path: Path) -> None:
    async with FaultWorld(tmp_path, seed=1) as world:
        tokens = TokenFile(tmp_path / TOKENS)
        headers = {"Authorization": f"Bearer {tokens.create('root', Role.ADMIN)}"}

        async def logged() -> list[tuple[str, str]]:
            url = world.service.northbound.url
            async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
                items = (await client.get("/v1/audit-log")).json()["items"]
            return [(item["action"], item["resource"]) for item in items]

        async def until(wanted: list[tuple[str, str]]) -> None:
            async with asyncio.timeout(20):
                while world.service.northbound.url.endswith(":0") or await logged() != wanted:  # noqa: ASYNC110  it is asked by REST
                    await asyncio.sleep(0.05)

        await until([("put", "tokens/root")])
        tokens.create("alice", Role.OPERATOR)
        await until([("put", "tokens/alice"), ("put", "tokens/root")])
        await world.stop_controller()
        tokens.revoke("alice")
        await world.start_controller()
        await until([("delete", "tokens/alice"), ("put", "tokens/alice"), ("put", "tokens/root")])
