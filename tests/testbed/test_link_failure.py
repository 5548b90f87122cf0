"""A link between two live switches fails: nobody's session ends, and traffic takes another way all the same."""

import asyncio
from pathlib import Path

import pytest

from controller.fabric.loader import load_topology, sample_topologies
from controller.mobility.address import parse_address
from testbed.lab import Lab
from testbed.packets import Datagram
from testbed.settings import ControllerSettings
from testbed.traffic import Flow, Sender

HOME = parse_address("2001:db8:0:1::100")
PATIENCE = 30
"""Seconds that a busy machine may take; how fast it is, a scenario tells (`scenarios/link-failure.yaml`)."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("end", ["a", "b", "both"])
async def test_traffic_leads_around_a_link_that_carries_nothing(tmp_path: Path, end: str) -> None:
    topology = load_topology(sample_topologies() / "dual-anchor.yaml")
    async with Lab(topology, tmp_path, ControllerSettings(extra={"hello_hold_s": 0.5})) as lab:
        node, (source,) = lab.network.mobile_nodes["mn"], topology.stations["cn"].addresses
        arrived: list[bytes] = []
        log = tmp_path / "controller.log"

        def note(datagram: Datagram, _bid: int) -> None:
            arrived.append(datagram.payload)

        node.on_datagram(note)
        assert (await node.register(within=20)).status == 0
        flow = Flow(1, "down", source, HOME, 4000, 5000, rate=200)
        sender = Sender(flow, lab.network.hosts["cn"].send, lab.clock)

        async def more(count: int = 40) -> None:
            """Wait until so many more packets have come."""
            await asyncio.sleep(0.1)
            wanted = len(arrived) + count
            async with asyncio.timeout(PATIENCE):
                while len(arrived) < wanted:  # noqa: ASYNC110  what is waited for announces nothing
                    await asyncio.sleep(0.02)

        async def said(words: str) -> None:
            """Wait until the controller says so."""
            async with asyncio.timeout(PATIENCE):
                while words not in log.read_text():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

        async def shown(*, up: bool) -> None:
            """Wait until REST shows the link so. Of the others a machine that is held up may lose one for a moment."""
            async with asyncio.timeout(PATIENCE):
                while (("t1:1", "a1:1") in await lab.rest.lost_links()) is up:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

        sender.start()
        await more()
        await shown(up=True)
        wire = lab.network.wire("t1", "1")
        if end == "both":
            wire.set_up(False)
        else:
            getattr(wire, end).connect(lambda _frame: None)
        await said("t1:1 to a1:1 carries nothing")
        await said("rerouted")
        await more()
        await shown(up=False)
        assert "is lost" not in log.read_text(), "every switch answers all the time"
        if end == "both":
            wire.set_up(True)
            await said("t1:1 to a1:1 carries frames again")
            await more()
            await shown(up=True)
        sender.stop()
