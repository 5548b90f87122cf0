"""`kill -9` of the controller in the middle of a storm of registrations: what was acknowledged is still there afterwards."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.mobility.address import Address, parse_address
from controller.mobility.model import NodeRecord
from testbed.bed import SWITCH, Bed, Request
from testbed.process import ControllerProcess
from testbed.tables import BINDING_TABLES, Row, TableReader

_BEDS = 4
_KILLS = 13
"""For each bed: 52 in all."""
_UNDER_WAY = 24
_Bindings = set[tuple[Address, int, Address]]
"""Home address, BID, care-of address."""


class Storm:
    """Nodes that register and move without end, until nobody answers any more."""

    def __init__(self, bed: Bed, dice: random.Random) -> None:
        self.acknowledged: dict[Address, NodeRecord] = {}
        self.asked: dict[Address, dict[int, Request]] = {}
        self.accepted = 0
        self._bed = bed
        self._dice = dice
        self._sequences: dict[int, int] = {}

    async def rage(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in range(_UNDER_WAY):
                group.create_task(self._lane(lane))

    async def _lane(self, lane: int) -> None:
        while True:
            node = 1 + lane + _UNDER_WAY * self._dice.randrange(8)
            sequence = self._sequences[node] = self._sequences.get(node, 0) + 1
            request = self._bed.request(node, sequence, self._dice.randrange(1000))
            self.asked.setdefault(request.home_address, {})[sequence] = request
            try:
                status = await self._bed.ask(request, within=1.0)
            except TimeoutError:
                continue
            assert status == 0, f"sequence number {sequence} of node {node} got status {status}"
            self.acknowledged[request.home_address] = request.record
            self.accepted += 1


def _of(record: NodeRecord) -> _Bindings:
    return {(record.home_address, binding.bid, binding.care_of) for binding in record.bindings}


async def _known(url: str, token: str) -> tuple[_Bindings, dict[Address, int]]:
    """Ask the controller for all bindings and for the last sequence number of each node."""
    async with httpx.AsyncClient(base_url=url, timeout=20, headers={"Authorization": f"Bearer {token}"}) as client:
        items = await _all_pages(client, "/v1/bindings")
        nodes = await _all_pages(client, "/v1/nodes")
    bindings = {
        (parse_address(item["home_address"]), item["bid"], parse_address(item["care_of_address"])) for item in items
    }
    return bindings, {parse_address(node["home_address"]): node["sequence"] or 0 for node in nodes}


async def _all_pages(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = (await client.get(path, params={"limit": 1000} | ({} if cursor is None else {"cursor": cursor}))).json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def _in_tables(rows: list[Row]) -> _Bindings:
    """Read the bindings out of the tables, and check that nothing else is in them."""
    tables: dict[str, list[Row]] = {name: [row for row in rows if row.table == name] for name in BINDING_TABLES}
    homes = {
        row.params[0]: Address(row.key[0].to_bytes(16))
        for row in tables["home_addresses"]
        if isinstance(row.key[0], int)
    }
    paths = {row.params[0]: row.key for row in tables["tunnel_termination"]}
    downstream: _Bindings = set()
    for row in tables["tunnels"]:
        node, bid = row.key
        assert isinstance(node, int)
        assert isinstance(bid, int)
        assert row.params[0] == 1
        downstream.add((homes[node], bid, Address(row.params[1].to_bytes(16))))
    upstream: _Bindings = set()
    senders = {row.params[0]: row.key[0] for row in tables["home_sources"]}
    for row in tables["source_bindings"]:
        path, node = row.key
        assert isinstance(path, int)
        assert isinstance(node, int)
        home_agent, care_of = paths[path]
        assert isinstance(care_of, int)
        assert home_agent == 1
        (bid,) = row.params
        assert senders[node] == int.from_bytes(homes[node])
        upstream.add((homes[node], bid, Address(care_of.to_bytes(16))))
    assert upstream == downstream
    assert len(paths) == len(upstream)  # every care-of address here is used once
    assert {row.key[0] for row in tables["default_binding"]} == set(homes)
    assert not tables["network_sources"] + tables["mobile_networks"] + tables["flow_bindings"]
    return downstream


async def _check(bed: Bed, controller: ControllerProcess, storm: Storm) -> None:
    """Everything that was acknowledged is there, or something newer that was asked for; tables equal bindings."""
    known, sequences = await _known(controller.url, bed.token)
    for home, record in storm.acknowledged.items():
        sequence = sequences[home]
        assert sequence >= record.sequence, "an acknowledged registration was forgotten"
        assert _of(storm.asked[home][sequence].record) <= known
    for home, sequence in sequences.items():
        if sequence and home in storm.asked:
            storm.acknowledged[home] = storm.asked[home][sequence].record
    async with TableReader(bed.address, bed.topology.switches[SWITCH].device_id) as reader:
        assert _in_tables(await reader.rows(BINDING_TABLES)) == known


async def _one_bed(folder: Path, seed: int) -> int:
    dice = random.Random(seed)
    async with Bed(folder) as bed:
        controller = bed.controller()
        storm = Storm(bed, dice)
        for kill in range(_KILLS):
            await controller.start()
            if kill % 4 == 3:  # while it starts, restores and reconciles, with Binding Updates coming in
                await _rage(storm, dice.uniform(0.2, 1.5))
            else:
                await controller.wait_ready(60)
                await _check(bed, controller, storm)
                await _rage(storm, dice.uniform(0.0, 0.4))
            await controller.kill()
        await controller.start()
        await controller.wait_ready(60)
        await _check(bed, controller, storm)
    return storm.accepted


async def _rage(storm: Storm, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await storm.rage()


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / str(number) for number in range(_BEDS)]
    for folder in made:
        folder.mkdir()
    return made


@pytest.mark.timeout(240)
async def test_fifty_kills_lose_no_acknowledged_binding(folders: list[Path]) -> None:
    accepted = await asyncio.gather(*(_one_bed(folder, seed) for seed, folder in enumerate(folders)))
    assert all(accepted), "a bed in which nothing was acknowledged shows nothing"
