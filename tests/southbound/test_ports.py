"""Which ports are up, by gNMI: a server of our own at the other end, and finsy's client to say that it is one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

import grpc
import grpc.aio
import pytest
from finsy.gnmiclient import GNMIClient
from finsy.ports import SwitchPortList
from finsy.proto import gnmi

from controller.southbound.ports import MAX_INTERFACES, watch_ports
from controller.southbound.states import SessionState
from controller.southbound.targets import TARGETS
from fake_gnmi import FakeGnmi, leaf_path
from fake_p4runtime import FakeP4Runtime
from southbound_world import World, eventually

PORTS = {"1/0": (1, "UP"), "2/0": (2, "DOWN"), "3/0": (300, "UP")}


@pytest.fixture
async def server() -> AsyncIterator[FakeGnmi]:
    fake = FakeGnmi(dict(PORTS))
    yield fake
    await fake.stop()


@asynccontextmanager
async def watching(server: FakeGnmi) -> AsyncIterator[list[dict[int, bool]]]:
    """Give what is told."""
    told: list[dict[int, bool]] = []
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        task = asyncio.create_task(watch_ports("s1", channel, lambda ports: told.append(dict(ports)), retry=0.02))
        try:
            yield told
            assert not task.done(), "it ends by nothing but being cancelled"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_finsy_reads_the_server(server: FakeGnmi) -> None:
    client = GNMIClient(await server.start())
    async with client:
        ports = SwitchPortList()
        await ports.subscribe(client)
        assert {port.name: (port.id, port.oper_status.value) for port in ports} == PORTS
        ports.close()


@pytest.mark.parametrize("as_json", [False, True])
async def test_it_tells_how_ports_are_and_when_one_changes(server: FakeGnmi, *, as_json: bool) -> None:
    server.as_json = as_json
    async with watching(server) as told:
        await eventually(lambda: bool(told))
        assert told == [{1: True, 2: False, 300: True}], "all of it at once, and by number"
        server.change("3/0", "LOWER_LAYER_DOWN")
        await eventually(lambda: len(told) == 2)
        assert told[-1] == {1: True, 2: False, 300: False}
        server.change("2/0", "UP")
        server.change("2/0", "UP")
        server.change("1/0", "DOWN")
        await eventually(lambda: told[-1] == {1: False, 2: True, 300: False})
        assert len(told) == 4, "what is said twice is told once"


@pytest.mark.parametrize("status", ["UNKNOWN", "", "up", "OPERATIONAL"])
async def test_a_port_of_which_nothing_is_known_is_neither_up_nor_down(server: FakeGnmi, status: str) -> None:
    async with watching(server) as told:
        await eventually(lambda: bool(told))
        server.change("2/0", status)
        await eventually(lambda: told[-1] == {1: True, 300: True})
        server.remove("1/0")
        await eventually(lambda: told[-1] == {300: True})


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL])
async def test_a_switch_that_refuses_is_asked_again(
    server: FakeGnmi, code: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    server.refusal = code
    async with watching(server) as told:
        await eventually(lambda: server.asked > 2)
        assert told == []
        server.refusal = None
        await eventually(lambda: bool(told))
    lines = [line for line in caplog.messages if "does not say which ports are up" in line]
    assert len(lines) == 1, "the same reason is logged once"
    assert code.name in lines[0]


async def test_a_subscription_that_ends_is_made_again(server: FakeGnmi) -> None:
    async with watching(server) as told:
        await eventually(lambda: bool(told))
        server.cut()
        server.statuses["1/0"] = "DOWN"
        await eventually(lambda: len(server.subscribed) == 2)
        await eventually(lambda: told[-1] == {1: False, 2: False, 300: True})


def response(change: Callable[[Any], object]) -> Any:
    message = gnmi.SubscribeResponse()
    change(message.update)
    return message


def about(interface: str, leaf: str, **value: object) -> Any:
    return response(lambda update: update.update.add(path=leaf_path(interface, leaf), val=gnmi.TypedValue(**value)))


ODD = {
    "nothing at all": gnmi.SubscribeResponse(),
    "no path": response(lambda update: update.update.add(val=gnmi.TypedValue(string_val="DOWN"))),
    "an interface that is not there": about("9/0", "oper-status", string_val="DOWN"),
    "another leaf": about("1/0", "admin-status", string_val="DOWN"),
    "a path without key": response(
        lambda update: update.update.add(
            path=gnmi.Path(elem=[gnmi.PathElem(name="interface"), gnmi.PathElem(name="oper-status")]),
            val=gnmi.TypedValue(string_val="DOWN"),
        )
    ),
    "a deletion of nothing": response(lambda update: update.delete.add()),
}


@pytest.mark.parametrize("what", ODD)
async def test_what_is_about_no_port_changes_nothing(server: FakeGnmi, what: str) -> None:
    async with watching(server) as told:
        await eventually(lambda: bool(told))
        server.say(ODD[what])
        server.change("2/0", "UP")
        await eventually(lambda: len(told) == 2)
        assert told[-1] == {1: True, 2: True, 300: True}


@pytest.mark.parametrize(
    "value",
    [
        {"int_val": 3},
        {"json_val": b"{"},
        {"json_ietf_val": b"[1]"},
        {"json_val": b"[" * 100_000},
        {"bytes_val": b"UP"},
        {},
    ],
)
async def test_a_status_that_is_none_says_nothing(server: FakeGnmi, value: dict[str, object]) -> None:
    async with watching(server) as told:
        await eventually(lambda: bool(told))
        server.say(about("1/0", "oper-status", **value))
        await eventually(lambda: told[-1] == {2: False, 300: True})


@pytest.mark.parametrize("number", [0, 2**32])
async def test_an_interface_without_a_port_number_is_left_out(server: FakeGnmi, number: int) -> None:
    server.numbers["1/0"] = number
    async with watching(server) as told:
        await eventually(lambda: bool(told))
        assert told == [{2: False, 300: True}]


async def test_more_interfaces_than_a_switch_has_are_not_looked_at() -> None:
    server = FakeGnmi({f"{n}/0": (n, "UP") for n in range(1, MAX_INTERFACES + 50)})
    async with watching(server) as told:
        async with asyncio.timeout(30):
            while not told:  # noqa: ASYNC110  it announces nothing
                await asyncio.sleep(0.01)
        assert len(told[0]) == MAX_INTERFACES
    await server.stop()


@pytest.mark.parametrize("seed", range(5))
async def test_random_messages_do_no_harm(server: FakeGnmi, seed: int) -> None:
    random = Random(seed)
    async with watching(server) as told:
        await eventually(lambda: bool(told))
        for _ in range(300):
            octets = bytearray(about("1/0", "oper-status", string_val="DOWN").SerializeToString())
            for _ in range(random.randint(1, 4)):
                octets[random.randrange(len(octets))] = random.randrange(256)
            message = gnmi.SubscribeResponse()
            try:
                message.ParseFromString(bytes(octets))
            except Exception:  # noqa: BLE001  no message: a client does not see it
                continue
            server.say(message)
        server.change("1/0", "UP")
        server.change("2/0", "UP")
        server.change("3/0", "DOWN")
        await eventually(lambda: told[-1] == {1: True, 2: True, 300: False})


# The session.


async def test_a_session_asks_where_the_kind_of_switch_tells(
    world: World, fake: FakeP4Runtime, server: FakeGnmi
) -> None:
    fake.also = server.add_to
    await fake.stop()
    await fake.start()
    told: list[dict[int, bool]] = []
    async with world.running(
        fake.address, target=replace(TARGETS["embedded"], gnmi=True), on_ports=lambda ports: told.append(dict(ports))
    ) as session:
        assert session.state is SessionState.READY
        await eventually(lambda: told == [{1: True, 2: False, 300: True}])
        fake.cut()
        await eventually(lambda: len(server.subscribed) == 2)


async def test_a_session_is_ready_where_the_switch_does_not_know_gnmi(
    world: World, fake: FakeP4Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[dict[int, bool]] = []
    async with world.running(
        fake.address, target=replace(TARGETS["embedded"], gnmi=True), on_ports=lambda ports: told.append(dict(ports))
    ) as session:
        assert session.state is SessionState.READY
        await eventually(lambda: any("s1 does not say which ports are up: UNIMPLEMENTED" in m for m in caplog.messages))
        await asyncio.sleep(0.05)
        assert session.state is SessionState.READY
        assert told == []


@pytest.mark.parametrize("kind", ["embedded", "bmv2"])
async def test_a_kind_of_switch_that_does_not_tell_is_not_asked(
    world: World, fake: FakeP4Runtime, server: FakeGnmi, kind: str
) -> None:
    fake.also = server.add_to
    await fake.stop()
    await fake.start()
    async with world.running(fake.address, target=TARGETS[kind], on_ports=lambda _ports: None) as session:
        assert session.state is SessionState.READY
        assert server.asked == 0
