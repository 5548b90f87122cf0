"""finsy's own controller as a foreign client of the embedded switch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import finsy as fy
import pytest

from softswitch_kit import PROGRAMS
from testbed.softswitch import SoftSwitch, WirePort

PUNT = bytes([7, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0])


@pytest.fixture
async def device() -> AsyncIterator[SoftSwitch]:
    device = SoftSwitch()
    yield device
    await device.stop()


async def test_finsy_sets_the_pipeline_writes_reads_counts_and_exchanges_packets(device: SoftSwitch) -> None:
    out: list[bytes] = []
    left = asyncio.Event()

    def collect(frame: bytes) -> None:
        out.append(frame)
        left.set()

    wire = WirePort(collect)
    device.add_port(2, wire)
    address = await device.start("127.0.0.1:0")
    options = fy.SwitchOptions(p4info=PROGRAMS / "tables.p4info.txtpb", p4blob=PROGRAMS / "tables.json")
    async with fy.Switch("embedded", address, options) as switch:
        assert switch.is_primary
        entry = fy.P4TableEntry(
            "exact_table",
            match=fy.P4TableMatch(address=0x0A000001, tag=1),
            action=fy.P4TableAction("counted_result", result=7),
        )
        ternary = fy.P4TableEntry(
            "ternary_table",
            match=fy.P4TableMatch(address="10.0.0.0/8", tag=1),
            action=fy.P4TableAction("metered_result", result=8),
            priority=4,
        )
        await switch.write([+entry, +ternary])
        read = [item async for item in switch.read(fy.P4TableEntry("exact_table"))]
        assert read == [entry]
        with pytest.raises(fy.P4ClientError, match="ALREADY_EXISTS"):
            await switch.write([+read[0]])
        wire.receive(PUNT)
        packets = switch.read_packets()
        packet = await asyncio.wait_for(anext(packets), 3)
        assert packet.payload == PUNT
        assert packet["ingress_port"] == 2
        await switch.write([fy.P4PacketOut(PUNT, egress_port=2, pad=0)])
        await asyncio.wait_for(left.wait(), 3)
        assert out == [PUNT]
        hit = bytes([1, 0x0A, 0, 0, 1, 0, 2, 1]) + bytes(5)
        wire.receive(hit)
        counted = [item async for item in switch.read(fy.P4DirectCounterEntry("exact_counter"))]
        assert [(one.packet_count, one.byte_count) for one in counted] == [(1, len(hit))]
        await switch.write([~fy.P4CounterEntry("cells", index=3, data=fy.P4CounterData(byte_count=0, packet_count=9))])
        cells = {item.index: item.packet_count async for item in switch.read(fy.P4CounterEntry("cells"))}
        assert cells[3] == 9
        await switch.delete_all()
        assert [item async for item in switch.read(fy.P4TableEntry("exact_table"))] == []


async def test_finsy_stands_by_and_takes_over_when_the_primary_leaves(device: SoftSwitch) -> None:
    address = await device.start("127.0.0.1:0")
    shipped = {"p4info": PROGRAMS / "tables.p4info.txtpb", "p4blob": PROGRAMS / "tables.json"}

    def entry() -> fy.P4TableEntry:
        match, action = fy.P4TableMatch(address=0x0A000001, tag=1), fy.P4TableAction("counted_result", result=7)
        return fy.P4TableEntry("exact_table", match=match, action=action)

    first = fy.Switch("first", address, fy.SwitchOptions(**shipped, initial_election_id=5))
    second = fy.Switch("second", address, fy.SwitchOptions(**shipped, initial_election_id=4))
    async with asyncio.timeout(20), AsyncExitStack() as until_the_end:
        async with first:
            await first.write([+entry()])
            await until_the_end.enter_async_context(second)
            assert (first.is_primary, second.is_primary) == (True, False)
            assert [item async for item in second.read(fy.P4TableEntry("exact_table"))] == [entry()]
            with pytest.raises(fy.P4ClientError, match="PERMISSION_DENIED"):
                await second.write([-entry()])
        while not second.is_primary:  # noqa: ASYNC110 - finsy tells it in no other way
            await asyncio.sleep(0.005)
        await second.write([-entry()])
        assert [item async for item in second.read(fy.P4TableEntry("exact_table"))] == []
