"""The lab's network and its mobile node against a home agent in memory: the engine itself, without switch and controller."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from controller.fabric.loader import load_topology, parse_topology, sample_topologies
from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.provision import HomeAgentConfig, HomeNetwork, NodeProvision
from testbed.network import Network, NetworkError
from testbed.node.host import MobileNodeHost, NoAnswerError
from testbed.packets import (
    IPV6,
    UDP,
    Datagram,
    destination_of,
    encapsulate,
    ethernet,
    mobility_checksum_ok,
    mobility_header,
    udp,
    valid_ipv6,
)

_AGENT = parse_address("2001:db8:0:1::1")
_HOME = parse_address("2001:db8:0:1::100")
_ROUTER = parse_address("2001:db8:0:1::200")
_CAMERA = parse_address("2001:db8:f00::10")
_MOBILE_NETWORK = Prefix.parse("2001:db8:f00::/56")
_CORRESPONDENT = parse_address("2001:db8:c::10")
_PORTS = {parse_address(f"2001:db8:a{number}::")[:8]: number + 2 for number in (1, 2, 3)}


class _Agent:
    """Stands where the home-agent switch is: registers, tunnels, takes off tunnels; no table, no wire format of its own."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.updates: list[bytes] = []
        self.silent = False
        nodes = {_ROUTER: NodeProvision(_ROUTER, prefixes=(_MOBILE_NETWORK,), mobile_router=True)}
        network_ = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), _AGENT, open=True)
        self.engine = HomeAgent(HomeAgentConfig((network_,), nodes))
        for (_, port), end in network.switch_ports.items():
            end.connect(self._port(port))

    def _port(self, port: int) -> Callable[[bytes], None]:
        def take(frame: bytes) -> None:
            packet = valid_ipv6(frame[14:])
            assert packet is not None, f"port {port} got no IPv6 packet"
            self.forward(packet)

        return take

    def forward(self, packet: bytes) -> None:
        if destination_of(packet) == _AGENT and mobility_header(packet) is not None:
            self._signalling(packet)
        elif destination_of(packet) == _AGENT and packet[6] == IPV6:
            self.forward(packet[40:])
        elif destination_of(packet) == _HOME or destination_of(packet) in _MOBILE_NETWORK:
            record = self.engine.record(_HOME if destination_of(packet) == _HOME else _ROUTER)
            binding = record.preferred if record else None
            if binding is not None:
                self.forward(encapsulate(_AGENT, binding.care_of, packet))
        else:
            self._out(packet)

    def _signalling(self, packet: bytes) -> None:
        self.updates.append(packet)
        if self.silent:
            return
        now = self.network.clock.time()
        self.engine.receive(packet, now)
        for transaction in self.engine.transactions():
            self.engine.commit(transaction.number, now)
        for answer in self.engine.outbox():
            self._out(answer)

    def _out(self, packet: bytes) -> None:
        port = _PORTS.get(destination_of(packet)[:8], 2)
        for interface in self.network.topology.interfaces:
            if interface.port == port:
                there = self.network.topology.interface(interface.peer).mac.to_bytes(6)
                frame = ethernet(there, interface.mac.to_bytes(6), packet)
                self.network.switch_ports["s1", port].send(frame)


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    network = Network(load_topology(sample_topologies() / "three-access.yaml"), asyncio.get_running_loop())
    yield network
    network.close()


@pytest.fixture
async def agent(network: Network) -> _Agent:
    return _Agent(network)


@pytest.fixture
async def node(network: Network, agent: _Agent) -> MobileNodeHost:
    return network.mobile_nodes["mn"]


async def test_one_bulk_update_registers_all_three(node: MobileNodeHost, agent: _Agent) -> None:
    answer = await node.register(within=5)
    assert (answer.status, answer.bids) == (0, (1, 2, 3))
    assert answer.seconds > 0.01  # twice the Wi-Fi's delay
    assert len(agent.updates) == 1
    assert mobility_checksum_ok(agent.updates[0])
    record = agent.engine.record(_HOME)
    assert record is not None
    assert [binding.bid for binding in record.bindings] == [1, 2, 3]


async def test_traffic_comes_by_the_preferred_binding_and_goes_back_by_the_chosen_one(
    node: MobileNodeHost, network: Network
) -> None:
    await node.register(within=5)
    heard: asyncio.Queue[tuple[Datagram, int]] = asyncio.Queue()
    back: asyncio.Queue[Datagram] = asyncio.Queue()
    node.on_datagram(lambda datagram, bid: heard.put_nowait((datagram, bid)))
    network.hosts["cn"].on_datagram(back.put_nowait)
    network.hosts["cn"].send(udp(_CORRESPONDENT, _HOME, (1, 2), b"to the node"))
    datagram, bid = await asyncio.wait_for(heard.get(), 5)
    assert (datagram.payload, datagram.source, bid) == (b"to the node", _CORRESPONDENT, 1)
    assert node.send(udp(_HOME, _CORRESPONDENT, (2, 1), b"from the node"), 2)
    answered = await asyncio.wait_for(back.get(), 5)
    assert (answered.payload, answered.source) == (b"from the node", _HOME)


