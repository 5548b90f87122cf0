"""Tables, stateful externs and control flow of a compiled program, entries written as P4Runtime would."""

import binascii
import struct
import zlib

import pytest
from finsy.proto import p4r

from softswitch_kit import Bench

EXACT, LPM, TERNARY, RANGE, OPTIONAL, CONST, PUNT, VALID, COUNT, METER, REGISTER = range(1, 12)
CRC32, CRC16, IDENTITY, CSUM16, TRUNCATE, RANDOM = range(12, 18)


@pytest.fixture
def bench() -> Bench:
    return Bench("tables")


def data(what: int, address: int = 0, port: int = 0, tag: int = 0, value: int = 0) -> bytes:
    return struct.pack(">BIHBBI", what, address, port, tag, 0xEE, value)


def run(bench: Bench, *args: int, port: int = 1) -> tuple[int, int, int]:
    """Result, value and port."""
    [(out_port, out)] = bench.run(data(*args), port)
    *_, result, value = struct.unpack(">BIHBBI", out)
    return result, value, out_port


def test_exact(bench: Bench) -> None:
    bench.insert("exact_table", {"address": 5, "tag": 1}, "counted_result", 7)
    assert run(bench, EXACT, 5, 0, 1) == (7, 0, 2)
    assert run(bench, EXACT, 5, 0, 2) == (0, 0, 2)
    bench.modify("exact_table", {"address": 5, "tag": 1}, "counted_result", 8)
    assert run(bench, EXACT, 5, 0, 1) == (8, 0, 2)
    bench.delete("exact_table", {"address": 5, "tag": 1})
    assert run(bench, EXACT, 5, 0, 1) == (0, 0, 2)


def test_direct_counters_count_hits_only(bench: Bench) -> None:
    bench.insert("exact_table", {"address": 5, "tag": 1}, "counted_result", 7)
    for address in (5, 5, 6):
        run(bench, EXACT, address, 0, 1)
    [entity] = bench.read(lambda e: e.direct_counter_entry.table_entry.SetInParent())
    assert entity.direct_counter_entry.data == p4r.CounterData(packet_count=2, byte_count=26)


def test_lpm_the_longest_prefix_wins(bench: Bench) -> None:
    assert run(bench, LPM, 0x0A010203) == (99, 2, 2)  # the default action has an argument; the value says it was a miss
    bench.insert("lpm_table", {"address": ("lpm", 0x0A000000, 8)}, "set_result", 8)
    bench.insert("lpm_table", {"address": ("lpm", 0x0A010000, 16)}, "set_result", 16)
    bench.insert("lpm_table", {"address": ("lpm", 0x0A010203, 32)}, "set_result", 32)
    assert [run(bench, LPM, a)[:2] for a in (0x0A010203, 0x0A010204, 0x0A020000, 0x0B000000)] == [
        (32, 1),
        (16, 1),
        (8, 1),
        (99, 2),
    ]
    bench.delete("lpm_table", {"address": ("lpm", 0x0A010000, 16)})
    assert run(bench, LPM, 0x0A010204)[:2] == (8, 1)
    bench.insert("lpm_table", {}, "set_result", 1)
    assert run(bench, LPM, 0x0B000000)[:2] == (1, 1)


def test_the_default_action_can_be_exchanged_and_reset(bench: Bench) -> None:
    bench.default("lpm_table", "set_result", 50)
    assert run(bench, LPM, 1)[:2] == (50, 2)
    bench.default("lpm_table", None)
    assert run(bench, LPM, 1)[:2] == (99, 2)


def test_ternary_the_highest_priority_wins(bench: Bench) -> None:
    bench.insert("ternary_table", {"address": ("ternary", 0x10, 0xF0), "tag": 1}, "metered_result", 1, priority=10)
    bench.insert("ternary_table", {"address": ("ternary", 0x01, 0x0F), "tag": 1}, "metered_result", 2, priority=20)
    bench.insert("ternary_table", {"tag": 1}, "metered_result", 3, priority=1)
    assert [run(bench, TERNARY, a, 0, 1)[0] for a in (0x10, 0x11, 0x21, 0x22)] == [1, 2, 2, 3]
    assert run(bench, TERNARY, 0x10, 0, 2)[0] == 0
    bench.delete("ternary_table", {"address": ("ternary", 0x01, 0x0F), "tag": 1}, priority=20)
    assert [run(bench, TERNARY, a, 0, 1)[0] for a in (0x11, 0x21)] == [1, 3]


def test_ranges_and_what_follows_which_action(bench: Bench) -> None:
    bench.insert("range_table", {"port": ("range", 100, 200)}, "set_result", 1, priority=5)
    bench.insert("range_table", {"port": ("range", 150, 160)}, "forward", 7, 2, priority=9)
    bench.insert("range_table", {"port": ("range", 300, 300), "address": ("ternary", 1, 1)}, "deny", priority=1)
    assert run(bench, RANGE, 0, 100) == (1, 10, 2)
    assert run(bench, RANGE, 0, 155) == (2, 20, 7)
    assert run(bench, RANGE, 0, 200) == (1, 10, 2)
    assert run(bench, RANGE, 0, 201) == (0, 30, 2)
    assert bench.run(data(RANGE, 1, 300)) == []
    assert run(bench, RANGE, 2, 300) == (0, 30, 2)


def test_control_goes_on_after_a_switch_statement(bench: Bench) -> None:
    [(_, out)] = bench.run(data(RANGE, 0, 0, tag=255))
    assert out[7] == 0  # the tag, one more, wrapped


