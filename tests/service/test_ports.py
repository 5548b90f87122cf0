"""Ports that switches say are down: the links that end there are led around, in the module and in a whole controller."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.paths import Outage
from controller.service import sessions
from controller.service.ports import PortKeeper
from controller.southbound.targets import Target, target
from fake_gnmi import FakeGnmi
from fault_world import FaultWorld
from testbed.softswitch.server import P4RuntimeService, make_server

TOPOLOGY = load_topology(sample_topologies() / "dual-anchor.yaml")


def link_at(switch: str, port: int) -> int:
    (position,) = (
        position
        for position, link in enumerate(TOPOLOGY.links)
        if (switch, str(port)) in {(end.node, end.interface) for end in (link.a, link.b)}
    )
    return position


class Heard:
    """A keeper and what it tells."""

    def __init__(self) -> None:
        self.lost: list[frozenset[int]] = []
        self.keeper = PortKeeper(TOPOLOGY, self.lost.append)


def test_a_port_that_goes_down_and_comes_up() -> None:
    heard = Heard()
    heard.keeper.heard("t1", {1: True, 2: True})
    assert heard.lost == []
    heard.keeper.heard("t1", {1: False, 2: True})
    heard.keeper.heard("t1", {1: True, 2: True})
    assert heard.lost == [{link_at("t1", 1)}, frozenset()]


def test_a_link_is_lost_while_either_end_is_down() -> None:
    position = link_at("t1", 1)
    link = TOPOLOGY.links[position]
    heard = Heard()
    for end in (link.a, link.b):
        heard.keeper.heard(end.node, {int(end.interface): False})
    heard.keeper.heard(link.a.node, {int(link.a.interface): True})
    assert heard.lost == [{position}]
    heard.keeper.heard(link.b.node, {})
    assert heard.lost == [{position}, frozenset()], "what is not known to be down is not lost"


def test_ports_without_a_link_and_unknown_switches_are_of_no_interest() -> None:
    heard = Heard()
    heard.keeper.heard("t1", {99: False, 2**32 - 1: False})
    heard.keeper.heard("nobody", {1: False})
    assert heard.lost == []


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  what is waited for announces nothing
            await asyncio.sleep(0.01)


async def test_a_controller_leads_around_a_port_that_its_switch_says_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded switch, with a gNMI server of our own beside its P4Runtime, at one address as in Stratum."""
    world = FaultWorld(tmp_path, 1)
    port = world.site.access_port
    server = FakeGnmi({f"{number}/0": (number, "UP") for number in range(1, 5)})

    def with_gnmi(service: P4RuntimeService) -> Any:
        made = make_server(service)
        server.add_to(made)
        return made

    def telling(name: str) -> Target:
        return replace(target(name), gnmi=True)

    monkeypatch.setattr("testbed.softswitch.switch.make_server", with_gnmi)
    monkeypatch.setattr(sessions, "target", telling)
    async with world:
        rerouter = world.service._network.rerouter
        await until(lambda: bool(server.subscribed) and not rerouter.outage.links)
        server.change(f"{port}/0", "DOWN")
        positions = {
            position
            for position, link in enumerate(world.topology.links)
            if ("s1", str(port)) in {(end.node, end.interface) for end in (link.a, link.b)}
        }
        assert positions
        await until(lambda: rerouter.outage == Outage(rerouter.outage.nodes, frozenset(positions)))
        shown = world.service._control.topology(()).links
        assert {position for position, link in enumerate(shown) if not link.up} >= positions
        server.change(f"{port}/0", "UP")
        await until(lambda: not rerouter.outage.links)