async def test_a_mobile_router_carries_the_traffic_of_its_network(network: Network, agent: _Agent) -> None:
    router, camera, correspondent = network.mobile_nodes["mr"], network.hosts["camera"], network.hosts["cn"]
    answer = await router.register(within=5)
    assert (answer.status, answer.bids) == (0, (1, 2))
    record = agent.engine.record(_ROUTER)
    assert record is not None
    assert (record.mobile_router, record.prefixes) == (True, (_MOBILE_NETWORK,))
    heard: asyncio.Queue[Datagram] = asyncio.Queue()
    back: asyncio.Queue[Datagram] = asyncio.Queue()
    camera.on_datagram(heard.put_nowait)
    correspondent.on_datagram(back.put_nowait)
    correspondent.send(udp(_CORRESPONDENT, _CAMERA, (1, 2), b"to the camera"))
    datagram = await asyncio.wait_for(heard.get(), 5)
    # One hop less at each router: the agent's tunnel takes one, the mobile router another.
    assert (datagram.payload, datagram.hop_limit) == (b"to the camera", 62)
    assert (router.tunnelled[1], router.counters["forwarded"]) == (1, 1)
    router.choose_way_out(lambda packet: 2 if packet[6] == UDP else 1)
    for source, payload in ((_CORRESPONDENT, b"in another's name"), (_CAMERA, b"from the camera")):
        camera.send(udp(source, _CORRESPONDENT, (2, 1), payload))
    answered = await asyncio.wait_for(back.get(), 5)
    assert (answered.payload, answered.source, answered.hop_limit) == (b"from the camera", _CAMERA, 63)
    assert router.counters["bad"] == 1
    for hop_limit in (0, 1):
        camera.send(udp(_CAMERA, _CORRESPONDENT, (2, 1), b"", hop_limit=hop_limit))
    await asyncio.sleep(0.03)
    assert router.counters["hop_limit"] == 2


async def test_a_move_keeps_the_old_address_until_the_new_one_is_acknowledged(
    node: MobileNodeHost, agent: _Agent
) -> None:
    await node.register(within=5)
    old, new = node.uplinks[1].care_of, parse_address("2001:db8:a1::200")
    got: asyncio.Queue[int] = asyncio.Queue()
    node.on_datagram(lambda _, bid: got.put_nowait(bid))
    moving = asyncio.create_task(node.move(1, new, within=5))
    await asyncio.sleep(0)
    agent._out(encapsulate(_AGENT, old, udp(_CORRESPONDENT, _HOME, (1, 2), b"late")))
    answer = await moving
    assert answer.status == 0
    assert await asyncio.wait_for(got.get(), 5) == 1
    agent.forward(udp(_CORRESPONDENT, _HOME, (1, 2), b"new"))
    assert await asyncio.wait_for(got.get(), 5) == 1
    assert (node.arrivals_at(old), node.arrivals_at(new)) == (1, 1)


async def test_one_bid_and_then_everything_is_deregistered(node: MobileNodeHost, agent: _Agent) -> None:
    await node.register(within=5)
    assert (await node.deregister(3, within=5)).status == 0
    record = agent.engine.record(_HOME)
    assert record is not None
    assert [binding.bid for binding in record.bindings] == [1, 2]
    assert not node.send(udp(_HOME, _CORRESPONDENT, (1, 2), b""), 3)
    assert (await node.deregister(None, within=5)).status == 0
    record = agent.engine.record(_HOME)
    assert record is None or record.bindings == ()


async def test_silence_is_reported(node: MobileNodeHost, agent: _Agent) -> None:
    agent.silent = True
    with pytest.raises(NoAnswerError, match="within"):
        await node.register(within=0.1)


async def test_nothing_to_ask_is_answered_at_once(node: MobileNodeHost, agent: _Agent) -> None:
    await node.register(within=5)
    assert (await node.register(within=5)).seconds == 0
    assert len(agent.updates) == 1


async def test_garbage_harms_nothing(node: MobileNodeHost, agent: _Agent) -> None:
    await node.register(within=5)
    care_of = node.uplinks[1].care_of
    stranger = Address(_CORRESPONDENT)
    for packet in (
        encapsulate(stranger, care_of, udp(_CORRESPONDENT, _HOME, (1, 2), b"not from the home agent")),
        encapsulate(_AGENT, care_of, udp(_CORRESPONDENT, stranger, (1, 2), b"for somebody else")),
        udp(_CORRESPONDENT, care_of, (1, 2), b"to the care-of address itself"),
    ):
        agent._out(packet)
    await asyncio.sleep(0.03)
    assert node.counters["bad"] == 2
    assert node.counters["other"] == 1


def _text(old: str, new: str) -> str:
    return (sample_topologies() / "three-access.yaml").read_text().replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("{bid: 1, priority: 1, address: 2001:db8:a1::100}", "{priority: 1}", "mn:wlan0 needs an address and a bid"),
        ("wifi:core", "wifi:backbone", None),
    ],
)
async def test_what_the_lab_cannot_build_is_named(old: str, new: str, reason: str | None) -> None:
    topology = parse_topology(_text(old, new))
    loop = asyncio.get_running_loop()
    if reason is None:
        assert "wifi" in Network(topology, loop).routers  # found by the switch at its other end
    else:
        with pytest.raises(NetworkError, match=reason):
            Network(topology, loop)


async def test_a_wire_is_found_by_either_end(network: Network) -> None:
    assert network.wire("mn", "sat0") is network.wire("satellite", "air")
    assert network.wire("mn", "sat0").spec.delay == pytest.approx(0.12)
    with pytest.raises(KeyError):
        network.wire("mn", "eth9")
