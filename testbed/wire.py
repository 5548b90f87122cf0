"""Virtual wires: links between things in one process, with delay, rate, a bounded queue, loss, and an up/down switch.

A frame costs one entry in one heap that all wires of a lab share, and the event loop holds one timer for the whole heap: no
task, no future and no timer a packet. So a wire adds microseconds of work, and its delays are as exact as the event loop's clock.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

Receiver = Callable[[bytes], None]
"""Takes one Ethernet frame without its frame check sequence. Called from the event loop; must not block."""


class TimerHandle(Protocol):
    """What a clock gives back for a timer."""

    def cancel(self) -> None:
        """Forget the timer; no effect after it went off."""


class Clock(Protocol):
    """The part of an event loop that a scheduler uses; tests hand in a clock that they turn themselves."""

    def time(self) -> float:
        """Seconds, monotonic."""
        ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> TimerHandle:
        """Call `callback` once at `when`."""
        ...


class Scheduler:
    """Calls things at their time, in order of time, and in order of asking where the times are equal."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock if clock is not None else asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Receiver, bytes]] = []
        self._number = 0
        self._timer: TimerHandle | None = None
        self._timer_at = float("inf")

    def time(self) -> float:
        """Return the clock's time, seconds."""
        return self._clock.time()

    def deliver_at(self, when: float, receiver: Receiver, frame: bytes) -> None:
        """Call ``receiver(frame)`` at `when`, seconds of the clock."""
        self._number += 1
        heappush(self._heap, (when, self._number, receiver, frame))
        if when < self._timer_at:
            self._arm(when)

    def close(self) -> None:
        """Forget everything that is on its way."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, float("inf")

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._clock.call_at(when, self._run)

    def _run(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        heap, now = self._heap, self._clock.time()
        try:
            while heap and heap[0][0] <= now:
                _, _, receiver, frame = heappop(heap)
                receiver(frame)
        finally:
            if heap and heap[0][0] < self._timer_at:
                self._arm(heap[0][0])


@dataclass(frozen=True, slots=True)
class WireSpec:
    """What a wire does to frames, the same in both directions."""

    delay: float = 0.0
    """Propagation delay, seconds, 0 and up."""
    rate: float | None = None
    """Bits a second that the wire serialises; None: no limit. Counts frame octets only, no preamble or gap."""
    queue: int = 256
    """Frames that may wait for serialisation, the one being sent included; more are dropped (1 and up)."""
    loss: float = 0.0
    """Probability that a frame is lost, 0 to 1, independent for each frame."""

    def __post_init__(self) -> None:
        if self.delay < 0:
            raise ValueError(f"delay of a wire is {self.delay} s: it must not be negative")
        if self.rate is not None and self.rate <= 0:
            raise ValueError(f"rate of a wire is {self.rate} bit/s: it must be positive, or None for no limit")
        if self.queue < 1:
            raise ValueError(f"queue of a wire is {self.queue} frames: it must hold at least one")
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss of a wire is {self.loss}: it must lie between 0 and 1")


@dataclass(slots=True)
class WireCounters:
    """What became of the frames that entered one end."""

    sent: int = 0
    """Frames handed to `WireEnd.send`."""
    delivered: int = 0
    lost: int = 0
    """By the dice of `WireSpec.loss`."""
    queue_full: int = 0
    down: int = 0
    """Sent while the wire was down, or on their way when it went down."""


class WireEnd:
    """One end of a wire: send into it, and say who receives what the other end sends."""

    def __init__(self, wire: "Wire", name: str) -> None:
        self.name = name
        self.counters = WireCounters()
        self.peer: WireEnd = self
        self._wire = wire
        self._receiver: Receiver | None = None
        self._free_at = 0.0
        self._last_arrival = 0.0
        self._departures: deque[float] = deque()
        self._alive = [True]
        self._arrive = self._make_arrival()

    def connect(self, receiver: Receiver) -> None:
        """Let `receiver` have every frame that arrives at this end."""
        self._receiver = receiver

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire towards the other end."""
        wire, counters = self._wire, self.counters
        counters.sent += 1
        spec = wire.spec
        if not wire.up:
            counters.down += 1
            return
        now = wire.scheduler.time()
        sent_at = now
        if spec.rate is not None:
            departures = self._departures
            while departures and departures[0] <= now:
                departures.popleft()
            if len(departures) >= spec.queue:
                counters.queue_full += 1
                return
            sent_at = max(now, self._free_at) + len(frame) * 8 / spec.rate
            self._free_at = sent_at
            departures.append(sent_at)
        # A lost frame still took its time on the wire: loss comes after serialisation.
        if spec.loss and wire.dice.random() < spec.loss:
            counters.lost += 1
            return
        # A wire never reorders, also when its delay was lowered a moment ago.
        arrival = max(sent_at + spec.delay, self._last_arrival)
        self._last_arrival = arrival
        wire.scheduler.deliver_at(arrival, self._arrive, frame)

    def cut(self) -> None:
        """Lose what is on its way from this end."""
        self._alive[0] = False
        self._alive = [True]
        self._arrive = self._make_arrival()
        self._departures.clear()
        self._free_at = self._last_arrival = 0.0

    def _make_arrival(self) -> Receiver:
        """Return what delivers at the other end; it loses the frames instead once this end is cut."""
        alive = self._alive

        def arrive(frame: bytes) -> None:
            if not alive[0]:
                self.counters.down += 1
                return
            self.counters.delivered += 1
            self.peer.take(frame)

        return arrive

    def take(self, frame: bytes) -> None:
        """Hand a frame to whoever is connected at this end; without anybody it is gone."""
        if self._receiver is not None:
            self._receiver(frame)


class Wire:
    """A link between two ends.

    Args:
        scheduler: shared by all wires of a lab.
        spec: what it does to frames.
        name: what it joins, as in ``s1:1 home:eth0``; each end takes its own half.
        seed: of the dice for losses; wires with the same seed and traffic lose the same frames.
    """

    def __init__(self, scheduler: Scheduler, spec: WireSpec, name: str = "wire", seed: int = 0) -> None:
        self.scheduler = scheduler
        self.spec = spec
        self.name = name
        self.dice = random.Random(seed)  # noqa: S311 - losses need repeatable dice, not secrecy
        names = name.split(" ")
        self.a = WireEnd(self, names[0])
        self.b = WireEnd(self, names[-1])
        self.a.peer, self.b.peer = self.b, self.a
        self._up = True

    @property
    def up(self) -> bool:
        """Whether frames pass."""
        return self._up

    def set_up(self, up: bool) -> None:  # noqa: FBT001 - one word says it: wire.set_up(False)
        """Plug the wire in or pull it. Pulling it loses what is on its way."""
        if self._up and not up:
            self.a.cut()
            self.b.cut()
        self._up = up
