"""Digests, idle timeouts, and assertions that fail."""

import asyncio
import struct

import pytest
from finsy.proto import p4r

from softswitch_kit import DELETE, INSERT, MODIFY, Bench, config, p4info
from softswitch_site import SetConfig, Site
from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError

KNOWN, PORT, PREFIXES, CLAIMS = 1, 2, 3, 4
MILLISECOND = 10**6


def packet(what: int, address: int = 1, port: int = 2) -> bytes:
    return struct.pack(">BIHB", what, address, port, 0)


class Learning(Bench):
    """The program `learning`, and what it sends up."""

    def __init__(self) -> None:
        super().__init__("learning")
        self.sent: list[p4r.StreamMessageResponse] = []
        self.pipeline.send = self.sent.append
        self.seen = self.names.id("digests", "seen_t")

    def digest(self, kind: int, timeout: int = 0, size: int = 0, ack: int = 0, name: str = "seen_t") -> None:
        entity = p4r.Entity()
        entity.digest_entry.digest_id = self.names.id("digests", name)
        configured = entity.digest_entry.config
        configured.max_timeout_ns = timeout * MILLISECOND
        configured.max_list_size, configured.ack_timeout_ns = size, ack * MILLISECOND
        self.write(kind, entity)

    def wait(self, milliseconds: float) -> None:
        self.clock.now += milliseconds / 1000
        self.pipeline.tick()

    def lists(self) -> list[list[tuple[int, ...]]]:
        found = []
        for message in self.sent:
            values = [[int.from_bytes(part.bitstring) for part in data.struct.members] for data in message.digest.data]
            found.append([tuple(value) for value in values])
        self.sent.clear()
        return found

    def entry(self, address: int, timeout: int) -> p4r.Entity:
        entity = self.names.entry("known", {"hdr.data.address": address}, "set_result", 5)
        entity.table_entry.idle_timeout_ns = timeout * MILLISECOND
        return entity


@pytest.fixture
def bench() -> Learning:
    return Learning()


def refused(bench: Bench, kind: int, entity: p4r.Entity) -> int:
    with pytest.raises(EntityError) as caught:
        bench.write(kind, entity)
    return caught.value.code


# -- digests -----------------------------------------------------------------------------------------------------------


def test_nothing_is_learned_until_a_digest_is_enabled(bench: Learning) -> None:
    assert len(bench.run(packet(KNOWN))) == 1
    bench.wait(1000)
    assert bench.lists() == []


def test_each_message_is_a_list_without_a_timeout(bench: Learning) -> None:
    bench.digest(INSERT)
    bench.run(packet(KNOWN, 7), port=3)
    bench.run(packet(KNOWN, 8), port=4)
    assert bench.lists() == [[(7, 3)], [(8, 4)]]


def test_a_list_waits_for_its_time_or_its_size(bench: Learning) -> None:
    bench.digest(INSERT, timeout=100, size=3)
    bench.run(packet(KNOWN, 1))
    bench.run(packet(KNOWN, 2))
    bench.run(packet(KNOWN, 1))  # a duplicate
    bench.wait(99)
    assert bench.lists() == []
    bench.wait(1)
    assert bench.lists() == [[(1, 1), (2, 1)]]
    for address in (3, 4, 5, 6):
        bench.run(packet(KNOWN, address))
    assert bench.lists() == [[(3, 1), (4, 1), (5, 1)]]


def test_what_is_not_acknowledged_is_not_sent_again_until_its_time_is_over(bench: Learning) -> None:
    bench.digest(INSERT, ack=500)
    bench.run(packet(KNOWN, 1))
    number = bench.sent[0].digest.list_id
    assert bench.sent[0].digest.digest_id == bench.seen
    assert bench.sent[0].digest.timestamp
    assert bench.lists() == [[(1, 1)]]
    bench.run(packet(KNOWN, 1))
    assert bench.lists() == []
    bench.pipeline.acknowledge(p4r.DigestListAck(digest_id=bench.seen, list_id=number))
    bench.run(packet(KNOWN, 1))
    assert bench.lists() == [[(1, 1)]]
    bench.wait(500)
    bench.run(packet(KNOWN, 1))
    assert bench.lists() == [[(1, 1)]]
    with pytest.raises(EntityError, match="no digest"):
        bench.pipeline.acknowledge(p4r.DigestListAck(digest_id=9))


