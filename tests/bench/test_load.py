"""The load generator: its Binding Updates are those that would be encoded, and nothing goes unanswered unnoticed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import load
from bench.bed import BenchError
from testbed.bed import Bed

STATUS, SEQUENCE = 84, slice(86, 88)


class Answering:
    """A bed whose switch answers each update at once, as it is told to.

    Args:
        bed: makes the frames.
        answer: of one update's acknowledgement makes what leaves the switch; None: nothing does.
    """

    def __init__(self, bed: Bed, answer: Callable[[bytes], bytes | None]) -> None:
        self.watch: Callable[[bytes], None] = lambda _frame: None
        self.sent: list[bytes] = []
        self._answers = {
            request.frame: answer(request.answer) for request in (bed.request(n, 7) for n in range(1, 100))
        }

    def send(self, _port: int, frame: bytes) -> None:
        self.sent.append(frame)
        answer = self._answers[frame]
        if answer is not None:
            self.watch(answer)


def changed(frame: bytes, at: int, value: int) -> bytes:
    return frame[:at] + bytes([value]) + frame[at + 1 :]


async def registered(bed: Bed, answer: Callable[[bytes], bytes | None], count: int) -> tuple[Any, list[float]]:
    switch: Any = Answering(bed, answer)
    return switch, await load.register(switch, load.as_sent(bed.request(n, 7) for n in range(1, count + 1)), 8)


@pytest.mark.parametrize("sequence", [2, 3, 0x1234, 0xFFFF])
def test_a_move_is_what_would_be_encoded(tmp_path: Path, sequence: int) -> None:
    bed = Bed(tmp_path)
    expected = bed.request(70, sequence, sequence - 1)
    moved = load.Mover(bed.request(70, 1)).move(sequence)
    assert moved == (expected.home_address, sequence.to_bytes(2), expected.frame)


@pytest.mark.parametrize("count", [0, 1, 8, 99])
async def test_all_are_sent_and_answered(tmp_path: Path, count: int) -> None:
    switch, took = await registered(Bed(tmp_path), lambda answer: answer, count)
    assert len(took) == len(switch.sent) == count


@pytest.mark.parametrize(("at", "value"), [(STATUS, 130), (SEQUENCE.start, 9)])
async def test_an_answer_that_refuses_or_is_of_another_update_is_an_error(tmp_path: Path, at: int, value: int) -> None:
    with pytest.raises(BenchError):
        await registered(Bed(tmp_path), lambda answer: changed(answer, at, value), 20)


async def test_an_answer_that_does_not_come_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WITHIN", 0.0)
    with pytest.raises(BenchError, match="no acknowledgement"):
        await registered(Bed(tmp_path), lambda answer: None if answer[77] == 13 else answer, 20)
