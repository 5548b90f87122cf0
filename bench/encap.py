"""The switch: packets a second that it encapsulates towards a care-of address."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from statistics import median

from bench.bed import Numbers
from bench.registry import Result, Results, Settings, bench, in_turns, rate
from controller.dataplane.entries import Entry, Op
from controller.dataplane.planner import node_entries
from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.paths import switch_entries
from controller.fabric.topology import Topology
from controller.mobility.model import Binding, NodeRecord
from testbed.artefacts import artefacts
from testbed.bed import SWITCH
from testbed.p4rt import Messages
from testbed.packets import ethernet, udp
from testbed.softswitch import SoftSwitch, WirePort

CORRESPONDENT_PORT = 2
ACCESS_PORT = 3
BMV2 = "simple_switch_grpc"


def sample() -> tuple[Topology, list[Entry], bytes]:
    """Return a topology, the entries for its mobile node on Wi-Fi, and a frame of 162 octets for that node."""
    topology = load_topology(sample_topologies() / "three-access.yaml")
    node = topology.mobile_nodes["mn"]
    care_of = node.interfaces["wlan0"].address
    correspondent = topology.stations["cn"].addresses[0]
    assert care_of is not None
    record = NodeRecord(
        node.home_address, topology.home_networks[0].home_agent, 1, (Binding(1, care_of, 3600, 3600.0, 1),)
    )
    entries = [*switch_entries(topology, SWITCH), *node_entries(record, Numbers()).values()]
    port = next(interface for interface in topology.interfaces if interface.port == CORRESPONDENT_PORT)
    peer = topology.interface(port.peer)
    packet = udp(correspondent, node.home_address, (1, 2), bytes(100))
    return topology, entries, ethernet(port.mac.to_bytes(6), peer.mac.to_bytes(6), packet)


@bench("switch.encap_pps")
def encap_pps(settings: Settings) -> Results:
    """In process without any I/O; and over veth pairs, where BMv2 can run the same program."""
    in_process = _in_process(settings)
    note = "from one port to the other without I/O"
    found = {"switch.encap_pps_in_process": Result(in_process, "packets/s", None, note=note)}
    missing = _missing()
    if missing:
        note = f"in process, and no peer: {missing}"
        return {"switch.encap_pps": Result(in_process, "packets/s", None, note=note)} | found
    return {"switch.encap_pps": _over_veth(settings)} | found


def _in_process(settings: Settings) -> float:
    topology, entries, frame = sample()
    p4info, program = artefacts()
    switch = SoftSwitch(topology.switches[SWITCH].device_id)
    switch.load(p4info, program)
    pipeline = switch.pipeline
    assert pipeline is not None
    messages = Messages(p4info, switch.device_id)
    for entry in entries:
        pipeline.write(messages.update(Op.INSERT, entry))
    seen: Counter[int] = Counter()
    way_in = WirePort()
    switch.add_port(CORRESPONDENT_PORT, way_in)
    switch.add_port(ACCESS_PORT, WirePort(lambda out: seen.update((len(out),))))
    times = settings.amount(5_000)
    figures = [rate(lambda: way_in.receive(frame), times) for _ in range(settings.rounds)]
    if seen != {len(frame) + 40: times * settings.rounds}:
        raise RuntimeError(f"not every packet left encapsulated: lengths and counts are {dict(seen)}")
    return median(figures)


def _over_veth(settings: Settings) -> Result:
    """Measure in a network namespace of its own, the embedded switch and BMv2 in turns."""
    packets = settings.amount(5_000)
    if shutil.which(BMV2) is None:
        value = median(_veth("embedded", packets) for _ in range(max(1, settings.rounds // 2)))
        return Result(value, "packets/s", None, note=f"over veth; no peer: {BMV2} is not on PATH")
    value, peer = in_turns(
        lambda: _veth("embedded", packets), lambda: _veth("bmv2", packets), max(1, settings.rounds // 2)
    )
    note = "over veth pairs, 162-octet frames; BMv2 with its logger off; each with the window that suits it"
    return Result(value, "packets/s", f"BMv2 {BMV2}", peer, note)


def _missing() -> str:
    """Say what a network namespace would need that is not there."""
    if sys.platform != "linux":
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root, for a network namespace with veth pairs"
    tools = [tool for tool in ("ip", "unshare", "mount") if shutil.which(tool) is None]
    return f"{' and '.join(tools)} not on PATH" if tools else ""


def _veth(target: str, packets: int) -> float:
    command = ["unshare", "--net", "--mount", sys.executable, "-m", "bench.veth", target, str(packets)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout)["packets_per_second"])
