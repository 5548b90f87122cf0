"""The floor and the ceiling: a process that answers each packet-in with one write and one packet-out, all built beforehand.

It does nothing else, so no controller that writes tables before it answers can be faster. The same client stands for the
shortest time (one at a time) and for the highest rate (what waits is written together).
"""

import argparse
import asyncio
import pickle
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from finsy.proto import p4r, p4r_grpc

from testbed.p4rt import Message

OPTIONS = [("grpc.max_receive_message_length", 256 << 20), ("grpc.max_send_message_length", 256 << 20)]


@dataclass(frozen=True, slots=True)
class Plan:
    """Serialised messages, in the order of their use."""

    arbitration: bytes
    pipeline: bytes
    setup: list[bytes]
    """WriteRequests before the start."""
    writes: list[bytes]
    """One WriteRequest for each packet-in; begins again at the end."""
    answers: list[bytes]
    """One packet-out for each packet-in; begins again at the end."""
    batch: int
    """How many packet-ins may be answered with one write."""
    afterwards: list[bytes] = field(default_factory=list)
    """One WriteRequest for each packet-in, sent when that is answered; only with a `batch` of 1. Empty: none."""

    def save(self, path: Path) -> None:
        path.write_bytes(pickle.dumps(self))


class Client:
    def __init__(self, address: str, plan: Plan) -> None:
        self._stub = p4r_grpc.P4RuntimeStub(grpc.aio.insecure_channel(address, options=OPTIONS))
        self._plan = plan
        self._writes = [p4r.WriteRequest.FromString(data) for data in plan.writes]
        self._afterwards = [p4r.WriteRequest.FromString(data) for data in plan.afterwards]
        self._answers = [p4r.StreamMessageRequest.FromString(data) for data in plan.answers]
        self._stream = self._stub.StreamChannel()
        self._waiting: deque[int] = deque()
        self._more = asyncio.Event()
        self._seen = 0

    async def run(self) -> None:
        await self._stream.write(p4r.StreamMessageRequest.FromString(self._plan.arbitration))
        together: asyncio.Task[None] | None = None
        one_by_one = self._plan.batch == 1
        async for message in self._stream:
            kind = message.WhichOneof("update")
            if kind == "packet" and one_by_one:
                await self._answer()
            elif kind == "packet":
                self._waiting.append(self._seen)
                self._seen += 1
                self._more.set()
            elif kind == "arbitration" and together is None:
                await self._set_up()
                together = asyncio.create_task(self._together())

    async def _set_up(self) -> None:
        request = p4r.SetForwardingPipelineConfigRequest.FromString(self._plan.pipeline)
        await self._stub.SetForwardingPipelineConfig(request)
        for data in self._plan.setup:
            await self._stub.Write(p4r.WriteRequest.FromString(data))
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    async def _answer(self) -> None:
        number = self._seen
        self._seen += 1
        await self._stub.Write(self._writes[number % len(self._writes)])
        await self._stream.write(self._answers[number % len(self._answers)])
        if self._afterwards:
            await self._stub.Write(self._afterwards[number % len(self._afterwards)])

    async def _together(self) -> None:
        while True:
            await self._more.wait()
            numbers = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._plan.batch))]
            if not self._waiting:
                self._more.clear()
            await self._stub.Write(self._merged(numbers))
            for number in numbers:
                await self._stream.write(self._answers[number % len(self._answers)])

    def _merged(self, numbers: list[int]) -> Message:
        first = self._writes[numbers[0] % len(self._writes)]
        if len(numbers) == 1:
            return first
        request = p4r.WriteRequest(device_id=first.device_id, election_id=first.election_id)
        for number in numbers:
            request.updates.extend(self._writes[number % len(self._writes)].updates)
        return request


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.floor", description=__doc__)
    parser.add_argument("address")
    parser.add_argument("plan", type=Path)
    given = parser.parse_args()
    # Run as a script, this module is called __main__: a plan names the class in bench.floor.
    plan: Plan = pickle.loads(given.plan.read_bytes())

    async def run() -> None:
        await Client(given.address, plan).run()

    asyncio.run(run())


if __name__ == "__main__":
    main()
