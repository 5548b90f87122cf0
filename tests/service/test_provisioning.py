"""Nodes that REST provisions: what a dry run shows, and what a configuration file may not take from them."""

import asyncio
from pathlib import Path
from typing import cast

import pytest

from controller.config import load_settings
from controller.dataplane import pipeline as p
from controller.dataplane.desired import DesiredState
from controller.fabric.loader import sample_topologies
from controller.mobility.address import Prefix, parse_address, parse_ipv4
from controller.mobility.home_agent import HomeAgent
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import AuthPolicy, SecurityContext
from controller.mobility.wire import BindingIdentifier, BindingUpdate, encode_packet
from controller.northbound.errors import ConflictError, NotFoundError, RefusedError
from controller.northbound.views import TableUpdate
from controller.service.committer import Committer, Job
from controller.service.facts import node_facts
from controller.service.keeper import Keeper, StoreThread
from controller.service.provisioning import Provisioning
from controller.service.reload import Reloader
from controller.store import SqliteStore, StoreError

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
OTHER = parse_address("2001:db8:0:1::200")
HEAD = f"""
[home_agent]
ipv4 = "192.0.2.1"
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"
[topology]
file = "{sample_topologies() / "three-access.yaml"}"
"""
IPV4 = parse_ipv4("192.0.2.100")


class AtOnce:
    """Carries changes out on switches that refuse nothing."""

    def __init__(self, desired: DesiredState) -> None:
        self._desired = desired

    def submit(self, job: Job) -> None:
        try:
            plan = job.plan(self._desired)
        except ValueError as error:
            job.failed(str(error))
            return
        self._desired.confirm(plan)
        job.done()


class World:
    def __init__(self, folder: Path, nodes: str = "") -> None:
        self.path = folder / "home-agent.toml"
        self.path.write_text(HEAD + nodes)
        settings = load_settings(self.path)
        config = settings.home_agent_config()
        self.engine = HomeAgent(config, security=SecurityContext(0.0, bytes))
        self.desired = DesiredState(facts=node_facts(settings, self.engine))
        self.store = SqliteStore(folder / "state.sqlite3")
        keep = Keeper(cast("StoreThread", asyncio.to_thread))
        committer = cast("Committer", AtOnce(self.desired))
        self.nodes = Provisioning(
            settings, self.engine, self.desired, self.store, keep, pump=self.pump, committer=committer
        )
        self.reloader = Reloader(settings, self.engine, lambda read: read.home_agent_config(), self.pump)
        self.reloader.check_with(self.nodes.check_settings)
        self.sequence = 0

    def pump(self) -> None:
        pass

    def register(self, *bids: int, flags: int = 0xC000) -> None:
        self.sequence += 1
        now = asyncio.get_running_loop().time()
        care_of = [parse_address(f"2001:db8:a{bid}::1") for bid in bids]
        options = tuple(BindingIdentifier(bid, address) for bid, address in zip(bids, care_of, strict=True))
        update = BindingUpdate(self.sequence, flags, 600, options)
        self.engine.receive(encode_packet(care_of[0], HA, update, home_address=HOA), now)
        for transaction in self.engine.transactions():
            self.desired.confirm(self.desired.apply(transaction))
            self.engine.commit(transaction.number, now)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def changes(updates: tuple[TableUpdate, ...]) -> list[tuple[str, str]]:
    return sorted({(one.op, one.table) for one in updates})


async def test_a_node_without_bindings_has_no_entries(folder: Path) -> None:
    world = World(folder)
    assert world.nodes.preview(NodeProvision(HOA, home_ipv4=IPV4)) == ()
    assert HOA not in world.nodes


async def test_another_ipv4_home_address_is_shown_as_it_is_then_written(folder: Path) -> None:
    world = World(folder)
    await world.nodes.put(NodeProvision(HOA))
    world.register(1, 2)
    before = world.desired.desired()
    shown = world.nodes.preview(NodeProvision(HOA, home_ipv4=IPV4))
    assert [(one.op, one.table, one.match) for one in shown] == [
        ("insert", p.HOME_SOURCES, {"source": "::ffff:c000:264"}),
        ("insert", p.HOME_ADDRESSES, {"destination": "::ffff:c000:264"}),
    ]
    assert world.desired.desired() == before
    await world.nodes.put(NodeProvision(HOA, home_ipv4=IPV4))
    assert len(world.desired.desired()) == len(before) + 2
    assert world.nodes.preview(NodeProvision(HOA, home_ipv4=IPV4)) == ()


