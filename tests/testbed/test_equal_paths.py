"""Eight switches with equal paths: flows are spread over the spines, and when one is gone, its flows move and no others."""

import asyncio
from pathlib import Path

import pytest

from controller.fabric.loader import load_topology, sample_topologies
from controller.mobility.address import parse_address
from testbed.lab import Lab
from testbed.packets import Datagram, udp
from testbed.settings import ControllerSettings
from testbed.tables import Row, TableReader

HOME = parse_address("2001:db8:0:1::100")
LOST = "spine1"
FLOWS = range(5000, 5018)
BURST = 25
PATIENCE = 30
"""Seconds that a busy machine may take; how fast it is, a scenario tells (`scenarios/spine-failure.yaml`)."""


class Flows:
    """Flows from the correspondent to the node, and by which spines they go."""

    def __init__(self, lab: Lab) -> None:
        self._send = lab.network.hosts["cn"].send
        (self._source,) = lab.topology.stations["cn"].addresses
        self._uplinks = {
            (leaf, one.peer.node): lab.network.switch_ports[leaf, one.port].counters
            for leaf in ("leaf1", "leaf2", "leaf3")
            for one in lab.topology.interfaces_of(leaf)
            if one.peer.node.startswith("spine") and one.port is not None
        }
        self.arrived = 0
        lab.network.mobile_nodes["mn"].on_datagram(self._note)

    def _note(self, datagram: Datagram, _bid: int) -> None:
        self.arrived += datagram.destination_port in FLOWS

    async def path(self, port: int) -> dict[str, str]:
        """Send a burst of one flow, wait until it has come, and return which spine each leaf took for it."""
        before = {end: counters.sent for end, counters in self._uplinks.items()}
        wanted = self.arrived + BURST
        for _ in range(BURST):
            self._send(udp(self._source, HOME, (4000, port), b"flow"))
        async with asyncio.timeout(PATIENCE):
            while self.arrived < wanted:  # noqa: ASYNC110  what is waited for announces nothing
                await asyncio.sleep(0.01)
        # Hellos go there too, but not so many.
        return {
            leaf: spine for (leaf, spine), sent in before.items() if self._uplinks[leaf, spine].sent >= sent + BURST
        }

    async def paths(self) -> dict[int, dict[str, str]]:
        """Return the same for all flows."""
        return {port: await self.path(port) for port in FLOWS}


async def tables(lab: Lab) -> dict[tuple[str, str, object], Row]:
    """Return all entries of all switches but the one that is lost."""
    found: dict[tuple[str, str, object], Row] = {}
    for name in lab.topology.switches.keys() - {LOST}:
        async with TableReader(lab.servers[name], lab.topology.switches[name].device_id) as reader:
            found.update({(name, row.table, (row.key, row.priority)): row for row in await reader.rows()})
    return found


@pytest.mark.timeout(180)
async def test_flows_are_spread_and_those_of_a_lost_spine_move_alone(tmp_path: Path) -> None:
    topology = load_topology(sample_topologies() / "leaf-spine.yaml")
    async with Lab(topology, tmp_path, ControllerSettings(extra={"hello_hold_s": 5})) as lab:
        flows = Flows(lab)
        assert (await lab.network.mobile_nodes["mn"].register(within=20)).status == 0
        before, held = await flows.paths(), await tables(lab)
        assert {way["leaf3"] for way in before.values()} == {"spine1", "spine2", "spine3"}
        # In the tunnel too, from whichever anchor.
        assert {spine for way in before.values() for leaf, spine in way.items() if leaf != "leaf3"} == {
            "spine1",
            "spine2",
            "spine3",
        }
        assert await flows.paths() == before, "a flow stays on its path"

        await lab.switches[LOST].stop()
        log = tmp_path / "controller.log"
        async with asyncio.timeout(PATIENCE):
            while "rerouted: " not in log.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        after, now = await flows.paths(), await tables(lab)
        for port, way in before.items():
            assert LOST not in after[port].values()
            if way["leaf3"] != LOST:
                assert after[port]["leaf3"] == way["leaf3"]
            # The spine also chooses the anchor: of flows whose spine at leaf3 stays, all of it stays but the lost one.
            if LOST not in way.values():
                assert after[port] == way
        changed = {key for key in held.keys() | now.keys() if held.get(key) != now.get(key)}
        assert {table for _, table, _ in changed} == {"next_hops"}
        assert held.keys() == now.keys(), "entries are modified, none comes or goes"