def test_a_digest_can_be_tuned_read_and_disabled(bench: Learning) -> None:
    bench.digest(INSERT, timeout=100, size=5)
    bench.digest(INSERT, timeout=10, name="port_t")
    bench.digest(MODIFY, timeout=100, size=1)
    bench.run(packet(KNOWN, 1))
    assert bench.lists() == [[(1, 1)]]
    found = bench.read(lambda entity: entity.digest_entry.SetInParent())
    assert [(e.digest_entry.digest_id == bench.seen, e.digest_entry.config.max_list_size) for e in found] == [
        (True, 1),
        (False, 0),
    ]
    bench.digest(DELETE)
    bench.run(packet(KNOWN, 1))
    bench.run(packet(PORT, port=77))
    bench.wait(100)
    assert bench.lists() == [[(77,)]]


def test_digests_that_cannot_be(bench: Learning) -> None:
    entity = p4r.Entity()
    entity.digest_entry.digest_id = 5
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT
    entity.digest_entry.digest_id = bench.seen
    assert refused(bench, MODIFY, entity) == errors.NOT_FOUND
    assert refused(bench, DELETE, entity) == errors.NOT_FOUND
    entity.digest_entry.config.max_timeout_ns = -1
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT
    bench.digest(INSERT)
    assert refused(bench, INSERT, entity) == errors.ALREADY_EXISTS


def test_a_flood_of_digests_does_not_fill_the_memory(bench: Learning) -> None:
    bench.digest(INSERT, timeout=10**6, ack=10**6)
    for address in range(70_000):
        bench.run(packet(KNOWN, address))
    assert sum(len(found) for found in bench.lists()) <= 1 << 16


# -- idle timeouts -----------------------------------------------------------------------------------------------------


def notified(bench: Learning) -> list[bytes]:
    found = [e.match[0].exact.value for message in bench.sent for e in message.idle_timeout_notification.table_entry]
    bench.sent.clear()
    return found


def test_an_entry_that_is_not_hit_is_notified_again_and_again(bench: Learning) -> None:
    bench.write(INSERT, bench.entry(1, 100))
    bench.write(INSERT, bench.entry(2, 250))
    bench.write(INSERT, bench.entry(3, 0))
    bench.wait(99)
    assert notified(bench) == []
    bench.wait(1)
    (message,) = bench.sent
    (entry,) = message.idle_timeout_notification.table_entry
    expected = bench.entry(1, 100).table_entry
    expected.ClearField("action")
    assert entry == expected
    assert message.idle_timeout_notification.timestamp
    bench.sent.clear()
    bench.wait(99)
    assert notified(bench) == []
    bench.wait(52)
    assert notified(bench) == [b"\1", b"\2"]


def test_a_hit_puts_it_off(bench: Learning) -> None:
    bench.write(INSERT, bench.entry(1, 100))
    bench.wait(60)
    bench.run(packet(KNOWN, 1))
    bench.wait(60)
    assert notified(bench) == []
    bench.wait(41)
    assert notified(bench) == [b"\1"]


def test_a_deletion_or_another_timeout_ends_it(bench: Learning) -> None:
    bench.write(INSERT, bench.entry(1, 100))
    bench.write(INSERT, bench.entry(2, 100))
    bench.write(DELETE, bench.entry(1, 0))
    bench.write(MODIFY, bench.entry(2, 500))
    bench.wait(400)
    assert notified(bench) == []
    bench.write(MODIFY, bench.entry(2, 0))
    bench.wait(4000)
    assert notified(bench) == []


def test_the_time_since_the_last_hit_can_be_read(bench: Learning) -> None:
    bench.write(INSERT, bench.entry(1, 100))
    bench.insert("prefixes", {"hdr.data.address": ("lpm", 0, 8)}, "set_result", 9)
    bench.wait(30)
    bench.run(packet(PREFIXES, 5))
    bench.wait(20)

    def ask(entity: p4r.Entity) -> None:
        entity.table_entry.time_since_last_hit.SetInParent()

    known, prefix = (entity.table_entry for entity in bench.read(ask))
    assert known.idle_timeout_ns == 100 * MILLISECOND
    assert known.time_since_last_hit.elapsed_ns == pytest.approx(50 * MILLISECOND, rel=1e-6)
    assert prefix.time_since_last_hit.elapsed_ns == pytest.approx(20 * MILLISECOND, rel=1e-6)
    assert not bench.read(lambda entity: entity.table_entry.SetInParent())[0].table_entry.HasField(
        "time_since_last_hit"
    )


