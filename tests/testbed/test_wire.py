import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.wire import Scheduler, Wire, WireSpec


def _listen(wire: Wire, clock: Any) -> list[tuple[float, bytes]]:
    heard: list[tuple[float, bytes]] = []
    wire.b.connect(lambda frame: heard.append((round(clock.time() - 100, 6), frame)))
    return heard


def test_a_frame_arrives_after_the_delay_and_not_before(clock: Any) -> None:
    wire = Wire(Scheduler(clock), WireSpec(delay=0.025))
    heard = _listen(wire, clock)
    wire.a.send(b"x")
    clock.turn(0.0249)
    assert heard == []
    clock.turn(0.001)
    assert heard == [(0.025, b"x")]


def test_both_directions_work_at_once(clock: Any) -> None:
    wire = Wire(Scheduler(clock), WireSpec(delay=0.001))
    left: list[bytes] = []
    right: list[bytes] = []
    wire.a.connect(left.append)
    wire.b.connect(right.append)
    wire.a.send(b"to b")
    wire.b.send(b"to a")
    clock.turn(0.01)
    assert (left, right) == ([b"to a"], [b"to b"])


def test_rate_spreads_frames_by_their_length(clock: Any) -> None:
    wire = Wire(Scheduler(clock), WireSpec(delay=0.01, rate=8000))
    heard = _listen(wire, clock)
    for size in (100, 50, 10):
        wire.a.send(bytes(size))
    clock.turn(1)
    assert [when for when, _ in heard] == [0.11, 0.16, 0.17]


def test_a_full_queue_drops_the_newest_and_counts_it(clock: Any) -> None:
    wire = Wire(Scheduler(clock), WireSpec(rate=8000, queue=2))
    heard = _listen(wire, clock)
    for number in range(4):
        wire.a.send(bytes([number]) * 100)
    clock.turn(0.1)
    wire.a.send(b"\x09" * 100)
    clock.turn(1)
    assert [frame[0] for _, frame in heard] == [0, 1, 9]
    assert wire.a.counters.queue_full == 2
    assert wire.a.counters.delivered == 3


def test_frames_of_one_moment_keep_their_order_over_several_wires(clock: Any) -> None:
    scheduler = Scheduler(clock)
    heard: list[bytes] = []
    wires = [Wire(scheduler, WireSpec(delay=0.005), f"w{number}") for number in range(3)]
    for wire in wires:
        wire.b.connect(heard.append)
    for number in range(30):
        wires[number % 3].a.send(bytes([number]))
    clock.turn(1)
    assert heard == [bytes([number]) for number in range(30)]


def test_a_lower_delay_does_not_overtake(clock: Any) -> None:
    wire = Wire(Scheduler(clock), WireSpec(delay=0.1))
    heard = _listen(wire, clock)
    wire.a.send(b"1")
    wire.spec = WireSpec(delay=0.01)
    wire.a.send(b"2")
    clock.turn(1)
    assert [frame for _, frame in heard] == [b"1", b"2"]


def test_losses_come_from_the_seed(clock: Any) -> None:
    def run(seed: int) -> list[bytes]:
        wire = Wire(Scheduler(clock), WireSpec(loss=0.3), seed=seed)
        heard = _listen(wire, clock)
        for number in range(200):
            wire.a.send(bytes([number]))
        clock.turn(1)
        assert wire.a.counters.lost + len(heard) == 200
        return [frame for _, frame in heard]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 100 < len(run(3)) < 180


def test_a_pulled_wire_loses_what_is_on_its_way_and_works_again_afterwards(clock: Any) -> None:
    wire = Wire(Scheduler(clock), WireSpec(delay=0.1))
    heard = _listen(wire, clock)
    wire.a.send(b"on its way")
    clock.turn(0.05)
    wire.set_up(False)
    wire.a.send(b"into nothing")
    assert not wire.up
    clock.turn(1)
    wire.set_up(True)
    wire.a.send(b"again")
    clock.turn(1)
    assert [frame for _, frame in heard] == [b"again"]
    assert (wire.a.counters.sent, wire.a.counters.down, wire.a.counters.delivered) == (3, 2, 1)


def test_a_thousand_frames_in_flight_hold_one_timer(clock: Any) -> None:
    scheduler = Scheduler(clock)
    wire = Wire(scheduler, WireSpec(delay=0.01))
    heard = _listen(wire, clock)
    for _ in range(1000):
        wire.a.send(b"x")
    assert clock.timers == 1
    clock.turn(0.02)
    assert len(heard) == 1000


def test_a_receiver_that_fails_does_not_stop_the_others(clock: Any) -> None:
    wire = Wire(Scheduler(clock), WireSpec(delay=0.01))
    heard: list[bytes] = []

    def receive(frame: bytes) -> None:
        heard.append(frame)
        if frame == b"bad":
            raise RuntimeError("a bug")

    wire.b.connect(receive)
    wire.a.send(b"bad")
    wire.a.send(b"good")
    with pytest.raises(RuntimeError, match="a bug"):
        clock.turn(1)
    clock.turn(1)
    assert heard == [b"bad", b"good"]


def test_a_closed_scheduler_delivers_nothing(clock: Any) -> None:
    scheduler = Scheduler(clock)
    wire = Wire(scheduler, WireSpec(delay=0.01))
    heard = _listen(wire, clock)
    wire.a.send(b"x")
    scheduler.close()
    clock.turn(1)
    assert heard == []


@pytest.mark.parametrize(
    ("field", "value"), [("delay", -0.1), ("rate", 0), ("rate", -5), ("queue", 0), ("loss", 1.5), ("loss", -0.1)]
)
def test_a_wire_that_cannot_be_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        WireSpec(**{field: value})  # type: ignore[arg-type]  # wrong on purpose


@given(
    plan=st.lists(st.tuples(st.floats(0, 0.2), st.integers(1, 200)), max_size=40),
    delay=st.floats(0, 0.3),
    queue=st.integers(1, 10),
)
def test_every_frame_is_accounted_for_and_order_is_kept(
    clocks: Any, plan: list[tuple[float, int]], delay: float, queue: int
) -> None:
    clock = clocks()
    wire = Wire(Scheduler(clock), WireSpec(delay=delay, rate=20_000, queue=queue, loss=0.1))
    heard: list[int] = []
    wire.b.connect(lambda frame: heard.append(int.from_bytes(frame[:2])))
    for number, (pause, size) in enumerate(plan):
        wire.a.send(number.to_bytes(2) + bytes(size))
        clock.turn(pause)
    clock.turn(100)
    counters = wire.a.counters
    assert heard == sorted(heard)
    assert counters.sent == len(plan) == counters.delivered + counters.lost + counters.queue_full
    assert counters.delivered == len(heard)


async def test_the_event_loop_is_a_clock() -> None:
    wire = Wire(Scheduler(), WireSpec(delay=0.002))
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    wire.b.connect(arrived.set_result)
    wire.a.send(b"x")
    assert await asyncio.wait_for(arrived, 5) == b"x"
