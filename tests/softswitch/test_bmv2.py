"""The same program, the same entries and the same packets on BMv2: what leaves must be the same."""

import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc

import rig
from softswitch_kit import DELETE, INSERT, MODIFY, Bench, Selectors, config, p4info

pytestmark = [pytest.mark.bmv2, pytest.mark.root]

PACKETS = 150


class Reference:
    """simple_switch_grpc with one of the test programs."""

    def __init__(self, folder: Path) -> None:
        self.target = rig.Bmv2Target(folder)
        self.channel = grpc.insecure_channel(self.target.address)
        grpc.channel_ready_future(self.channel).result(20)
        self.found: list[tuple[int, bytes]] = []
        """What left."""
        self.stub = p4r_grpc.P4RuntimeStub(self.channel)

    def load(self, name: str) -> None:
        request = p4r.SetForwardingPipelineConfigRequest(device_id=1)
        request.action = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
        request.config.p4info.CopyFrom(p4info(name))
        request.config.p4_device_config = config(name)
        self.stub.SetForwardingPipelineConfig(request, timeout=10)
        self.target.received()
        self.found.clear()

    def write(self, updates: list[p4r.Update]) -> None:
        self.stub.Write(p4r.WriteRequest(device_id=1, updates=updates), timeout=10)

    def run(self, packet: bytes, expected: int) -> None:
        """Send a packet; wait for as many as should leave, because BMv2's queues are short and drop what is sent too fast."""
        before = len(self.found)
        self.target.send(1, packet)
        deadline = time.monotonic() + 2
        while len(self.found) < before + expected and time.monotonic() < deadline:
            time.sleep(0.0005)
            self.found += self.target.received()

    def close(self) -> None:
        self.channel.close()
        self.target.close()


