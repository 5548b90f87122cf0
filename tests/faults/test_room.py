"""Binding Updates for more than the switches have room for: each BID is registered whole or not at all, and the node is told which.

A whole controller over an embedded switch. In the end tables, store and bindings agree with what the nodes were told.
"""

import asyncio
import json
import re
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from scapy.layers.inet6 import MIP6MH_BA, IPv6

from controller.dataplane import pipeline as p
from controller.mobility.address import format_address
from controller.southbound.artefacts import Artefacts, load
from fault_world import Bindings, FaultWorld, Node
from narrow_program import with_sizes
from testbed.settings import make_token

ONE_ANCHOR = 1
"""A seed with one anchor."""
NOTCOMPLETE, NO_RESOURCES = 4, 130


def small(**sizes: int) -> Artefacts:
    return with_sizes(load(), sizes)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  what is waited for is different each time
            await asyncio.sleep(0.005)


async def answered(world: FaultWorld, node: Node, wanted: Bindings, status: int) -> None:
    """Have a node ask until it gets an answer with that status."""
    node.status = -1
    world.ask(node, wanted)
    await until(lambda: node.status == status)


async def agree(world: FaultWorld) -> None:
    """Wait until switch and store have what the nodes were told."""
    async with asyncio.timeout(10):
        while await world._problem() is not None:  # noqa: ASYNC110  it is asked from outside of the controller
            await asyncio.sleep(0.02)


def three(world: FaultWorld, place: int) -> Bindings:
    return {bid: world.care_of(bid, place) for bid in (1, 2, 3)}


async def test_two_of_three_bids_fit_and_the_third_gets_in_when_there_is_room(tmp_path: Path) -> None:
    async with FaultWorld(tmp_path, ONE_ANCHOR, small(tunnels=3)) as world:
        first, second, *_ = world.nodes
        await answered(world, first, {1: world.care_of(1, 9)}, 0)
        wanted = three(world, 8)
        await answered(world, second, wanted, NOTCOMPLETE)
        assert second.refused == {3: NO_RESOURCES}
        assert second.acked == {bid: wanted[bid] for bid in (1, 2)}
        await agree(world)
        # It asks again, with the next sequence number, and hears the same.
        await until(lambda: world.seen["accepted in part"] >= 3)
        assert second.refused == {3: NO_RESOURCES}
        await agree(world)
        await answered(world, first, {}, 0)
        await until(lambda: second.status == 0)
        assert second.acked == wanted
        await world.settle()
        assert not world.wrong


async def test_what_fits_with_no_bid_is_refused_as_a_whole(tmp_path: Path) -> None:
    async with FaultWorld(tmp_path, ONE_ANCHOR, small(home_addresses=1)) as world:
        first, second, *_ = world.nodes
        await answered(world, first, {1: world.care_of(1, 9)}, 0)
        await answered(world, second, three(world, 8), NO_RESOURCES)
        assert second.acked == {}
        await agree(world)
        await answered(world, first, {}, 0)
        await until(lambda: second.status == 0)
        await world.settle()


@pytest.mark.parametrize("table", [p.TUNNELS, p.TUNNEL_TERMINATION])
async def test_of_a_bid_of_which_a_switch_refuses_one_entry_nothing_stays(tmp_path: Path, table: str) -> None:
    async with FaultWorld(tmp_path, ONE_ANCHOR) as world:
        node = world.nodes[0]
        wanted = three(world, 8)
        refuses = one_of(world, table)
        world.victim().switch.refuses = refuses
        await answered(world, node, wanted, NOTCOMPLETE)
        (refused,) = node.refused
        assert node.refused == {refused: NO_RESOURCES}
        assert node.acked == {bid: at for bid, at in wanted.items() if bid != refused}
        await agree(world)
        world.victim().switch.refuses = lambda _update: False
        await until(lambda: node.status == 0)
        assert node.acked == wanted
        await world.settle()
        assert not world.wrong


async def test_a_handover_to_where_there_is_no_room_leaves_the_others_in_force(tmp_path: Path) -> None:
    """The O flag is set, so what was there before goes with what is refused (RFC 5648 section 6.2)."""
    async with FaultWorld(tmp_path, ONE_ANCHOR) as world:
        node = world.nodes[0]
        before = three(world, 8)
        await answered(world, node, before, 0)
        elsewhere = before | {2: world.care_of(2, 0x77)}
        world.victim().switch.refuses = towards(int.from_bytes(elsewhere[2]))
        await answered(world, node, elsewhere, NOTCOMPLETE)
        assert node.refused == {2: NO_RESOURCES}
        assert node.acked == {1: before[1], 3: before[3]}
        await agree(world)
        world.victim().switch.refuses = lambda _update: False
        await until(lambda: node.status == 0)
        await world.settle()
        assert not world.wrong


