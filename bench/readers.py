"""Readers of the REST interface in a process of their own, as cheap as a client can be: what is measured is the controller.

Told by standard input when to begin and to stop; gives how many milliseconds each read took. `bench.northbound` runs it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

_CONNECTIONS = 16


@dataclass(slots=True)
class Readers:
    """Reads at a steady rate over connections that stay open.

    Args:
        host: of the controller.
        port: its port.
        token: a token for it.
        paths: what is read, in turns.
        rate: reads a second.
    """

    host: str
    port: int
    token: str
    paths: list[str]
    rate: float
    _numbers: Iterator[int] = field(default_factory=count)
    _idle: "asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]" = field(default_factory=asyncio.Queue)

    async def connect(self) -> None:
        for _ in range(_CONNECTIONS):
            self._idle.put_nowait(await asyncio.open_connection(self.host, self.port))

    def close(self) -> None:
        """Close the connections: between two turns the controller would, as nothing is asked by them."""
        while not self._idle.empty():
            self._idle.get_nowait()[1].close()

    async def read(self, stop: asyncio.Event) -> list[float]:
        found: list[float] = []
        due = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(self._one(due, found))
                due += 1 / self.rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return found

    async def _one(self, due: float, found: list[float]) -> None:
        """Read once; the time counts from when it was due, so that what waits for a connection is in it."""
        reader, writer = await self._idle.get()
        path = self.paths[next(self._numbers) % len(self.paths)]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: controller\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{path}: {head.decode()}")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        self._idle.put_nowait((reader, writer))
        found.append(1000 * (time.perf_counter() - due))


async def _main() -> None:
    loop = asyncio.get_running_loop()
    readers = Readers(**json.loads(await loop.run_in_executor(None, sys.stdin.readline)))
    while await loop.run_in_executor(None, sys.stdin.readline):
        await readers.connect()
        stop = asyncio.Event()
        reading = asyncio.create_task(readers.read(stop))
        await loop.run_in_executor(None, sys.stdin.readline)
        stop.set()
        found = await reading
        readers.close()
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main())