async def test_what_a_node_may_not_keep_is_shown_as_deleted(folder: Path) -> None:
    world = World(folder)
    router = NodeProvision(HOA, prefixes=(Prefix.parse("2001:db8:f00::/56"),), mobile_router=True)
    await world.nodes.put(router)
    world.register(1, 2, flags=0xC400)
    fewer = world.nodes.preview(NodeProvision(HOA, prefixes=router.prefixes, mobile_router=True, max_bindings=1))
    assert changes(fewer) == [
        ("delete", p.SOURCE_BINDINGS),
        ("delete", p.TUNNEL_TERMINATION),
        ("delete", p.TUNNELS),
    ]
    assert len([one for one in fewer if one.table == p.TUNNELS]) == 1
    everything = len(world.desired.desired())
    proof = AuthPolicy(256, Key(bytes(20)))
    for node in (
        NodeProvision(HOA),
        NodeProvision(HOA, prefixes=(Prefix.parse("2001:db8:f80::/56"),), mobile_router=True),
        NodeProvision(HOA, prefixes=router.prefixes, mobile_router=True, security=proof),
    ):
        shown = world.nodes.preview(node)
        assert ({one.op for one in shown}, len(shown)) == ({"delete"}, everything)
    removed = world.nodes.preview_deletion(HOA)
    assert ({one.op for one in removed}, len(removed)) == ({"delete"}, everything)
    with pytest.raises(NotFoundError):
        world.nodes.preview_deletion(OTHER)


async def test_a_full_table_is_told_beforehand(folder: Path) -> None:
    world = World(folder)
    await world.nodes.put(NodeProvision(HOA))
    world.register(1)
    world.desired.set_capacity({p.HOME_ADDRESSES: 1})
    with pytest.raises(RefusedError, match="table home_addresses is full: 1 of 1 entries are taken"):
        world.nodes.preview(NodeProvision(HOA, home_ipv4=IPV4))


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        ('home_ipv4 = "192.0.2.100"', "home_ipv4 192.0.2.100"),
        ('mobile_router = true\nprefixes = ["2001:db8:f00::/60"]', "prefix 2001:db8:f00::/60"),
        (f'security = "auth"\nspi = 300\nkey = "{"07" * 20}"', "its key"),
    ],
)
async def test_a_configuration_file_takes_nothing_from_a_node_of_rest(folder: Path, mine: str, told: str) -> None:
    world = World(folder)
    security = AuthPolicy(256, Key(bytes([7]) * 20))
    node = NodeProvision(
        HOA, prefixes=(Prefix.parse("2001:db8:f00::/56"),), mobile_router=True, home_ipv4=IPV4, security=security
    )
    await world.nodes.put(node)
    section = f'[[node]]\nhome_address = "2001:db8:0:1::200"\n{mine}\n'
    world.path.write_text(HEAD + section)
    with pytest.raises(RefusedError) as refused:
        await world.reloader.reload()
    assert str(refused.value) == (
        f"the configuration stays as it is: {world.path}: node 2001:db8:0:1::200: {told} is that of 2001:db8:0:1::100,"
        " which was provisioned by REST: choose another, or remove that node first"
    )
    assert world.engine.provision_of(OTHER) is None
    assert world.engine.provision_of(HOA) == node
    # A node that the file names goes by the file.
    world.path.write_text(HEAD + section.replace("::200", "::100"))
    assert (await world.reloader.reload()).added == 1
    world.nodes.reconfigure(world.reloader.settings)
    with pytest.raises(ConflictError, match="change it there"):
        world.nodes.preview(node)


async def test_a_start_with_a_file_that_takes_something_is_refused_by_name(folder: Path) -> None:
    world = World(folder)
    await world.nodes.put(NodeProvision(HOA, home_ipv4=IPV4))
    documents = world.store.load(0.0).documents
    world.store.close()
    again = World(folder, '[[node]]\nhome_address = "2001:db8:0:1::200"\nhome_ipv4 = "192.0.2.100"\n')
    told = r"home-agent.toml: node 2001:db8:0:1::200: home_ipv4 192.0.2.100 is that of 2001:db8:0:1::100"
    with pytest.raises(StoreError, match=told):
        again.nodes.restore(documents)
