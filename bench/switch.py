"""The switch: packets a second that it encapsulates, decapsulates and routes, and what full tables cost."""

import random
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from time import process_time

from bench import namespace
from bench.bed import Numbers
from bench.registry import Result, Results, Settings, bench, rate
from controller.dataplane.entries import Entry, EntryKey, Op
from controller.dataplane.planner import node_entries
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.statics import switch_entries
from controller.mobility.address import Address
from controller.mobility.model import Binding, NodeRecord
from testbed.artefacts import artefacts
from testbed.bed import SWITCH
from testbed.p4rt import Messages
from testbed.packets import encapsulate, ethernet, udp
from testbed.softswitch import SoftSwitch, WirePort

CORRESPONDENT_PORT = 2
ACCESS_PORT = 3
PAYLOAD = bytes(100)
FLOWS = 2048
"""Frames that take turns, to nodes at random."""
_FEW = 4
"""Nodes where tables are nearly empty."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way through the switch."""

    frame: bytes
    way_in: int
    way_out: int
    length: int
    """Octets of what leaves."""


class Site:
    """A topology with mobile nodes on Wi-Fi, and frames for them."""

    def __init__(self) -> None:
        self.topology = load_topology(sample_topologies() / "three-access.yaml")
        care_of = self.topology.mobile_nodes["mn"].interfaces["wlan0"].address
        assert care_of is not None
        self.care_of = care_of
        self.home_address = self.topology.mobile_nodes["mn"].home_address
        self.home_agent = self.topology.home_networks[0].home_agent
        self.correspondent = self.topology.stations["cn"].addresses[0]

    @property
    def device_id(self) -> int:
        """The switch's."""
        return self.topology.switches[SWITCH].device_id

    def entries(self) -> list[Entry]:
        """What the switch holds for one node with one care-of address."""
        bindings = (Binding(1, self.care_of, 3600, 3600.0, 1),)
        record = NodeRecord(self.home_address, self.home_agent, 1, bindings)
        return [*switch_entries(self.topology, SWITCH), *node_entries(record, Numbers()).values()]

    def frame(self, port: int, packet: bytes) -> bytes:
        """A packet as it comes in by a port."""
        interface = next(i for i in self.topology.interfaces if i.node == SWITCH and i.port == port)
        peer = self.topology.interface(interface.peer)
        return ethernet(interface.mac.to_bytes(6), peer.mac.to_bytes(6), packet)

    def to_node(self, home_address: Address, port: int = 1) -> bytes:
        """A frame from the correspondent, from a UDP port, to a mobile node: 162 octets."""
        return self.frame(CORRESPONDENT_PORT, udp(self.correspondent, home_address, (port, 2), PAYLOAD))

    def cases(self) -> dict[str, Case]:
        """The ways through the switch by name."""
        towards = self.to_node(self.home_address)
        reverse = encapsulate(
            self.care_of, self.home_agent, udp(self.home_address, self.correspondent, (2, 1), PAYLOAD)
        )
        tunnelled = self.frame(ACCESS_PORT, reverse)
        plain = self.frame(CORRESPONDENT_PORT, udp(self.correspondent, self.care_of, (1, 2), PAYLOAD))
        return {
            "encap": Case(towards, CORRESPONDENT_PORT, ACCESS_PORT, len(towards) + 40),
            "decap": Case(tunnelled, ACCESS_PORT, CORRESPONDENT_PORT, len(tunnelled) - 40),
            "route": Case(plain, CORRESPONDENT_PORT, ACCESS_PORT, len(plain)),
        }


@bench("switch.encap_pps")
def encap_pps(settings: Settings) -> Results:
    """Towards a care-of address: in process without any I/O; and over veth pairs, where BMv2 can run the same program."""
    return _case(settings, "encap")


@bench("switch.decap_pps")
def decap_pps(settings: Settings) -> Results:
    """Out of a tunnel from a care-of address."""
    return _case(settings, "decap")


@bench("switch.route_pps")
def route_pps(settings: Settings) -> Results:
    """Through the switch without a tunnel."""
    return _case(settings, "route")


def _case(settings: Settings, name: str) -> Results:
    in_process = _in_process(settings, name)
    note = "from one port to the other without I/O"
    found = {f"switch.{name}_pps_in_process": Result(in_process, "packets/s", None, note=note)}
    missing = namespace.missing()
    if missing:
        note = f"in process, and no peer: {missing}"
        return {f"switch.{name}_pps": Result(in_process, "packets/s", None, note=note)} | found
    return {f"switch.{name}_pps": _over_veth(settings, name)} | found


def _device(site: Site, entries: Iterable[Entry]) -> SoftSwitch:
    p4info, program = artefacts()
    switch = SoftSwitch(site.device_id)
    switch.load(p4info, program)
    pipeline = switch.pipeline
    assert pipeline is not None
    messages = Messages(p4info, switch.device_id)
    for entry in entries:
        pipeline.write(messages.update(Op.INSERT, entry))
    return switch


