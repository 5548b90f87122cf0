"""The lab as a whole: wires, stations, the embedded switch and the real controller as a process of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv6Address
from pathlib import Path

import httpx
import pytest
from google.protobuf import text_format
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.packet import Raw

from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.topology import Topology
from controller.mobility.address import format_address, parse_address
from narrow_program import narrow_info, narrow_json
from testbed.demo.plan import Plan
from testbed.lab import Lab
from testbed.network import NetworkError
from testbed.process import ControllerError, ControllerProcess
from testbed.rest import RestError
from testbed.settings import ControllerSettings, free_port
from testbed.tables import BINDING_TABLES
from testbed.traffic import Flow, Sender, Sink, measure

_HOME = parse_address("2001:db8:0:1::100")


@pytest.fixture(scope="session")
def topology() -> Topology:
    return load_topology(sample_topologies() / "three-access.yaml")


@pytest.fixture
async def lab(topology: Topology, tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab(topology, tmp_path, ControllerSettings(grace_period=0.2), tmp_path / "x.pcap") as running:
        yield running


@pytest.mark.timeout(60)
async def test_register_hand_over_restart_deregister_without_loss(lab: Lab) -> None:
    plan = Plan(lab)
    answer = await plan.node.register(within=10)
    assert (answer.status, answer.bids) == (0, (1, 2, 3))
    assert await lab.rest.put_policy(_HOME, "video", plan.lanes[2].policy) == "active"
    began = lab.clock.time()
    plan.lanes[2].down.start()
    plan.lanes[2].up.start()
    await asyncio.sleep(0.2)
    new = parse_address("2001:db8:a2::200")
    assert (await plan.node.move(2, new, within=10)).status == 0
    assert (await lab.rest.bindings(_HOME))[2].care_of == format_address(new)
    await asyncio.sleep(0.3)

    before = set(await lab.rows(*BINDING_TABLES))
    await lab.controller.kill()
    await lab.controller.start()
    await lab.controller.wait_ready()
    assert set(await lab.rows(*BINDING_TABLES)) == before
    assert await lab.rest.policies(_HOME) == {"video": "active"}

    plan.stop()
    ended = lab.clock.time()
    await asyncio.sleep(0.3)
    down, up = plan.down(2, began, ended), plan.up(2, began, ended)
    assert (down.lost, up.lost, down.duplicates) == (0, 0, 0)
    assert down.paths == {2: down.sent}
    assert (await plan.node.deregister(None, within=10)).status == 0
    for _ in range(50):
        if not any((await lab.reader.count()).values()):
            break
        await asyncio.sleep(0.05)
    assert not any((await lab.reader.count()).values())
    assert await lab.rest.bindings(_HOME) == {}
    assert lab.capture is not None
    assert (lab.capture.wrong_checksums, lab.capture.mobility) == (0, 3 + 3)


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


@pytest.mark.timeout(90)
async def test_a_node_that_leaves_the_configuration_is_told_and_the_others_stay(lab: Lab, tmp_path: Path) -> None:
    node, router = lab.network.mobile_nodes["mn"], lab.network.mobile_nodes["mr"]
    assert (await node.register(within=10)).status == 0
    assert (await router.register(within=10)).status == 0
    log, good = tmp_path / "controller.log", lab.config.read_text()

    lab.config.write_text(good.replace("[controller]", "[controler]"))
    lab.controller.reload()
    await until(lambda: "the configuration stays as it is" in log.read_text())
    assert "controler: unknown key" in log.read_text()
    assert len(await lab.rest.bindings(_HOME)) == 3

    sections = good.split("[[node]]")
    lab.config.write_text("[[node]]".join((sections[0], *sections[2:])))
    lab.controller.reload()
    await until(lambda: "nodes 0 added, 0 changed, 1 removed; 3 bindings are revoked" in log.read_text())
    # The node hears of it, acknowledges, and asks no more.
    await until(lambda: node.engine.bindings == ())
    await until(lambda: "revoked 2001:db8:0:1::100: bindings [1, 2, 3], answer 0" in log.read_text())
    assert await lab.rest.bindings(router.home_address)
    rows = await lab.rows("home_addresses")
    assert [row.key for row in rows] == [(int.from_bytes(router.home_address),)]
    assert (await node.register(within=10)).status == 133

    lab.config.write_text(good)
    lab.controller.reload()
    await until(lambda: "nodes 1 added" in log.read_text())
    assert (await node.register(within=10)).status == 0


@pytest.mark.timeout(90)
async def test_a_node_that_left_while_the_controller_was_down_is_told_too(lab: Lab, tmp_path: Path) -> None:
    node = lab.network.mobile_nodes["mn"]
    assert (await node.register(within=10)).status == 0
    await lab.controller.kill()
    sections = lab.config.read_text().split("[[node]]")
    lab.config.write_text("[[node]]".join((sections[0], *sections[2:])))
    await lab.controller.start()
    await lab.controller.wait_ready()
    await until(lambda: node.engine.bindings == ())
    await until(lambda: "revoked 2001:db8:0:1::100" in (tmp_path / "controller.log").read_text())
    assert not await lab.rows("home_addresses")


@pytest.mark.timeout(60)
async def test_requests_that_the_controller_refuses_are_told(lab: Lab) -> None:
    with pytest.raises(RestError, match="422"):
        await lab.rest.put_policy(_HOME, "x", {"bid": 0, "priority": 1})
    with pytest.raises(ControllerError, match="already runs"):
        await lab.controller.start()
    assert lab.controller.pid is not None
    assert await lab.controller.stop() == 0


@pytest.mark.timeout(60)
async def test_a_controller_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("nonsense = 1\n")
    controller = ControllerProcess(tmp_path / "bad.toml", f"http://127.0.0.1:{free_port()}", tmp_path / "log")
    await controller.start()
    with pytest.raises(ControllerError, match="nonsense"):
        await controller.wait_ready()
    assert await controller.stop() == 2


async def test_a_topology_without_an_anchor_is_refused(topology: Topology, tmp_path: Path) -> None:
    document = topology.model_dump(mode="json", exclude_none=True)
    document["nodes"]["s1"]["role"] = "transit"
    with pytest.raises(NetworkError, match="anchor"):
        Lab(Topology.model_validate(document), tmp_path)


async def ask(lab: Lab, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {lab.token}"}
    async with httpx.AsyncClient(base_url=lab.controller.url, headers=headers, timeout=30, trust_env=False) as client:
        return await client.request(method, path, json=body)


@pytest.mark.timeout(120)
async def test_an_anchor_is_drained_stopped_and_put_back_without_loss(tmp_path: Path) -> None:
    two = load_topology(sample_topologies() / "dual-anchor.yaml")
    # Without hellos: here every packet that a switch gets is the flow's.
    async with Lab(two, tmp_path, ControllerSettings(grace_period=0.2, extra={"hello_interval_s": 0})) as lab:
        node, correspondent, sink = lab.network.mobile_nodes["mn"], lab.network.hosts["cn"], Sink()
        node.on_datagram(lambda datagram, bid: sink.take(datagram, lab.clock.time(), bid))
        flow = Flow(1, "to the node", min(correspondent.addresses), node.home_address, 40_000, 5000, rate=100.0)
        sender = Sender(flow, correspondent.send, lab.clock)

        def through(switch: str) -> int:
            return sum(port.packets_in for port in lab.switches[switch].counters.values())

        async def is_state(switch: str, state: str) -> bool:
            return bool((await ask(lab, "GET", f"/v1/switches/{switch}")).json()["state"] == state)

        assert (await node.register(within=10)).status == 0
        began = lab.clock.time()
        sender.start()
        await until(lambda: through("a1") > 20)
        drained = await ask(lab, "PUT", "/v1/switches/a1/drain")
        assert (drained.status_code, drained.json()["drained"]) == (200, True)
        refused = await ask(lab, "PUT", "/v1/switches/a2/drain")
        assert (refused.status_code, refused.json()["title"]) == (409, "The request contradicts something that exists")
        # What was on its way when the answer came has arrived by now.
        await asyncio.sleep(0.2)
        before, other = through("a1"), through("a2")
        await until(lambda: through("a2") > other + 20)
        assert through("a1") == before, "no packet comes by a drained switch"

        await lab.switches["a1"].stop()
        await until(lambda: is_state("a1", "connecting"))
        assert (await node.move(2, parse_address("2001:db8:a2::200"), within=10)).status == 0
        await lab.controller.kill()
        await lab.controller.start()
        await until(lambda: answers(lab))
        await until(lambda: is_state("a2", "ready"))
        shown = (await ask(lab, "GET", "/v1/switches/a1")).json()
        assert (shown["state"], shown["drained"]) == ("connecting", True), "it is durable"
        await until(lambda: through("a2") > other + 60)
        sender.stop()
        ended = lab.clock.time()
        await asyncio.sleep(0.3)
        found = measure(sender, sink.of(flow), began, ended)
        assert (found.lost, found.duplicates) == (0, 0)
        assert (await ask(lab, "DELETE", "/v1/switches/a1/drain")).status_code == 204
        assert (await ask(lab, "DELETE", "/v1/switches/a1/drain")).status_code == 404


async def answers(lab: Lab) -> bool:
    try:
        return (await ask(lab, "GET", "/health")).is_success
    except httpx.TransportError:
        return False


@pytest.mark.timeout(90)
async def test_a_preferred_path_takes_what_nothing_names_also_after_a_restart(lab: Lab) -> None:
    path = "/v1/nodes/2001:db8:0:1::100"

    async def default() -> int:
        (row,) = await lab.rows("default_binding")
        return row.params[0]

    assert (await lab.network.mobile_nodes["mn"].register(within=10)).status == 0
    assert await default() == 1, "the node's own order"
    previewed = await ask(lab, "PUT", f"{path}/path-preference?validate=only", {"bids": [9, 3, 2]})
    assert [(one["op"], one["table"], one["params"]) for one in previewed.json()["updates"]] == [
        ("modify", "default_binding", {"bid": 3})
    ]
    assert await default() == 1
    put = await ask(lab, "PUT", f"{path}/path-preference", {"bids": [9, 3, 2]})
    assert (put.status_code, put.json()["preferred_bid"]) == (201, 3)
    assert await default() == 3
    assert (await ask(lab, "GET", path)).json()["preferred_bid"] == 3

    fallback = {"priority": 65535, "bid": 2, "fallback": True, "selector": {}}
    assert (await ask(lab, "PUT", f"{path}/policies/other", fallback)).status_code == 201
    assert await default() == 2, "what is said by a policy comes first, whatever its priority"
    assert [one["name"] for one in (await ask(lab, "GET", f"{path}/policies")).json()["items"]] == ["other"]
    assert (await ask(lab, "DELETE", f"{path}/policies/other")).status_code == 204

    before = set(await lab.rows(*BINDING_TABLES))
    await lab.controller.kill()
    await lab.controller.start()
    await lab.controller.wait_ready()
    assert set(await lab.rows(*BINDING_TABLES)) == before
    assert (await ask(lab, "GET", f"{path}/path-preference")).json()["bids"] == [9, 3, 2]

    assert (await ask(lab, "DELETE", f"{path}/bindings/3")).status_code == 204
    assert await default() == 2, "the next of the order"
    assert (await ask(lab, "DELETE", f"{path}/path-preference")).status_code == 204
    assert await default() == 1


@pytest.mark.timeout(90)
async def test_a_router_in_a_tunnel_makes_it_narrower(lab: Lab) -> None:
    """RFC 2473 section 7.1: the switch goes by what the home agent has learnt, and the source hears of it."""
    node, correspondent = lab.network.mobile_nodes["mn"], lab.network.hosts["cn"]
    assert (await node.register(within=10)).status == 0
    (network,) = lab.topology.home_networks
    source, home_agent = (format_address(one) for one in (min(correspondent.addresses), network.home_agent))
    inner = IPv6(src=source, dst=format_address(_HOME)) / UDP(sport=1, dport=9) / Raw(bytes(1352))
    assert len(inner) == 1400

    async def mtus() -> dict[object, int]:
        return {row.key[1]: row.params[-1] for row in await lab.rows("tunnels")}

    assert set((await mtus()).values()) == {1460}
    care_of = (await lab.rest.bindings(_HOME))[1].care_of
    outer = bytes(IPv6(src=home_agent, dst=care_of) / inner)[:1232]
    error = IPv6(src=source, dst=home_agent) / ICMPv6PacketTooBig(mtu=1400) / Raw(outer)

    def reported() -> list[int]:
        return [int.from_bytes(packet[44:48]) for packet in correspondent.icmp if packet[40] == 2]

    correspondent.send(bytes(error))
    await until(_are(mtus, {1: 1360, 2: 1460, 3: 1460}))
    await until(lambda: reported() == [1360])
    correspondent.send(bytes(inner))
    await until(lambda: reported() == [1360, 1360])
    # What is known of a path is forgotten with it.
    assert (await node.move(1, parse_address("2001:db8:a1::200"), within=10)).status == 0
    await until(_are(mtus, {1: 1460, 2: 1460, 3: 1460}))


def _are(read: Callable[[], Awaitable[dict[object, int]]], wanted: dict[object, int]) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return await read() == wanted

    return condition


@pytest.mark.timeout(120)
async def test_a_switch_with_a_narrower_program_of_its_own(lab: Lab, tmp_path: Path) -> None:
    """The controller goes by the P4Info that its configuration names: ports under masks, and SPIs in their place."""
    plan = Plan(lab)
    assert (await plan.node.register(within=10)).status == 0
    wide = {
        "priority": 9,
        "bid": 3,
        "selector": {"protocol": 17, "source_ports": "1-65534", "destination_ports": "1-9"},
    }
    assert await lab.rest.put_policy(_HOME, "wide", wide) == "active"
    await lab.controller.kill()

    (tmp_path / "narrow.p4info.txtpb").write_text(text_format.MessageToString(narrow_info()))
    (tmp_path / "narrow.json").write_bytes(narrow_json())
    section = '\n[[switch]]\nname = "s1"\np4info = "narrow.p4info.txtpb"\npipeline = "narrow.json"\n'
    lab.config.write_text(lab.config.read_text() + section)
    await lab.controller.start()
    await lab.controller.wait_ready()
    log = (tmp_path / "controller.log").read_text()
    assert "policy wide of 2001:db8:0:1::100 is not in force: selector.source_ports" in log

    lane = plan.lanes[2]
    port = lane.down.flow.destination_port
    policy = {"priority": 5, "bid": 2, "selector": {"protocol": 17, "destination_ports": f"{port}-{port + 2}"}}
    refused = await ask(lab, "PUT", "/v1/nodes/2001:db8:0:1::100/policies/video", policy)
    assert (refused.status_code, "120 keys in a switch" in refused.text) == (422, True), refused.text
    assert (await ask(lab, "DELETE", "/v1/nodes/2001:db8:0:1::100/policies/wide")).status_code == 204
    assert await lab.rest.put_policy(_HOME, "video", policy) == "active"
    began = lab.clock.time()
    lane.down.start()
    await asyncio.sleep(0.5)
    plan.stop()
    ended = lab.clock.time()
    await asyncio.sleep(0.3)
    down = plan.down(2, began, ended)
    assert (down.lost, down.paths) == (0, {2: down.sent})


async def test_an_ipv4_home_address_is_given_changed_and_taken_while_its_node_is_registered(
    lab: Lab, tmp_path: Path
) -> None:
    path = "/v1/nodes/2001:db8:0:1::100/provision"
    node = lab.network.mobile_nodes["mn"]

    async def addresses() -> set[str]:
        """The home addresses of the node in the switch."""
        rows = await lab.rows("home_addresses")
        return {str(IPv6Address(row.key[0]).ipv4_mapped or IPv6Address(row.key[0])) for row in rows}

    async def have(*wanted: str) -> None:
        async def they_do() -> bool:
            return await addresses() == {"2001:db8:0:1::100", *wanted}

        await until(they_do)

    assert (await node.register(within=10)).status == 0
    good = lab.config.read_text()
    head, mine, *others = good.split("[[node]]")
    lab.config.write_text("[[node]]".join((head, f'{mine}\nhome_ipv4 = "192.0.2.1"\n', *others)))
    assert (await ask(lab, "POST", "/v1/reload")).json()["changed"] == 1
    await have("192.0.2.1")
    assert (await ask(lab, "PUT", path, {})).status_code == 409, "the configuration file has it"
    taken = await ask(lab, "PUT", "/v1/nodes/2001:db8:0:1::900/provision", {"home_ipv4": "192.0.2.1"})
    assert (taken.status_code, "is that of 2001:db8:0:1::100" in taken.json()["detail"]) == (409, True)

    lab.config.write_text("[[node]]".join((head, *others)))
    assert (await ask(lab, "POST", "/v1/reload")).json()["removed"] == 1
    await until(lambda: node.engine.bindings == ())
    assert (await ask(lab, "PUT", path, {"home_ipv4": "192.0.2.2"})).status_code == 201
    assert (await node.register(within=10)).status == 0
    assert await addresses() == {"2001:db8:0:1::100", "192.0.2.2"}
    put = await ask(lab, "PUT", path, {"home_ipv4": "192.0.2.3"})
    assert (put.status_code, put.json()["home_ipv4"]) == (200, "192.0.2.3")
    assert await addresses() == {"2001:db8:0:1::100", "192.0.2.3"}, "in force when the answer comes"

    async def grace_is_over() -> bool:
        return len(await lab.rows("home_sources")) == 2

    await until(grace_is_over)
    before = set(await lab.rows(*BINDING_TABLES))
    await lab.controller.kill()
    await lab.controller.start()
    await lab.controller.wait_ready()
    assert set(await lab.rows(*BINDING_TABLES)) == before
    assert (await ask(lab, "GET", path)).json()["home_ipv4"] == "192.0.2.3"
    assert (await ask(lab, "PUT", path, {})).json()["home_ipv4"] is None
    assert await addresses() == {"2001:db8:0:1::100"}


@pytest.mark.timeout(90)
async def test_a_router_on_the_home_link_reaches_a_node_that_is_away_and_the_reverse(tmp_path: Path) -> None:
    async with Lab(load_topology(sample_topologies() / "campus.yaml"), tmp_path) as lab:
        node, sinks = lab.network.mobile_nodes["student"], {name: Sink() for name in ("student", "archive", "home")}
        node.on_datagram(lambda datagram, bid: sinks["student"].take(datagram, lab.clock.time(), bid))
        lab.network.hosts["archive"].on_datagram(lambda one: sinks["archive"].take(one, lab.clock.time()))
        lab.network.hosts["home"].on_datagram(lambda one: sinks["home"].take(one, lab.clock.time()))
        addresses = {name: min(lab.network.hosts[name].addresses) for name in ("archive", "home", "cn")}
        outputs = {name: lab.network.hosts[name].send for name in addresses}
        pairs = [("archive", node.home_address), ("archive", addresses["home"]), ("home", addresses["archive"])]
        pairs += [("home", node.home_address), ("cn", addresses["archive"])]
        assert (await node.register(within=10)).status == 0
        flows = [Flow(number, "", addresses[name], to, 40_000, 5000) for number, (name, to) in enumerate(pairs)]
        for flow, (name, _) in zip(flows, pairs, strict=True):
            Sender(flow, outputs[name], lab.clock).send_one()
        sent: list[bool] = []
        back = Flow(9, "", node.home_address, addresses["archive"], 40_000, 5000)
        Sender(back, lambda packet: sent.append(node.send(packet, 1)), lab.clock).send_one()
        assert sent == [True]
        wanted = {"student": {0, 3}, "home": {1}, "archive": {2, 4, 9}}
        await until(lambda: {name: set(sink.arrivals) for name, sink in sinks.items()} == wanted)
