"""Multicast, clones, resubmits and recirculation, as simple_switch does them."""

import pytest
from finsy.proto import p4r

from softswitch_kit import Bench

NORMAL, INGRESS_CLONE, EGRESS_CLONE, RECIRCULATED, REPLICATED, RESUBMITTED = 0, 1, 2, 4, 5, 6


@pytest.fixture
def bench() -> Bench:
    return Bench("copies")


def group(bench: Bench, number: int, *replicas: tuple[int, int], kind: int = p4r.Update.INSERT) -> None:
    entity = p4r.Entity()
    entry = entity.packet_replication_engine_entry.multicast_group_entry
    entry.multicast_group_id = number
    for port, instance in replicas:
        entry.replicas.add(port=bytes([port]), instance=instance)
    bench.write(kind, entity)


def session(bench: Bench, number: int, *ports: int, length: int = 0) -> None:
    entity = p4r.Entity()
    entry = entity.packet_replication_engine_entry.clone_session_entry
    entry.session_id, entry.packet_length_bytes = number, length
    for port in ports:
        entry.replicas.add(egress_port=port, instance=1)
    bench.write(p4r.Update.INSERT, entity)


def order(what: int, count: int = 0, rest: bytes = b"") -> bytes:
    return bytes([what, count, 0, 0, 0, 0]) + rest


def left(bench: Bench, packet: bytes) -> list[tuple[int, ...]]:
    """Port, count, instance type, replica, egress port and kept metadata of every packet that leaves."""
    return sorted((port, *out[1:6]) for port, out in bench.run(packet))


def test_one_packet_stays_one_packet(bench: Bench) -> None:
    assert left(bench, order(0, 7)) == [(2, 7, NORMAL, 0, 2, 0)]


def test_multicast(bench: Bench) -> None:
    group(bench, 9, (3, 1), (4, 2), (4, 3))
    assert left(bench, order(1, 9)) == [
        (3, 9, REPLICATED, 1, 3, 0),
        (4, 9, REPLICATED, 2, 4, 0),
        (4, 9, REPLICATED, 3, 4, 0),
    ]
    assert left(bench, order(1, 8)) == []  # a group that does not exist
    group(bench, 9, (5, 1), kind=p4r.Update.MODIFY)
    assert left(bench, order(1, 9)) == [(5, 9, REPLICATED, 1, 5, 0)]
    group(bench, 9, kind=p4r.Update.DELETE)
    assert left(bench, order(1, 9)) == []


def test_a_clone_from_ingress_is_the_packet_as_it_came_with_the_fields_it_keeps(bench: Bench) -> None:
    session(bench, 5, 6)
    assert left(bench, order(2, 1)) == [(2, 99, NORMAL, 0, 2, 77 + 88), (6, 1, INGRESS_CLONE, 1, 6, 77)]


def test_a_clone_without_session_is_none(bench: Bench) -> None:
    assert left(bench, order(2, 1)) == [(2, 99, NORMAL, 0, 2, 77 + 88)]


def test_the_clone_of_a_dropped_packet_lives(bench: Bench) -> None:
    session(bench, 5, 6, 7)
    assert left(bench, order(7)) == [(6, 0, INGRESS_CLONE, 1, 6, 0), (7, 0, INGRESS_CLONE, 1, 7, 0)]


def test_a_session_can_cut_the_clone(bench: Bench) -> None:
    session(bench, 5, 6, length=8)
    assert sorted(len(out) for _, out in bench.run(order(2, 1, bytes(20)))) == [8, 26]


def test_a_clone_from_egress(bench: Bench) -> None:
    session(bench, 5, 6)
    assert left(bench, order(5)) == [(2, 0, NORMAL, 0, 2, 23), (6, 0, EGRESS_CLONE, 1, 6, 11)]


def test_resubmit_takes_its_fields_along(bench: Bench) -> None:
    assert left(bench, order(3)) == [(2, 0, NORMAL, 0, 2, 3)]


def test_recirculate_is_the_packet_as_it_left(bench: Bench) -> None:
    assert left(bench, order(4, 3)) == []  # the last round drops it
    assert left(bench, order(4, 0)) == []


def test_a_packet_that_would_go_round_for_ever_is_dropped(bench: Bench) -> None:
    assert left(bench, order(6)) == []
    assert left(bench, order(4, 255)) == []