def _in_process(settings: Settings, name: str) -> float:
    site = Site()
    case = site.cases()[name]
    switch = _device(site, site.entries())
    seen: Counter[int] = Counter()
    way_in = WirePort()
    switch.add_port(case.way_in, way_in)
    switch.add_port(case.way_out, WirePort(lambda out: seen.update((len(out),))))
    times = settings.amount(5_000)
    figures = [rate(lambda: way_in.receive(case.frame), times) for _ in range(settings.rounds)]
    if seen != {case.length: times * settings.rounds}:
        raise RuntimeError(f"{name}: not every packet left as it should: lengths and counts are {dict(seen)}")
    return median(figures)


# -- full tables -------------------------------------------------------------------------------------------------------


@bench("switch.table_scaling")
def table_scaling(settings: Settings) -> Results:
    """Encapsulation with tables of 100 000 entries beside tables of 12.

    Twice: with flows to all nodes at random, which a processor's caches do not hold when there are many nodes; and with as many flows to
    four nodes only, so that nothing differs but how full the tables are.
    """
    site = Site()
    nodes = settings.amount(33_334)
    nearly_empty, full = _filled(site, _FEW), _filled(site, nodes)
    # As many frames in each case: what differs is how many entries there are, and how many of them they meet.
    to_few, to_all = _flows(site, _FEW), _flows(site, nodes)
    cases = {"few": (nearly_empty, to_few), "many": (full, to_all), "same": (full, to_few)}
    figures: dict[str, list[float]] = {name: [] for name in cases}
    times = settings.amount(20_000)
    for _ in range(settings.rounds):
        for name, (switch, frames) in cases.items():
            figures[name].append(_spread(switch, frames, times))
    found = {name: median(values) for name, values in figures.items()}
    what = f"encapsulated in process, {3 * nodes} tunnels, {FLOWS} flows to"
    peer = f"{3 * _FEW} tunnels"
    return {
        "switch.table_scaling": Result(
            found["many"], "packets/s", peer, found["few"], f"{what} all {nodes} nodes at random"
        ),
        "switch.table_scaling_same_flows": Result(
            found["same"], "packets/s", peer, found["few"], f"{what} the same {_FEW} nodes in both"
        ),
    }


def _addresses(site: Site, nodes: int) -> list[Address]:
    return [Address(site.home_address[:-4] + number.to_bytes(4)) for number in range(0x10000, 0x10000 + nodes)]


def _flows(site: Site, nodes: int) -> list[bytes]:
    chosen = random.Random(5648).choices(_addresses(site, nodes), k=FLOWS)
    return [site.to_node(address, port) for port, address in enumerate(chosen, 1)]


def _filled(site: Site, nodes: int) -> SoftSwitch:
    numbers, of_nodes = Numbers(), dict[EntryKey, Entry]()
    for number, address in enumerate(_addresses(site, nodes)):
        # A host has two home addresses: there is room for 65 536 care-of addresses, and for twice as many tunnels.
        host = (number // 2).to_bytes(4)
        bindings = tuple(
            Binding(bid, Address(network + bytes(4) + host), 3600, 3600.0, 1)
            for bid, network in enumerate(_networks(site), 1)
        )
        record = NodeRecord(address, site.home_agent, 1, bindings)
        of_nodes |= node_entries(record, numbers)
    entries = [*switch_entries(site.topology, SWITCH), *of_nodes.values()]
    return _device(site, entries)


def _networks(site: Site) -> Iterator[bytes]:
    for name in ("wlan0", "wwan0", "sat0"):
        address = site.topology.mobile_nodes["mn"].interfaces[name].address
        assert address is not None
        yield address[:8]


def _spread(switch: SoftSwitch, frames: list[bytes], times: int) -> float:
    pipeline = switch.pipeline
    assert pipeline is not None
    process = pipeline.process
    began = process_time()  # others share the machine
    left = sum(len(tuple(process(frame, CORRESPONDENT_PORT))) for frame in islice(cycle(frames), times))
    took = process_time() - began
    if left != times:
        raise RuntimeError(f"only {left} of {times} packets left")
    return times / took


# -- over veth ---------------------------------------------------------------------------------------------------------


def _over_veth(settings: Settings, name: str) -> Result:
    """Measure in a network namespace of its own, the embedded switch and BMv2 in turns."""
    targets = ["embedded", "bmv2"] if shutil.which(namespace.BMV2) else ["embedded"]
    arguments = [name, str(settings.amount(5_000)), str(settings.rounds), *targets]
    figures: dict[str, list[float]] = namespace.run("bench.veth", arguments, within=300.0)
    value = median(figures["embedded"])
    if "bmv2" not in figures:
        return Result(value, "packets/s", None, note=f"over veth; no peer: {namespace.BMV2} is not on PATH")
    note = "over veth pairs, 100 octets of payload; BMv2 with its logger off; each with the window that suits it, nothing lost"
    return Result(value, "packets/s", f"BMv2 {namespace.BMV2}", median(figures["bmv2"]), note)
