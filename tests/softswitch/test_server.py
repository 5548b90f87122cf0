"""The P4Runtime service through a real client on loopback."""

import asyncio
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest
from finsy.proto import p4r, rpc_status

from softswitch_kit import DELETE, INSERT, Names, config, p4info
from softswitch_site import SetConfig, Site, code_of

GetConfig = p4r.GetForwardingPipelineConfigRequest
NAMES = Names(p4info("tables"))


def entry(address: int, tag: int = 1) -> p4r.Entity:
    return NAMES.entry("exact_table", {"address": address, "tag": tag}, "counted_result", 7)


def lpm(address: int) -> p4r.Entity:
    return NAMES.entry("lpm_table", {"address": ("lpm", address, 32)}, "set_result", 7)


def status_of(error: grpc.aio.AioRpcError) -> rpc_status.Status:
    trailers: Any = error.trailing_metadata()
    return rpc_status.Status.FromString(trailers["grpc-status-details-bin"])


async def test_capabilities(site: Site) -> None:
    answer = await site.client().stub.Capabilities(p4r.CapabilitiesRequest())
    assert answer.p4runtime_api_version.startswith("1.")


async def test_only_the_primary_writes(site: Site) -> None:
    primary = await site.primary()
    backup = site.client()
    assert (await backup.bid(None)).status.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
    assert await code_of(backup.write((INSERT, entry(1)), election=0)) is grpc.StatusCode.PERMISSION_DENIED
    assert await code_of(backup.write((INSERT, entry(1)), election=9)) is grpc.StatusCode.PERMISSION_DENIED
    await primary.write((INSERT, entry(1)))
    everything = p4r.Entity()
    everything.table_entry.SetInParent()
    assert any(e == entry(1) for message in await backup.read(everything) for e in message.entities)


async def test_a_takeover_is_told_and_the_old_primary_locked_out(site: Site) -> None:
    old = await site.primary()
    new = site.client()
    assert (await new.bid(2)).status.code == 0
    assert (await old.next()).arbitration.status.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
    assert await code_of(old.write((INSERT, entry(1)))) is grpc.StatusCode.PERMISSION_DENIED
    await new.write((INSERT, entry(1)), election=2)
    await new.close()
    assert (await old.next()).arbitration.status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert await code_of(old.write((INSERT, entry(2)))) is grpc.StatusCode.PERMISSION_DENIED


async def test_a_duplicate_election_id_closes_the_stream(site: Site) -> None:
    await site.primary()
    other = site.client()
    message = p4r.StreamMessageRequest()
    message.arbitration.device_id = 1
    message.arbitration.election_id.low = 1
    await other.stream.write(message)
    assert await asyncio.wait_for(other.stream.code(), 3) is grpc.StatusCode.INVALID_ARGUMENT


async def test_pipeline_actions(site: Site) -> None:
    client = site.client()
    await client.bid(1)
    get = GetConfig(device_id=1)
    assert await code_of(client.stub.GetForwardingPipelineConfig(get)) is grpc.StatusCode.FAILED_PRECONDITION
    assert await code_of(client.set_config(SetConfig.COMMIT, "")) is grpc.StatusCode.NOT_FOUND
    assert await code_of(client.set_config(SetConfig.COMMIT)) is grpc.StatusCode.INVALID_ARGUMENT
    assert await code_of(client.set_config(SetConfig.VERIFY, "")) is grpc.StatusCode.INVALID_ARGUMENT
    await client.set_config(SetConfig.VERIFY)
    assert site.switch.pipeline is None
    await client.set_config(SetConfig.VERIFY_AND_SAVE, cookie=6)
    assert site.switch.pipeline is None
    await client.set_config(SetConfig.COMMIT, "")
    assert (await client.stub.GetForwardingPipelineConfig(get)).config.cookie.cookie == 6
    assert await code_of(client.set_config(SetConfig.UNSPECIFIED)) is grpc.StatusCode.INVALID_ARGUMENT
    assert await code_of(client.set_config(SetConfig.VERIFY, election=3)) is grpc.StatusCode.PERMISSION_DENIED


async def test_parts_of_the_pipeline_config(site: Site) -> None:
    client = await site.primary()

    async def get(kind: int) -> p4r.ForwardingPipelineConfig:
        answer = await client.stub.GetForwardingPipelineConfig(GetConfig(device_id=1, response_type=kind))
        assert answer.config.cookie.cookie == 5
        config_: p4r.ForwardingPipelineConfig = answer.config
        return config_

    everything = await get(GetConfig.ALL)
    assert everything.p4info == p4info("tables")
    assert everything.p4_device_config == config("tables")
    assert not (await get(GetConfig.COOKIE_ONLY)).HasField("p4info")
    assert (await get(GetConfig.P4INFO_AND_COOKIE)).p4_device_config == b""
    assert not (await get(GetConfig.DEVICE_CONFIG_AND_COOKIE)).HasField("p4info")