def by_port(frames: list[tuple[int, bytes]]) -> dict[int, list[bytes]]:
    ports: dict[int, list[bytes]] = {}
    for port, frame in frames:
        ports.setdefault(port, []).append(frame)
    return {port: sorted(frames) for port, frames in ports.items()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    missing = rig.bmv2_missing()
    if missing is not None:
        pytest.skip(missing)
    reference = Reference(tmp_path_factory.mktemp("bmv2"))
    yield reference
    reference.close()


def compare(reference: Reference, name: str, updates: list[p4r.Update], packets: list[bytes]) -> None:
    bench = Bench(name)
    reference.load(name)
    for update in updates:
        bench.pipeline.write(update)
    if updates:
        reference.write(updates)
    ours: list[tuple[int, bytes]] = []
    for packet in packets:
        outputs = bench.run(packet)
        ours += outputs
        reference.run(packet, len(outputs))
    time.sleep(0.05)  # for what should not have left
    reference.found += reference.target.received()
    assert ours
    assert by_port(ours) == by_port(reference.found)


def test_arithmetic(reference: Reference) -> None:
    dice = random.Random(1)
    edges = [0, 1, 7, 8, 127, 128, 254, 255]
    packets = []
    for _ in range(PACKETS):
        operands = [dice.choice(edges) if dice.random() < 0.6 else dice.randrange(256) for _ in range(4)]
        packets.append(bytes(operands) + dice.randbytes(18 + dice.randrange(10)))
    compare(reference, "arithmetic", [], packets)


def test_parsing(reference: Reference) -> None:
    dice = random.Random(2)
    packets = []
    for _ in range(PACKETS):
        version = 6 if dice.random() < 0.9 else dice.randrange(16)
        command = dice.choice([0, 1, 2, 3, 4, 7, 9, 0x80, 0xBF, dice.randrange(256)])
        start = struct.pack(">BBH", version << 4 | dice.choice([1, 1, 2, 2, 3, 7, 9]), command, 0)
        body = bytes(dice.choice([0, 2, 4, 1, 3, 0xAB, 0xCD]) for _ in range(4))
        packets.append(start + body + dice.randbytes(8 + dice.randrange(8)))
    compare(reference, "parsing", [], packets)


def entries(bench: Bench) -> list[p4r.Update]:
    entry = bench.names.entry
    found = [
        entry("exact_table", {"address": 1, "tag": 1}, "counted_result", 11),
        entry("exact_table", {"address": 2, "tag": 1}, "counted_result", 12),
        entry("lpm_table", {"address": ("lpm", 0, 28)}, "set_result", 21),
        entry("lpm_table", {"address": ("lpm", 4, 30)}, "set_result", 22),
        entry("lpm_table", {"address": ("lpm", 5, 32)}, "set_result", 23),
        entry("ternary_table", {"address": ("ternary", 1, 1), "tag": 1}, "metered_result", 31, priority=5),
        entry("ternary_table", {"address": ("ternary", 2, 2), "tag": 1}, "metered_result", 32, priority=6),
        entry("range_table", {"port": ("range", 2, 9)}, "set_result", 41, priority=1),
        entry("range_table", {"port": ("range", 4, 5)}, "forward", 3, 42, priority=2),
        entry("range_table", {"port": ("range", 6, 6), "address": ("ternary", 1, 1)}, "deny", priority=3),
        entry("optional_table", {"port": 3}, "set_result", 51, priority=1),
        entry("optional_table", {"tag": 3}, "set_result", 52, priority=2),
    ]
    return [p4r.Update(type=p4r.Update.INSERT, entity=entity) for entity in found]


def test_tables(reference: Reference) -> None:
    dice = random.Random(3)
    packets = []
    for _ in range(PACKETS * 2):
        what = dice.choice([1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 14, 15, 99])
        tag = dice.choice([0x10, 0x12, 0x22, 0x21]) if what == 6 else dice.randrange(8)
        packets.append(struct.pack(">BIHBBI", what, dice.randrange(8), dice.randrange(8), tag, 0, 0) + b"pay")
    compare(reference, "tables", entries(Bench("tables")), packets)


def replication() -> list[p4r.Update]:
    group = p4r.Update(type=p4r.Update.INSERT)
    entry = group.entity.packet_replication_engine_entry.multicast_group_entry
    entry.multicast_group_id = 9
    for port, instance in ((3, 1), (4, 2), (4, 3)):
        entry.replicas.add(egress_port=port, instance=instance)
    session = p4r.Update(type=p4r.Update.INSERT)
    clone = session.entity.packet_replication_engine_entry.clone_session_entry
    clone.session_id = 5
    clone.replicas.add(egress_port=5, instance=1)
    return [group, session]


def test_copies(reference: Reference) -> None:
    orders = [(0, 1), (1, 9), (1, 8), (2, 1), (3, 0), (4, 3), (4, 0), (5, 0), (7, 0)]
    packets = [bytes([what, count, 0, 0, 0, number]) + bytes(10) for number, (what, count) in enumerate(orders)]
    compare(reference, "copies", replication(), packets)


def members_and_groups() -> list[p4r.Update]:
    """Weighted groups, made, changed and made again, so that handles are used again."""
    bench = Selectors()
    updates: list[p4r.Update] = []
    bench.write = lambda kind, entity: updates.append(p4r.Update(type=kind, entity=entity))  # type: ignore[method-assign]
    for member in (5, 1, 3, 8):
        bench.member(INSERT, bench.selector, member, "set_result", 100 + member)
    bench.member(DELETE, bench.selector, 1, None)
    bench.group(INSERT, 1, {8: 3, 3: 1, 5: 2})
    bench.member(INSERT, bench.selector, 4, "forward", 5, 104)
    bench.group(INSERT, 2, {4: 2, 8: 5})
    bench.group(MODIFY, 1, {4: 1, 5: 4})
    bench.group(INSERT, 3, {8: 1, 4: 3, 3: 2})
    for table, priority in (("balanced", 0), ("masked", 1)):
        for group in (1, 2, 3):
            bench.refer(INSERT, table, group=group, tag=group, priority=priority)
        bench.refer(INSERT, table, member=3, tag=9, priority=priority)
    bench.member(INSERT, bench.profile, 2, "forward", 3, 1)
    bench.refer(INSERT, "plain", member=2, tag=1)
    return updates


def action_sets() -> list[p4r.Update]:
    bench = Selectors()
    updates: list[p4r.Update] = []
    bench.write = lambda kind, entity: updates.append(p4r.Update(type=kind, entity=entity))  # type: ignore[method-assign]
    first, second = bench.action("set_result", 1), bench.action("forward", 4, 2)
    bench.one_shot(INSERT, "balanced", (first, 1), (second, 2), (first, 3), tag=1)
    bench.one_shot(INSERT, "balanced", (first, 4), (second, 3), tag=2)
    bench.one_shot(MODIFY, "balanced", (second, 5), (first, 2), tag=1)
    return updates


@pytest.mark.parametrize("updates", [members_and_groups(), action_sets()], ids=["members", "action sets"])
def test_selectors(reference: Reference, updates: list[p4r.Update]) -> None:
    packets = [
        struct.pack(">BBIHBB", what, tag, source, 7 * source % 65536, 0, 0) + b"payload"
        for what in (1, 2, 3)
        for tag in (1, 2, 3, 9, 11)
        for source in range(0, 400, 17)
    ]
    compare(reference, "selectors", updates, packets)


def test_variable(reference: Reference) -> None:
    dice = random.Random(4)
    packets = []
    for _ in range(PACKETS):
        kind = dice.choice([1, 1, 2, 2, 2, 3, 9, 10])
        start = bytes([kind, dice.choice([0x12, 0x34, 0x21])])
        if kind == 1:
            length = dice.choice([0, 1, 4, 20, 21, 40])
            body = bytes([dice.choice([1, 8, 9]), length]) + dice.randbytes(min(length, 30) + 6)
        else:
            pieces = [(dice.choice([1, 6, 7, 7]), dice.choice([0, 1, 8, 8])) for _ in range(dice.randrange(5))]
            body = b"".join(bytes([tag, octets]) + dice.randbytes(octets) for tag, octets in pieces) + b"\0"
        packets.append((start + body).ljust(26, b"\0") + dice.randbytes(dice.randrange(4)))
    compare(reference, "variable", [], packets)  # BMv2 cannot write value sets by P4Runtime


def test_hashes(reference: Reference) -> None:
    dice = random.Random(5)
    packets = [
        bytes([what, 0, 0]) + dice.randbytes(11) + bytes(4) + dice.randbytes(dice.randrange(9))
        for _ in range(PACKETS // 10)
        for what in range(1, 14)
    ]
    compare(reference, "hashes", [], packets)