def test_optional(bench: Bench) -> None:
    bench.insert("optional_table", {"port": 80}, "set_result", 1, priority=2)
    bench.insert("optional_table", {"tag": 9}, "set_result", 2, priority=1)
    assert [run(bench, OPTIONAL, 0, *key)[0] for key in ((80, 0), (80, 9), (81, 9), (81, 8))] == [1, 1, 2, 0]


def test_constant_entries_come_with_the_program_in_its_order(bench: Bench) -> None:
    assert [run(bench, CONST, 0, 0, tag)[0] for tag in (0x12, 0x11, 0x22, 0x21)] == [16, 16, 2, 0]


def test_validity_is_a_key(bench: Bench) -> None:
    bench.insert("valid_table", {"from_controller": 1}, "set_result", 4)
    assert run(bench, VALID)[0] == 0
    [(_, out)] = bench.run(b"\0\0" + data(VALID), 510)
    assert out[8] == 4


def test_packets_to_and_from_the_controller(bench: Bench) -> None:
    packet = data(PUNT, tag=5)
    [(port, out)] = bench.run(packet, 3)
    assert port == 510
    assert int.from_bytes(out[:2]) == 3 << 7 | 5
    assert bench.run((4 << 7).to_bytes(2) + packet, 510) == [(4, packet[:8] + b"\0" + packet[9:])]


def test_egress_can_drop(bench: Bench) -> None:
    bench.insert("egress_table", {"port": 2}, "stop")
    assert bench.run(data(TRUNCATE)) == []


def test_indirect_counters(bench: Bench) -> None:
    for tag in (3, 3, 15, 16, 200):  # the last two are beyond the array
        run(bench, COUNT, 0, 0, tag)
    cells = {
        e.counter_entry.index.index: e.counter_entry.data.packet_count
        for e in bench.read(lambda e: e.counter_entry.SetInParent())
    }
    assert {index: count for index, count in cells.items() if count} == {3: 2, 15: 1}
    assert len(cells) == 16


def test_direct_meters(bench: Bench) -> None:
    entity = bench.names.entry("ternary_table", {"tag": 1}, "metered_result", 1, priority=1)
    entity.table_entry.meter_config.CopyFrom(p4r.MeterConfig(cir=1, cburst=2, pir=2, pburst=4))
    bench.write(p4r.Update.INSERT, entity)
    assert [run(bench, TERNARY, 0, 0, 1)[1] for _ in range(6)] == [0, 0, 1, 1, 2, 2]
    bench.clock.now += 1
    assert [run(bench, TERNARY, 0, 0, 1)[1] for _ in range(3)] == [0, 1, 2]
    bench.modify("ternary_table", {"tag": 1}, "metered_result", 1, priority=1)  # without configuration: always green
    assert [run(bench, TERNARY, 0, 0, 1)[1] for _ in range(9)] == [0] * 9


def test_indirect_meters_in_bytes(bench: Bench) -> None:
    assert run(bench, METER, 0, 0, 2)[1] == 0
    update = p4r.Update(type=p4r.Update.MODIFY)
    update.entity.meter_entry.meter_id = bench.names.id("meters", "policers")
    update.entity.meter_entry.index.index = 2
    update.entity.meter_entry.config.CopyFrom(p4r.MeterConfig(cir=13, cburst=13, pir=13, pburst=26))
    bench.pipeline.write(update)
    assert [run(bench, METER, 0, 0, 2)[1] for _ in range(3)] == [0, 1, 2]
    assert [run(bench, METER, 0, 0, tag)[1] for tag in (1, 3, 4, 200)] == [0, 0, 0, 0]


def test_registers(bench: Bench) -> None:
    assert [run(bench, REGISTER, 0, 0, 7)[1] for _ in range(3)] == [0, 5, 10]
    assert run(bench, REGISTER, 0, 0, 6)[1] == 0
    assert run(bench, REGISTER, 0, 0, 8)[1] == 0  # beyond the array: nothing is read or written


def test_hashes(bench: Bench) -> None:
    six = struct.pack(">IH", 0x01020304, 0x0506)
    assert run(bench, CRC32, 0x01020304, 0x0506)[1] == zlib.crc32(six) % 0xFFFFFFFF
    assert run(bench, IDENTITY, 0, 0x1234)[1] == 0x1234
    assert run(bench, CSUM16, 0x01020304, 0x0506)[1] == (0x0102 + 0x0304 + 0x0506) ^ 0xFFFF
    [(_, out)] = bench.run(data(CRC16, 0x31323334, 0, 0x35))
    assert int.from_bytes(out[5:7]) == 100 + crc16_arc(b"12345") % 16


def crc16_arc(data: bytes) -> int:
    """CRC-16/ARC by the non-reflected routine of the standard library, on reflected bits."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    remainder = int.from_bytes(mirrored) << 16
    for bit in range(len(data) * 8 + 15, 15, -1):
        if remainder >> bit & 1:
            remainder ^= 0x18005 << (bit - 16)
    return int(f"{remainder:016b}"[::-1], 2)


def test_the_oracle_of_the_crc_knows_the_check_value() -> None:
    assert crc16_arc(b"123456789") == 0xBB3D
    assert binascii.crc32(b"123456789") == 0xCBF43926


def test_truncate(bench: Bench) -> None:
    [(_, out)] = bench.run(data(TRUNCATE))
    assert out == data(TRUNCATE)[:4]


def test_random_is_within_its_bounds(bench: Bench) -> None:
    assert {run(bench, RANDOM)[1] for _ in range(200)} == {5, 6, 7}


def test_short_packets_are_dropped(bench: Bench) -> None:
    assert bench.run(b"\1\2\3") == []
