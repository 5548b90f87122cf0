"""The log says each thing, and a flood does not fill it."""

import logging

import pytest

from controller.mobility.address import Address, parse_address
from controller.mobility.events import Committed, Dropped, DropReason, Refused
from controller.mobility.model import Binding, Cause, NodeRecord, Transaction
from controller.service.event_log import EventLog, LogLimiter

HOA = parse_address("2001:db8:0:1::100")
HA = parse_address("2001:db8:0:1::1")
COA = parse_address("2001:db8:a::1")


def test_a_refusal_is_logged_once_a_minute_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = EventLog()
    for second in range(150):
        log.write(Refused(HOA, COA, 146), float(second))
    assert caplog.messages == [
        "refused 2001:db8:0:1::100 from 2001:db8:a::1: status 146",
        "refused 2001:db8:0:1::100 from 2001:db8:a::1: status 146, and 59 times since it was last logged",
        "refused 2001:db8:0:1::100 from 2001:db8:a::1: status 146, and 59 times since it was last logged",
    ]


def test_different_statuses_and_nodes_are_different_things(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = EventLog()
    for status in (144, 146, 144):
        for home_address in (HOA, HA):
            log.write(Refused(home_address, COA, status), 0.0)
    assert len(caplog.messages) == 4


def test_a_lie_is_a_warning_and_malformed_packets_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log = EventLog()
    for reason in (DropReason.FOREIGN_ASSOCIATION, DropReason.MALFORMED):
        for _ in range(3):
            log.write(Dropped(reason, COA, "why"), 5.0)
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG", "DEBUG"]
    assert caplog.messages[0] == "dropped a packet of 2001:db8:a::1: foreign_association why"


def test_changes_are_always_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    after = NodeRecord(HOA, HA, 1, (Binding(1, COA, 60, 60.0),))
    for record, text in ((after, "1 2001:db8:a::1"), (None, "none")):
        EventLog().write(Committed(Transaction(1, HOA, None, record, Cause.REGISTRATION)), 0.0)
        assert caplog.messages[-1] == f"registration of 2001:db8:0:1::100: bindings {text}"


def test_of_a_storm_of_changes_the_number_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = EventLog()
    for number in range(6001):
        log.write(Committed(Transaction(number, HOA, None, None, Cause.EXPIRY)), number / 3000)
    storm = [message for message in caplog.messages if "more in the last second" in message]
    assert storm == ["2900 changes more in the last second"] * 2
    assert len(caplog.messages) == 2 + 100 + 100 + 1


def test_made_up_home_addresses_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = EventLog(LogLimiter(60.0, 8))
    for number in range(1000):
        log.write(Refused(Address(HOA[:8] + number.to_bytes(8)), COA, 132), number / 10)
    assert len(caplog.messages) == 16
    assert caplog.messages[8].endswith("status 132; 592 lines about others were left out")


def test_the_limiter_forgets_what_is_old() -> None:
    limiter = LogLimiter(60.0, 2)
    assert limiter.admit("a", 0.0) == 0
    assert limiter.admit("a", 1.0) is None
    assert limiter.admit("b", 1.0) == 0
    assert limiter.admit("c", 2.0) is None
    assert limiter.admit("c", 61.0) == 0
    assert limiter.admit("b", 61.0) == 0
    assert limiter.others() == 2
    assert limiter.others() == 0
