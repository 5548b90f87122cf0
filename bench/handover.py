"""Handovers under traffic: what is lost, comes twice, or goes to the old address after the acknowledgement."""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bed import ask, start_controller
from bench.registry import Result, Results, Settings, bench
from testbed.bed import Bed, Request
from testbed.packets import ethernet, udp
from testbed.rest import Rest

_RATE = 5_000
"""Packets a second."""
_CORRESPONDENT_PORT = 2
_TICK = 0.002
"""Seconds between two bursts of packets."""
_NUMBER_AT = 14 + 40 + 40 + 8
"""Where a tunnelled datagram's payload begins, in a frame."""


@dataclass(slots=True)
class _Traffic:
    """Numbered datagrams from the correspondent, and where each of them went."""

    bed: Bed
    home_address: bytes
    sent: int = 0
    seen: Counter[int] = field(default_factory=Counter)
    allowed: set[bytes] = field(default_factory=set)
    """Care-of addresses at which a packet may arrive now."""
    astray: int = 0

    def watch(self, frame: bytes) -> None:
        """Take a frame that left the switch."""
        if len(frame) >= _NUMBER_AT + 4 and frame[20] == 41 and frame[78:94] == self.home_address:
            self.seen[int.from_bytes(frame[_NUMBER_AT : _NUMBER_AT + 4])] += 1
            if frame[38:54] not in self.allowed:
                self.astray += 1

    async def run(self) -> None:
        """Send at the rate until cancelled; what a busy machine delays is made up for."""
        here, there = self.bed.macs(_CORRESPONDENT_PORT)
        source = self.bed.topology.stations["cn"].addresses[0]
        packet = bytearray(ethernet(here, there, udp(source, self.home_address, (4000, 5000), bytes(100))))
        began = time.monotonic()
        while True:
            due = int((time.monotonic() - began) * _RATE)
            for number in range(self.sent, due):
                packet[62:66] = number.to_bytes(4)
                self.bed.send(_CORRESPONDENT_PORT, bytes(packet))
            self.sent = max(self.sent, due)
            await asyncio.sleep(_TICK)


@bench("handover.lost")
def lost(settings: Settings) -> Results:
    """One BID of three moves, over and over, while its flow goes on."""
    return asyncio.run(_lost(settings))


async def _lost(settings: Settings) -> Results:
    moves = settings.amount(50)
    with TemporaryDirectory() as folder:
        async with Bed(Path(folder)) as bed:
            url = (await start_controller(bed)).url
            requests = [bed.request(1, number + 1, number) for number in range(moves + 1)]
            await ask(bed, requests[0])
            async with Rest(url, bed.token) as rest:
                await rest.put_policy(requests[0].home_address, "all", {"priority": 1, "bid": 2})
            traffic = _Traffic(bed, requests[0].home_address, allowed={_care_of(requests[0])})
            bed.watch = traffic.watch
            sending = asyncio.create_task(traffic.run())
            for before, after in itertools.pairwise(requests):
                await asyncio.sleep(0.02)
                # Until the acknowledgement either address is right.
                traffic.allowed = {_care_of(before), _care_of(after)}
                await ask(bed, after)
                traffic.allowed = {_care_of(after)}
            await asyncio.sleep(0.02)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    missing = traffic.sent - len(traffic.seen)
    twice = sum(count - 1 for count in traffic.seen.values())
    note = (
        f"{moves} handovers, {traffic.sent} packets at {_RATE} a second: {missing} lost, {twice} twice, "
        f"{traffic.astray} to the old address after the acknowledgement; there is nothing to compare with"
    )
    return {"handover.lost": Result(float(missing + twice + traffic.astray), "packets", None, note=note)}


def _care_of(request: Request) -> bytes:
    return next(binding.care_of for binding in request.record.bindings if binding.bid == 2)