async def test_an_artefact_that_does_not_match_its_p4info_is_refused(site: Site) -> None:
    client = site.client()
    await client.bid(1)
    request = SetConfig(device_id=1, action=SetConfig.VERIFY_AND_COMMIT)
    request.election_id.low = 1
    request.config.p4info.CopyFrom(p4info("tables"))
    request.config.p4_device_config = config("copies")
    assert await code_of(client.stub.SetForwardingPipelineConfig(request)) is grpc.StatusCode.INVALID_ARGUMENT
    request.config.p4_device_config = config("tables").replace(
        b'"header_unions": []', b'"header_unions": [{"name": "u"}]'
    )
    assert await code_of(client.stub.SetForwardingPipelineConfig(request)) is grpc.StatusCode.INVALID_ARGUMENT
    assert site.switch.pipeline is None


async def test_every_update_of_a_batch_has_its_status(site: Site) -> None:
    client = await site.primary()
    wrong = entry(9)
    wrong.table_entry.table_id = 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.write(
            (INSERT, entry(1)), (INSERT, entry(1)), (DELETE, entry(2)), (INSERT, entry(3)), (INSERT, wrong)
        )
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    status = status_of(caught.value)
    details = []
    for item in status.details:
        error = p4r.Error()
        assert item.Unpack(error)
        details.append(error)
    assert [error.canonical_code for error in details] == [0, 6, 5, 0, 3]
    assert all(bool(error.message) == bool(error.canonical_code) for error in details)
    tables = p4r.Entity(table_entry=p4r.TableEntry(table_id=entry(1).table_entry.table_id))
    [answer] = await client.read(tables)
    assert list(answer.entities) == [entry(1), entry(3)]


async def test_thousands_of_failures_are_all_reported(site: Site) -> None:
    client = await site.primary()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.write(*[(DELETE, lpm(number)) for number in range(3000)])
    assert len(status_of(caught.value).details) == 3000


async def test_reads_come_in_pieces(site: Site) -> None:
    client = await site.primary("tables")
    cells = p4r.Entity()
    cells.counter_entry.SetInParent()
    answers = await client.read(*[cells] * 40)
    assert sum(len(answer.entities) for answer in answers) == 640
    assert len(answers) > 1


async def test_requests_for_another_device_or_before_a_pipeline(site: Site) -> None:
    client = site.client()
    await client.bid(1)
    assert await code_of(client.write((INSERT, entry(1)))) is grpc.StatusCode.FAILED_PRECONDITION
    assert await code_of(client.read(entry(1))) is grpc.StatusCode.FAILED_PRECONDITION
    request = p4r.WriteRequest(device_id=2)
    assert await code_of(client.stub.Write(request)) is grpc.StatusCode.NOT_FOUND
    await client.set_config(SetConfig.VERIFY_AND_COMMIT)
    request = p4r.WriteRequest(device_id=1, atomicity=p4r.WriteRequest.DATAPLANE_ATOMIC)
    request.election_id.low = 1
    assert await code_of(client.stub.Write(request)) is grpc.StatusCode.UNIMPLEMENTED
    unknown = p4r.Entity(table_entry=p4r.TableEntry(table_id=9))
    assert await code_of(client.read(unknown)) is grpc.StatusCode.INVALID_ARGUMENT


def punted(tag: int) -> bytes:
    return bytes([7, 0, 0, 0, 0, 0, 0, tag, 0, 0, 0, 0, 0])


async def test_packet_in_goes_to_the_primary(site: Site) -> None:
    primary = await site.primary()
    backup = site.client()
    await backup.bid(None)
    site.wires[2].receive(punted(3) + b"payload")
    message = (await primary.next()).packet
    assert message.payload == punted(3) + b"payload"
    assert {item.metadata_id: item.value for item in message.metadata} == {1: b"\2", 2: b"\3"}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(backup.stream.read(), 0.05)


async def test_packets_that_nobody_takes_are_counted(site: Site) -> None:
    client = await site.primary()
    await client.close()
    standby = site.client()
    # The primary may still be on its way out when this is answered.
    while (await standby.bid(None)).status.code != grpc.StatusCode.NOT_FOUND.value[0]:
        pass
    site.wires[2].receive(punted(3))
    assert site.switch.undelivered == 1


