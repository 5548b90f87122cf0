"""The same session with BMv2: a foreign implementation of the other side."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Lpm, Op, Range, Rate, Ternary, Update
from controller.dataplane.pipeline import DropReason
from controller.dataplane.plans import plan
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.paths import switch_entries
from controller.southbound.errors import WriteFailedError
from controller.southbound.states import SessionState
from controller.southbound.targets import TARGETS
from southbound_world import World, eventually, reached, write_stages

PROGRAM = shutil.which("simple_switch_grpc")
pytestmark = [pytest.mark.bmv2, pytest.mark.skipif(PROGRAM is None, reason="simple_switch_grpc is not on PATH")]

STATIC = switch_entries(load_topology(sample_topologies() / "three-access.yaml"), "s1")


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


async def options_of(program: str) -> str:
    """Return what it says of its options: some depend on what it was built with."""
    process = await asyncio.create_subprocess_exec(
        program, "--help", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    return told.decode(errors="replace")


@pytest.fixture
async def bmv2(tmp_path: Path) -> AsyncIterator[str]:
    """A running simple_switch_grpc without a program, and the address of its server."""
    assert PROGRAM is not None
    port, thrift = free_ports(2)
    # Its defaults for Thrift and notifications are the same for every instance on a machine.
    arguments = [
        "--device-id",
        "1",
        "--no-p4",
        "--thrift-port",
        str(thrift),
    ]
    if "--notifications-addr" in await options_of(PROGRAM):
        arguments += ["--notifications-addr", f"ipc://{tmp_path}/n"]
    arguments += ["--", "--grpc-server-addr", f"127.0.0.1:{port}", "--cpu-port", "510"]
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    yield f"127.0.0.1:{port}"
    process.terminate()
    await process.wait()


def steer(node: int, bid: int = 1) -> Entry:
    return Entry(p.DEFAULT_BINDING, (node,), p.STEER, (bid,))


EVERY_KIND = (
    *STATIC,
    steer(1),
    Entry(p.TUNNELS, (1, 1), p.ENCAP_IPV6, (5, 2**127, 1460)),
    Entry(p.TUNNELS, (1, 2), p.DROP_TUNNEL),
    Entry(p.TUNNEL_TERMINATION, (5, 2**127), p.TERMINATE, (1,)),
    Entry(p.HOME_SOURCES, (7,), p.SENDER, (1,)),
    Entry(p.NETWORK_SOURCES, (Lpm(2**127, 56),), p.SENDER, (1,)),
    Entry(p.SOURCE_BINDINGS, (1, 1), p.ALLOW, (1,)),
    Entry(p.MULTICAST_GROUPS, (9,), p.COPY, (1, 2)),
    Entry(p.BALANCERS, (3, 63), p.CHOOSE, (2,)),
    Entry(p.DEFAULT_BINDING, (2,), p.REPLICATE, (9,)),
    Entry(p.TUNNEL_RATES, (1, 2), p.LIMIT, rate=Rate(125_000, 15_000)),
    Entry(p.NEIGHBOUR_PROXY, (7,), p.ANSWER_FOR_NODE, (1, 0)),
    Entry(p.MOBILE_NETWORKS, (Lpm(2**127, 56),), p.MOBILE_NODE, (1,)),
    Entry(p.MOBILE_NETWORKS, (None,), p.MOBILE_NODE, (2,)),
    Entry(p.FLOW_BINDINGS, (1, *(None,) * 9), p.DROP_FLOW, (), 1),
    Entry(
        p.FLOW_BINDINGS,
        (
            1,
            Ternary(2**127, 2**127),
            None,
            Ternary(17, 255),
            Range(5, 9),
            None,
            Ternary(8, 0xFC),
            None,
            Ternary(0, 1),
            Ternary(0, 1),
        ),
        p.STEER_FLOW,
        (2,),
        65535,
    ),
)


async def test_entries_of_every_kind_come_back_as_they_went(world: World, bmv2: str) -> None:
    world.want(*EVERY_KIND)
    async with world.running(bmv2, target=TARGETS["bmv2"]) as session:
        assert await session.read_entries() == world.entries
    world.states.clear()
    async with world.running(bmv2, target=TARGETS["bmv2"]) as session:
        assert await session.read_entries() == world.entries
        assert session.last_error is None
        await write_stages(session, plan(world.entries, {}, grace=False).stages)
        assert await session.read_entries() == {}


async def test_writes_are_lenient_and_refusals_are_told_by_update(world: World, bmv2: str) -> None:
    async with world.running(bmv2, target=TARGETS["bmv2"]) as session:
        await session.write([Update(Op.INSERT, steer(1)), Update(Op.MODIFY, steer(2)), Update(Op.DELETE, steer(3))])
        await session.write([Update(Op.INSERT, steer(1, 9))])
        assert set((await session.read_entries()).values()) == {steer(1, 9), steer(2)}
        stations = [Entry(p.MY_STATION, (mac,), p.L3) for mac in range(1, 67)]
        with pytest.raises(WriteFailedError) as caught:
            await session.write([Update(Op.INSERT, entry) for entry in stations])
        assert len(caught.value.failures) == 2


async def test_counters_can_be_read(world: World, bmv2: str) -> None:
    world.want(*EVERY_KIND)
    async with world.running(bmv2, target=TARGETS["bmv2"]) as session:
        tunnels = await session.read_counters(p.TUNNELS)
        assert tunnels == {(p.TUNNELS, (1, bid), 0): (0, 0) for bid in (1, 2)}
        there, gone = (p.TUNNELS, (1, 2), 0), (p.TUNNELS, (9, 9), 0)
        assert await session.read_counters_of([there, gone]) == {there: (0, 0)}
        assert await session.read_drops() == dict.fromkeys(DropReason, (0, 0))


async def test_the_later_controller_takes_over(world: World, bmv2: str) -> None:
    other = World(world.artefacts)
    async with world.running(bmv2, target=TARGETS["bmv2"]) as first:
        async with other.running(bmv2, target=TARGETS["bmv2"]):
            await reached(first, SessionState.STANDBY)
        await reached(first, SessionState.READY)
        await first.write([Update(Op.INSERT, steer(1))])
        await eventually(lambda: first.state is SessionState.READY)
