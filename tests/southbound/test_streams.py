"""What several controllers and the data plane say on the stream, with the embedded switch at its other end."""

import asyncio
import json
from dataclasses import replace

import grpc.aio
from finsy.proto import p4i, p4r, p4r_grpc

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry, Op, Update
from controller.southbound.artefacts import Artefacts
from controller.southbound.states import SessionState
from controller.southbound.stream import Digest, Idle
from southbound_world import World, eventually
from testbed.softswitch.switch import SoftSwitch

ROLE = "home-agent"
STEER = Entry(p.DEFAULT_BINDING, (7,), p.STEER, (2,))


async def arbitration(stub: p4r_grpc.P4RuntimeStub, role: str, election_id: int) -> tuple[object, int]:
    """Bid for a role; return the stream, to be kept, and the status that the switch answers."""
    stream = stub.StreamChannel()
    message = p4r.StreamMessageRequest()
    message.arbitration.device_id = 1
    message.arbitration.role.name = role
    message.arbitration.election_id.low = election_id
    await stream.write(message)
    answer = await stream.read()
    return stream, answer.arbitration.status.code


async def test_a_controller_of_another_role_takes_nothing_away(
    world: World, soft_switch: tuple[SoftSwitch, str]
) -> None:
    _, address = soft_switch
    async with world.running(address, role=ROLE) as session, grpc.aio.insecure_channel(address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        _other, status = await arbitration(stub, "telemetry", 1 << 40)
        assert status == 0
        await session.write([Update(Op.INSERT, STEER)])
        assert STEER.key in await session.read_entries()
        assert session.state is SessionState.READY


async def test_a_controller_of_the_same_role_with_a_higher_id_takes_over(
    world: World, soft_switch: tuple[SoftSwitch, str]
) -> None:
    _, address = soft_switch
    async with world.running(address, role=ROLE) as session, grpc.aio.insecure_channel(address) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        stream, status = await arbitration(stub, ROLE, 1 << 40)
        assert status == 0
        async with asyncio.timeout(10):
            await session.wait_for(SessionState.STANDBY)
        stream.cancel()  # type: ignore[attr-defined]  # grpc's calls are untyped
        async with asyncio.timeout(10):
            await session.wait_for(SessionState.READY)


def _with_timeouts(artefacts: Artefacts) -> Artefacts:
    """Return our program as if the entries of one of its tables could be idle."""
    info = p4i.P4Info()
    info.CopyFrom(artefacts.info)
    for table in info.tables:
        if table.preamble.alias == p.DEFAULT_BINDING:
            table.idle_timeout_behavior = p4i.Table.NOTIFY_CONTROL
    config = json.loads(artefacts.config)
    for pipeline in config["pipelines"]:
        for table in pipeline["tables"]:
            if table["name"].endswith(p.DEFAULT_BINDING):
                table["support_timeout"] = True
    return replace(artefacts, info=info, config=json.dumps(config).encode())


async def test_an_entry_that_was_idle_is_told(world: World, soft_switch: tuple[SoftSwitch, str]) -> None:
    _, address = soft_switch
    world.artefacts = _with_timeouts(world.artefacts)
    world.want(STEER)
    notices: list[Digest | Idle] = []
    running = world.running(address, on_notice=notices.append)
    async with running as session, grpc.aio.insecure_channel(address) as channel:
        update = p4r.Update(type=p4r.Update.MODIFY)
        update.entity.table_entry.MergeFromString(session._codec.entry(STEER))
        update.entity.table_entry.idle_timeout_ns = 50_000_000
        primary = p4r.Uint128(low=world.election_ids.ids["s1"])
        request = p4r.WriteRequest(device_id=1, election_id=primary, updates=[update])
        await p4r_grpc.P4RuntimeStub(channel).Write(request)
        await eventually(lambda: bool(notices))
        assert notices[0] == Idle((STEER.key,))