async def test_packet_out_leaves_by_the_port_it_names(site: Site) -> None:
    primary = await site.primary()
    message = p4r.StreamMessageRequest()
    message.packet.payload = punted(3)
    message.packet.metadata.add(metadata_id=1, value=b"\2")
    message.packet.metadata.add(metadata_id=2, value=b"\0")
    await primary.stream.write(message)
    await asyncio.wait_for(site.left.wait(), 3)
    assert site.out == [(2, punted(3))]
    assert site.switch.counters[2].packets_out == 1


async def test_packet_out_that_is_wrong_is_answered_on_the_stream(site: Site) -> None:
    primary = await site.primary()
    backup = site.client()
    await backup.bid(None)
    missing = p4r.StreamMessageRequest()
    missing.packet.metadata.add(metadata_id=1, value=b"\2")
    unknown = p4r.StreamMessageRequest()
    for number in (1, 2, 3):
        unknown.packet.metadata.add(metadata_id=number, value=b"\2")
    for message, text in ((missing, "missing"), (unknown, "no metadata with id 3")):
        await primary.stream.write(message)
        answer = await primary.next()
        assert answer.error.canonical_code == 3
        assert text in answer.error.message
        assert answer.error.packet_out.packet_out == message.packet
    await backup.stream.write(unknown)
    assert (await backup.next()).error.canonical_code == 7
    digest = p4r.StreamMessageRequest()
    digest.digest_ack.SetInParent()
    await primary.stream.write(digest)
    assert (await primary.next()).error.canonical_code == 3  # there is no digest 0
    assert site.out == []


def note(seen: list[tuple[int, str, bytes]], number: int, way: str, frame: bytes) -> None:
    seen.append((number, way, frame))


async def test_taps_see_what_enters_and_leaves(site: Site) -> None:
    await site.primary()
    seen: list[tuple[int, str, bytes]] = []
    for number in (1, 2):
        site.switch.set_tap(number, partial(note, seen, number))
    frame = bytes([99]) + bytes(12)
    site.wires[1].receive(frame)
    assert [(number, way) for number, way, _ in seen] == [(1, "in"), (2, "out")]
    assert seen[0][2] == frame
    site.switch.set_tap(1, None)
    site.wires[1].receive(frame)
    assert len(seen) == 3
    assert site.switch.counters[1].packets_in == 2
    assert site.switch.counters[2].bytes_out == 26


async def test_packets_pass_while_a_long_write_runs(site: Site) -> None:
    client = await site.primary()
    writing = asyncio.create_task(client.write(*[(DELETE, lpm(number)) for number in range(2000)]))
    passed = 0
    while not writing.done():
        site.wires[1].receive(bytes([99]) + bytes(12))
        passed += 1
        await asyncio.sleep(0)
    with pytest.raises(grpc.aio.AioRpcError):
        await writing
    assert passed > 10
    assert len(site.out) == passed


async def test_a_batch_that_has_started_is_finished_when_its_client_goes_away(site: Site) -> None:
    client = await site.primary()
    optional = [
        NAMES.entry("optional_table", {"port": number}, "set_result", 1, priority=number + 1) for number in range(64)
    ]
    request = p4r.WriteRequest(device_id=1)
    request.election_id.low = 1
    # Many updates that fail before those that count, so that there is time to go away.
    for entity in [lpm(0)] * 3000 + optional:
        request.updates.add(type=INSERT, entity=entity)
    call = client.stub.Write(request)
    assert site.switch.pipeline is not None
    table = site.switch.pipeline.compiled.tables["In.lpm_table"]
    async with asyncio.timeout(3):
        while not table.entries:  # noqa: ASYNC110 - nothing tells when the first update of a batch is done
            await asyncio.sleep(0)
    call.cancel()
    next_write = NAMES.entry("optional_table", {"tag": 1}, "set_result", 1, priority=999)
    with pytest.raises(grpc.aio.AioRpcError):
        await client.write((DELETE, next_write))  # waits for its turn
    assert len(site.switch.pipeline.compiled.tables["In.optional_table"].entries) == 64


async def test_a_takeover_waits_for_the_writes_that_have_started_and_stops_those_that_wait(site: Site) -> None:
    old, new = await site.primary(), site.client()
    first = asyncio.create_task(old.write(*[(DELETE, lpm(number)) for number in range(2000)]))
    await asyncio.sleep(0)
    assert (await new.bid(7)).status.code == 0
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await first
    assert caught.value.code() in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.PERMISSION_DENIED}
    assert await code_of(old.write((INSERT, entry(1)))) is grpc.StatusCode.PERMISSION_DENIED
