"""An operator's revocation: what the engine does, and when the client hears of it."""

import asyncio

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.events import Revoked
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork
from controller.mobility.wire import BindingIdentifier, BindingUpdate, encode_packet
from controller.northbound.errors import ConflictError, NotFoundError, UnavailableError
from controller.service import revoker as module
from controller.service.revoker import Revoker

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA = parse_address("2001:db8:a1::1")


class World:
    """An engine whose transactions are committed as soon as they are pumped."""

    def __init__(self) -> None:
        network = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), HA, open=True)
        self.engine = HomeAgent(HomeAgentConfig((network,)))
        self.revoker = Revoker(self.engine, self.pump)
        self.sequence = 0
        self.sent: list[bytes] = []

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def pump(self) -> None:
        for transaction in self.engine.transactions():
            self.engine.commit(transaction.number, self.now)
        self.sent += self.engine.outbox()
        for event in self.engine.events():
            if isinstance(event, Revoked):
                self.revoker.heard(event)

    def register(self, *bids: int) -> None:
        self.sequence += 1
        options = tuple(BindingIdentifier(bid, COA) for bid in bids)
        update = BindingUpdate(self.sequence, 0xC000, 60, options)
        self.engine.receive(encode_packet(COA, HA, update, home_address=HOA), self.now)
        self.pump()

    def give_up(self) -> None:
        """Let the time pass in which the node says nothing."""
        for later in (1.1, 3.3):
            self.engine.handle_timer(self.now + later)
            self.pump()

    def bids(self) -> list[int]:
        record = self.engine.record(HOA)
        return [] if record is None else [one.bid for one in record.bindings]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("bid", "left"), [(1, [2]), (None, [])])
async def test_the_client_waits_for_the_end(world: World, bid: int | None, left: list[int]) -> None:
    world.register(1, 2)
    task = asyncio.create_task(world.revoker.revoke(HOA, bid))
    await asyncio.sleep(0)
    assert not task.done()
    assert len(world.sent) == 2, "an acknowledgement, and the indication"
    world.give_up()
    await task
    assert world.bids() == left
    assert not world.revoker._waiting


async def test_two_clients_at_once(world: World) -> None:
    world.register(1, 2)
    tasks = [asyncio.create_task(world.revoker.revoke(HOA, bid)) for bid in (1, 2)]
    await asyncio.sleep(0)
    world.give_up()
    await asyncio.gather(*tasks)
    assert world.bids() == []


async def test_there_is_nothing_to_revoke(world: World) -> None:
    world.register(1)
    for home, bid in ((HOA, 9), (Address(COA), None)):
        with pytest.raises(NotFoundError, match="no such binding"):
            await world.revoker.revoke(home, bid)


async def test_the_node_registers_anew_meanwhile(world: World) -> None:
    world.register(1)
    task = asyncio.create_task(world.revoker.revoke(HOA, 1))
    await asyncio.sleep(0.01)
    world.register(1)
    with pytest.raises(ConflictError, match="BID 1 anew"):
        await task
    assert world.bids() == [1]


async def test_it_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.01)
    world.register(1)
    with pytest.raises(UnavailableError, match="takes longer"):
        await world.revoker.revoke(HOA, 1)
    world.give_up()
    assert world.bids() == []
