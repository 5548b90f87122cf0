"""A running embedded switch with two wires, and P4Runtime clients of it."""

import asyncio
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest
from finsy.proto import p4r, p4r_grpc

from softswitch_kit import config, p4info
from testbed.softswitch import SoftSwitch, WirePort

SetConfig = p4r.SetForwardingPipelineConfigRequest
BIG_METADATA = [("grpc.max_metadata_size", 4 << 20), ("grpc.absolute_max_metadata_size", 4 << 20)]


class Session:
    """One client with one stream."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=BIG_METADATA)
        self.stub: Any = p4r_grpc.P4RuntimeStub(self.channel)
        self.stream: Any = self.stub.StreamChannel()

    async def bid(self, election: int | None, device: int = 1) -> p4r.MasterArbitrationUpdate:
        message = p4r.StreamMessageRequest()
        message.arbitration.device_id = device
        if election is not None:
            message.arbitration.election_id.low = election
        await self.stream.write(message)
        return (await self.next()).arbitration

    async def next(self) -> p4r.StreamMessageResponse:
        message = await asyncio.wait_for(self.stream.read(), 3)
        assert isinstance(message, p4r.StreamMessageResponse)
        return message

    async def set_config(self, action: int, name: str = "tables", election: int = 1, cookie: int = 5) -> None:
        request = SetConfig(device_id=1, action=action)
        request.election_id.low = election
        if name:
            request.config.p4info.CopyFrom(p4info(name))
            request.config.p4_device_config = config(name)
            request.config.cookie.cookie = cookie
        await self.stub.SetForwardingPipelineConfig(request)

    async def write(self, *updates: tuple[int, p4r.Entity], election: int = 1) -> None:
        request = p4r.WriteRequest(device_id=1)
        request.election_id.low = election
        for kind, entity in updates:
            request.updates.add(type=kind, entity=entity)
        await self.stub.Write(request)

    async def read(self, *entities: p4r.Entity) -> list[p4r.ReadResponse]:
        return [message async for message in self.stub.Read(p4r.ReadRequest(device_id=1, entities=entities))]

    async def close(self) -> None:
        self.stream.cancel()
        await self.channel.close(None)


class Site:
    """A running switch with two wires, and clients."""

    def __init__(self) -> None:
        self.switch = SoftSwitch()
        self.out: list[tuple[int, bytes]] = []
        self.left = asyncio.Event()
        self.wires = {number: WirePort(partial(self._collect, number)) for number in (1, 2)}
        for number, wire in self.wires.items():
            self.switch.add_port(number, wire)
        self.address = ""
        self.sessions: list[Session] = []

    def _collect(self, number: int, frame: bytes) -> None:
        self.out.append((number, frame))
        self.left.set()

    def client(self) -> Session:
        session = Session(self.address)
        self.sessions.append(session)
        return session

    async def primary(self, name: str = "tables") -> Session:
        session = self.client()
        await session.bid(1)
        await session.set_config(SetConfig.VERIFY_AND_COMMIT, name)
        return session


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.details()
    code = caught.value.code()
    assert isinstance(code, grpc.StatusCode)
    return code