async def test_scapy_reads_the_acknowledgement(tmp_path: Path) -> None:
    async with FaultWorld(tmp_path, ONE_ANCHOR, small(tunnels=2)) as world:
        await answered(world, world.nodes[0], three(world, 8), NOTCOMPLETE)
        packet = IPv6(world.nodes[0].acknowledgement)
        answer = packet[MIP6MH_BA]
        assert (answer.status, answer.seq) == (NOTCOMPLETE, world.nodes[0].sequence)
        # It does not know option 35: BID, status, then H flag and BID-PRI (RFC 5648 section 4.1).
        options = [(one.otype, bytes(one)[2:6]) for one in answer.options if one.otype == 35]
        assert options == [(35, bytes((0, bid, NO_RESOURCES if bid == 3 else 0, 0))) for bid in (1, 2, 3)]


@pytest.mark.tshark
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not on PATH")
async def test_tshark_reads_the_acknowledgement(tmp_path: Path) -> None:
    async with FaultWorld(tmp_path, ONE_ANCHOR, small(tunnels=2)) as world:
        await answered(world, world.nodes[0], three(world, 8), NOTCOMPLETE)
        packet = world.nodes[0].acknowledgement
    capture = tmp_path / "acknowledgement.pcap"
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    capture.write_bytes(header + struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
    done = await asyncio.create_subprocess_exec("tshark", "-r", capture, "-V", stdout=subprocess.PIPE)
    text = " ".join((await done.communicate())[0].decode().split())
    assert "Status: MCOA NOTCOMPLETE (4)" in text
    assert f"Binding ID (BID): 3 Status: {NO_RESOURCES}" in text
    assert "Malformed" not in text


def one_of(world: FaultWorld, table: str) -> Callable[[Any], bool]:
    """Return what refuses the first entry that is inserted into a table, whenever it is."""
    (number,) = (one.preamble.id for one in world._artefacts.info.tables if one.preamble.alias == table)
    first: list[bytes] = []

    def refuses(update: Any) -> bool:
        entry = update.entity.table_entry
        if entry.table_id != number or update.type == update.DELETE:
            return False
        key = b"".join(sorted(match.SerializeToString() for match in entry.match))
        if not first:
            first.append(key)
        return key == first[0]

    return refuses


def towards(care_of: int) -> Callable[[Any], bool]:
    """Return what refuses entries with a care-of address in their key."""
    octets = care_of.to_bytes(16)
    return lambda update: (
        update.type != update.DELETE and any(match.exact.value == octets for match in update.entity.table_entry.match)
    )


@asynccontextmanager
async def rest(world: FaultWorld, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the controller's own REST server, with the rights of an administrator."""
    headers = {"Authorization": f"Bearer {make_token(folder)}"}
    await until(lambda: not world.service.northbound.url.endswith(":0"))
    async with httpx.AsyncClient(base_url=world.service.northbound.url, headers=headers, trust_env=False) as client:
        yield client


async def test_the_event_stream_tells_which_bid_was_refused_and_why(tmp_path: Path) -> None:
    async with FaultWorld(tmp_path, ONE_ANCHOR, small(tunnels=2)) as world, rest(world, tmp_path) as client:
        node = world.nodes[0]
        async with client.stream("GET", "/v1/events/stream?kind=refusal") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 2000"  # from here on it misses nothing
            await answered(world, node, three(world, 8), NOTCOMPLETE)
            async with asyncio.timeout(10):
                told = await next_event(lines)
        details = {
            "home_address": format_address(node.home),
            "source": format_address(world.care_of(1, 8)),
            "status": NOTCOMPLETE,
            "bids": [{"bid": 3, "status": NO_RESOURCES}],
        }
        assert (told["kind"], told["details"]) == ("refusal", details)
        listed = (await client.get("/v1/events?kind=refusal")).json()["items"]
        assert listed[-1] == told
        counted = (await client.get("/metrics")).text
        assert re.search(r'mcoa_signalling_total\{event="bids_refused_130"\} [1-9]', counted)


async def next_event(lines: AsyncIterator[str]) -> Any:
    async for line in lines:
        if line.startswith("data: "):
            return json.loads(line.removeprefix("data: "))
    raise EOFError


async def test_a_dry_run_shows_addresses(tmp_path: Path) -> None:
    """A node that may keep one binding of three loses two tunnels; the preview names where they lead."""
    async with FaultWorld(tmp_path, ONE_ANCHOR) as world, rest(world, tmp_path) as client:
        node = world.nodes[0]
        await answered(world, node, three(world, 8), 0)
        path = f"/v1/nodes/{format_address(node.home)}/provision?validate=only"
        shown = (await client.put(path, json={"max_bindings": 1})).json()
        gone = [one for one in shown["updates"] if (one["op"], one["table"]) == ("delete", p.TUNNELS)]
        assert [one["action"] for one in gone] == [p.ENCAP_IPV6] * 2
        destinations = {one["params"]["destination"] for one in gone}
        assert destinations == {format_address(world.care_of(bid, 8)) for bid in (2, 3)}
