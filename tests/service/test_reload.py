"""Reading the configuration again: what takes effect, what waits for a start, and what is refused."""

import asyncio
import logging
import shutil
from pathlib import Path

import pytest

from controller.config import Settings, load_settings
from controller.mobility.address import Address, parse_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import AuthPolicy, EspAssociation, EspPolicy, SecurityContext
from controller.mobility.wire import BindingIdentifier, BindingUpdate, encode_packet
from controller.northbound.control import Reloaded
from controller.northbound.errors import RefusedError
from controller.service.reload import Reloader

TOPOLOGY = Path(__file__).parents[2] / "topologies" / "three-access.yaml"
HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
ROUTER = parse_address("2001:db8:0:1::200")
COA = parse_address("2001:db8:a1::1")
HEAD = """
[home_agent]
max_lifetime = 600
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"
[topology]
file = "net.yaml"
"""
NODE = '[[node]]\nhome_address = "2001:db8:0:1::100"\n'
MOBILE_ROUTER = '[[node]]\nhome_address = "2001:db8:0:1::200"\nmobile_router = true\nprefixes = ["2001:db8:f00::/56"]\n'
SECRETS = [f"{number:02x}5ec4e7" * 12 for number in range(4)]


def esp(spi: int, number: int) -> str:
    keys = f'key = "{SECRETS[number]}"\nreply_key = "{SECRETS[number + 1]}"'
    return f'security = "esp"\nspi = {spi}\nreply_spi = {spi + 1000}\n{keys}\n'


