from typing import Any

from controller.mobility.address import parse_address
from testbed.packets import Datagram, parse_udp
from testbed.traffic import Arrival, Flow, Sender, Sink, measure

_A, _B = parse_address("2001:db8::1"), parse_address("2001:db8:1::2")
_FLOW = Flow(7, "video", _A, _B, 5000, 6000, rate=100)


def _datagram(packet: bytes) -> Datagram:
    datagram = parse_udp(packet)
    assert datagram is not None
    return datagram


def _sender(clock: Any, sink: Sink) -> Sender:
    return Sender(_FLOW, lambda packet: sink.take(_datagram(packet), clock.time() + 0.02, path=3), clock)


def test_a_sender_keeps_its_rate_and_stops(clock: Any) -> None:
    sink = Sink()
    sender = _sender(clock, sink)
    sender.start()
    clock.turn(0.995)
    sender.stop()
    clock.turn(1)
    assert len(sender.sent) == 100
    assert [arrival.sequence for arrival in sink.of(_FLOW)] == list(range(100))
    assert {arrival.path for arrival in sink.of(_FLOW)} == {3}


def test_nothing_lost_means_no_outage(clock: Any) -> None:
    sink = Sink()
    sender = _sender(clock, sink)
    sender.start()
    clock.turn(0.995)
    result = measure(sender, sink.of(_FLOW), 100, 101)
    assert (result.sent, result.received, result.lost, result.duplicates, result.reordered) == (100, 100, 0, 0, 0)
    assert result.outage < 1e-9
    assert round(result.delay, 6) == 0.02
    assert result.paths == {3: 100}


def test_losses_duplicates_order_and_the_outage_are_found(clock: Any) -> None:
    sender = Sender(_FLOW, lambda _: None, clock)
    sender.start()
    clock.turn(0.095)
    sent = sender.sent
    order = [0, 1, 2, 6, 5, 5, 7, 8, 9]  # 3 and 4 lost, 5 twice and late
    arrivals = [Arrival(number, sent[number], 200 + 0.01 * number, 1) for number in order]
    result = measure(sender, arrivals, 100, 101)
    assert (result.sent, result.lost, result.duplicates, result.reordered) == (10, 2, 1, 2)
    assert round(result.longest_gap, 6) == 0.04
    assert round(result.outage, 6) == 0.03


def test_a_window_counts_only_what_was_sent_in_it(clock: Any) -> None:
    sink = Sink()
    sender = _sender(clock, sink)
    sender.start()
    clock.turn(0.995)
    result = measure(sender, sink.of(_FLOW), 100.195, 100.495)
    assert (result.sent, result.received) == (30, 30)


def test_foreign_datagrams_are_counted_apart() -> None:
    sink = Sink()
    sink.take(Datagram(_A, _B, 1, 2, b"hello", 64), 0.0)
    assert (sink.foreign, sink.arrivals) == (1, {})


def test_an_empty_measurement_has_figures(clock: Any) -> None:
    result = measure(Sender(_FLOW, lambda _: None, clock), [], 0, 1)
    assert (result.sent, result.lost, result.outage, result.delay) == (0, 0, 0.0, 0.0)