def test_idle_timeouts_that_cannot_be(bench: Learning) -> None:
    assert refused(bench, INSERT, bench.entry(1, -1)) == errors.INVALID_ARGUMENT
    entity = bench.entry(1, 1)
    entity.table_entry.time_since_last_hit.SetInParent()
    assert refused(bench, INSERT, entity) == errors.INVALID_ARGUMENT
    entity = bench.names.entry("known", {}, "learn")
    entity.table_entry.is_default_action, entity.table_entry.idle_timeout_ns = True, 5
    assert refused(bench, MODIFY, entity) == errors.INVALID_ARGUMENT
    tables = Bench("tables")
    entity = tables.names.entry("exact_table", {"address": 1, "tag": 1}, "counted_result", 1)
    entity.table_entry.idle_timeout_ns = 5
    assert refused(tables, INSERT, entity) == errors.INVALID_ARGUMENT


async def test_the_primary_gets_digests_and_idle_timeouts_and_acknowledges(site: Site) -> None:
    primary, bench = await site.primary("learning"), Learning()
    entity = p4r.Entity()
    entity.digest_entry.digest_id = bench.seen
    entity.digest_entry.config.ack_timeout_ns = 3600 * 10**9
    await primary.write((INSERT, entity), (INSERT, bench.entry(99, 1)))
    idle = await primary.next()
    assert idle.idle_timeout_notification.table_entry[0].match[0].exact.value == b"\x63"
    await primary.write((DELETE, bench.entry(99, 1)))
    site.wires[1].receive(packet(KNOWN, 5))
    message = await primary.next()
    while not message.HasField("digest"):  # one more notification may have been under way
        message = await primary.next()
    assert [part.bitstring for part in message.digest.data[0].struct.members] == [b"\5", b"\1"]
    ack = p4r.StreamMessageRequest()
    ack.digest_ack.digest_id, ack.digest_ack.list_id = message.digest.digest_id, message.digest.list_id
    await primary.stream.write(ack)
    again = asyncio.create_task(primary.next())
    for _ in range(500):  # the acknowledgement takes its time
        site.wires[1].receive(packet(KNOWN, 5))
        await asyncio.sleep(0.005)
        if again.done():
            break
    assert (await again).HasField("digest")


async def test_only_the_primary_acknowledges(site: Site) -> None:
    await site.primary("learning")
    backup = site.client()
    await backup.bid(None)
    ack = p4r.StreamMessageRequest()
    ack.digest_ack.digest_id = 1
    await backup.stream.write(ack)
    answer = await backup.next()
    assert answer.error.canonical_code == errors.PERMISSION_DENIED
    assert answer.error.digest_list_ack.digest_list_ack == ack.digest_ack


# -- assertions --------------------------------------------------------------------------------------------------------


def test_an_assertion_that_fails_drops_the_packet_and_is_counted(
    bench: Learning, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert len(bench.run(packet(CLAIMS))) == 1
    assert "an address: 1 and a port: 2" in caplog.text
    assert bench.run(packet(CLAIMS, port=7)) == []
    assert bench.run(packet(CLAIMS, address=7)) == []
    assert bench.pipeline.compiled.hooks.failures == 2
    assert "assertion failed" in caplog.text


async def test_the_program_can_be_exchanged_while_digests_wait(site: Site) -> None:
    primary, bench = await site.primary("learning"), Learning()
    entity = p4r.Entity()
    entity.digest_entry.digest_id = bench.seen
    entity.digest_entry.config.max_timeout_ns = 10**12
    await primary.write((INSERT, entity))
    site.wires[1].receive(packet(KNOWN, 5))
    await primary.set_config(SetConfig.RECONCILE_AND_COMMIT, "learning")
    assert site.switch.pipeline is not None
    assert site.switch.pipeline.config == config("learning")
    assert site.switch.pipeline.info == p4info("learning")
    wanted = p4r.Entity()
    wanted.digest_entry.SetInParent()
    (answer,) = await primary.read(wanted)
    assert answer.entities[0].digest_entry.config.max_timeout_ns == 10**12