class World:
    """A reloader around a real engine and a real file."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        path.write_text(text)
        settings = load_settings(path)
        self.engine = HomeAgent(settings.home_agent_config(), security=SecurityContext(0.0, bytes))
        self.heard: list[Settings] = []
        self.pumped = 0
        self.reloader = Reloader(settings, self.engine, Settings.home_agent_config, self.pump)
        self.reloader.on_change(self.heard.append)
        self.sequence = 0

    def pump(self) -> None:
        self.pumped += 1

    async def reload(self, text: str) -> Reloaded:
        self.path.write_text(text)
        return await self.reloader.reload()

    def register(self, home_address: Address = HOA, *bids: int) -> None:
        self.sequence += 1
        now = asyncio.get_running_loop().time()
        update = BindingUpdate(self.sequence, 0xC000, 600, tuple(BindingIdentifier(bid, COA) for bid in bids))
        self.engine.receive(encode_packet(COA, HA, update, home_address=home_address), now)
        for transaction in self.engine.transactions():
            self.engine.commit(transaction.number, now)

    def counted(self, name: str) -> int:
        return self.engine.counters[name]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    shutil.copy(TOPOLOGY, tmp_path / "net.yaml")
    return tmp_path / "mcoa.toml"


async def test_an_unchanged_file_changes_nothing(path: Path) -> None:
    world = World(path, HEAD + NODE)
    world.register(HOA, 1)
    world.engine.outbox()
    assert await world.reload(HEAD + NODE) == Reloaded(0, 0, 0, 0, ())
    assert world.engine.outbox() == []


async def test_nodes_come_change_and_go(path: Path) -> None:
    world = World(path, HEAD + NODE)
    world.register(HOA, 1, 2)
    world.register(ROUTER)
    assert world.counted("refused_133") == 1
    assert await world.reload(HEAD + NODE + "max_bindings = 1\n" + MOBILE_ROUTER) == Reloaded(1, 1, 0, 1, ())
    world.register(ROUTER)
    assert world.counted("refused_133") == 1
    assert world.engine.record(ROUTER) is not None
    assert await world.reload(HEAD + NODE + "max_bindings = 1\n") == Reloaded(0, 0, 1, 1, ())
    world.register(ROUTER)
    assert world.counted("refused_133") == 2
    assert [len(settings.nodes) for settings in world.heard] == [2, 1]
    assert world.reloader.settings is world.heard[-1]
    assert world.pumped == 2


async def test_prefixes_that_are_withdrawn_take_the_registration_along(path: Path) -> None:
    world = World(path, HEAD + MOBILE_ROUTER)
    now = asyncio.get_running_loop().time()
    update = BindingUpdate(1, 0xC400, 600, (BindingIdentifier(1, COA),))
    world.engine.receive(encode_packet(COA, HA, update, home_address=ROUTER), now)
    for transaction in world.engine.transactions():
        world.engine.commit(transaction.number, now)
    record = world.engine.record(ROUTER)
    assert record is not None
    assert record.prefixes
    done = await world.reload(HEAD + MOBILE_ROUTER.replace("f00", "f80"))
    assert done == Reloaded(0, 1, 0, 1, ())


async def test_limits_take_effect_and_the_rest_is_named(path: Path) -> None:
    world = World(path, HEAD + NODE)
    text = HEAD.replace("600", "60\nsource_burst = 7\nheartbeat = true\nsignalling_rate = 5") + NODE
    text += '[northbound]\nlisten = "127.0.0.1:9999"\n[controller]\nstate = "other.sqlite3"\ngrace_period_s = 2\n'
    done = await world.reload(text)
    assert set(done.at_next_start) == {
        "home_agent.heartbeat",
        "home_agent.signalling_rate",
        "northbound.listen",
        "controller.state",
        "controller.grace_period_s",
    }
    assert world.reloader.settings.northbound.listen.port == 8181
    assert world.reloader.settings.home_agent.max_lifetime == 60
    world.register(HOA, 1)
    record = world.engine.record(HOA)
    assert record is not None
    assert record.bindings[0].lifetime == 60
    # What waits for a start is named again, until there is one.
    assert "northbound.listen" in (await world.reload(text)).at_next_start


async def test_a_file_with_an_error_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(path, HEAD + NODE)
    world.register(HOA, 1)
    before = world.reloader.settings
    for text, reason in (
        (HEAD + NODE + "max_bindings = 0\n", r"node\[0\].max_bindings"),
        ("nonsense", "no valid TOML"),
        (HEAD.replace("1::/64", "1::1/64"), "prefix"),
        (HEAD.replace("net.yaml", "gone.yaml"), "gone.yaml"),
        (HEAD.replace('::1"', '::2"'), "topology"),
    ):
        with pytest.raises(RefusedError, match=f"(?s)stays as it is.*({reason})"):
            await world.reload(text)
    assert world.reloader.settings is before
    assert world.heard == []
    assert [one.levelno for one in caplog.records] == [logging.ERROR] * 5
    world.path.unlink()
    with pytest.raises(RefusedError, match="cannot be read"):
        await world.reloader.reload()
    assert world.engine.record(HOA) is not None


async def test_another_home_network_needs_a_start(path: Path) -> None:
    world = World(path, HEAD + NODE)
    real = HEAD.replace('home_agent = "2001:db8:0:1::1"', 'home_agent = "2001:db8:0:1::1"\nlink = "real"')
    with pytest.raises(RefusedError, match="home networks of a running home agent cannot change: start it again"):
        await world.reload(real + NODE)
    assert world.heard == []


async def test_two_nodes_exchange_their_spis(path: Path) -> None:
    one, two = NODE + esp(256, 0), MOBILE_ROUTER + esp(512, 2)
    world = World(path, HEAD + one + two)
    one, two = NODE + esp(512, 0), MOBILE_ROUTER + esp(256, 2)
    assert await world.reload(HEAD + one + two) == Reloaded(0, 2, 0, 0, ())
    assert (world.engine.spi_owner(256), world.engine.spi_owner(512)) == (ROUTER, HOA)


async def test_an_spi_of_a_node_that_is_not_of_the_file_is_refused(path: Path) -> None:
    world = World(path, HEAD + NODE)
    keys = [Key(bytes([number]) * 48) for number in (1, 2)]
    policy = EspPolicy(EspAssociation(256, keys[0]), EspAssociation(257, keys[1]))
    world.engine.provision(NodeProvision(ROUTER, security=policy))
    with pytest.raises(RefusedError, match="SPI 256 is that of 2001:db8:0:1::200, which was provisioned by REST"):
        await world.reload(HEAD + NODE + esp(256, 0))
    assert (await world.reload(HEAD + NODE + esp(300, 0))).changed == 1
    assert world.engine.spi_owner(256) == ROUTER


async def test_who_has_to_prove_itself_from_now_on_starts_anew(path: Path) -> None:
    world = World(path, HEAD + NODE)
    world.register(HOA, 1)
    proof = f'security = "auth"\nspi = 256\nkey = "{SECRETS[0]}"\n'
    assert (await world.reload(HEAD + NODE + proof)).revoked == 1
    # Another key does not: what is bound was proved.
    world = World(path, HEAD + NODE + proof)
    key = Key.from_hex(SECRETS[0])
    assert world.reloader.settings.security[HOA] == AuthPolicy(256, key)
    assert (await world.reload(HEAD + NODE + proof.replace(SECRETS[0], SECRETS[1]))).revoked == 0


async def test_no_message_of_a_reload_shows_a_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(path, HEAD + NODE)
    texts = [NODE + esp(256, 0), NODE + esp(256, 1) + "spy = 3\n", NODE + esp(255, 2), NODE + esp(300, 2)]
    for text in texts:
        try:
            shown = repr(await world.reload(HEAD + text))
        except RefusedError as error:
            shown = str(error) + repr(error.__context__)
        assert not any(secret[:16] in shown for secret in SECRETS)
    assert not any(secret[:16] in caplog.text for secret in SECRETS)
    assert repr(world.reloader.settings).count("Key(48 octets)") >= 2
