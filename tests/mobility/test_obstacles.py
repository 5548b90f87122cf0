"""What the source of a packet hears that a switch could not forward (RFC 4443), read with scapy."""

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.packet import Raw

from controller.mobility.address import Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork
from controller.mobility.parts import Fault, Obstacle

HA, CN, FAR = "2001:db8:0:1::1", "2001:db8:c::10", "2001:db8:dead::1"


def home_agent(rate: float = 1000.0, burst: int = 100) -> HomeAgent:
    home = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), parse_address(HA), open=True)
    return HomeAgent(HomeAgentConfig((home,), error_rate=rate, error_burst=burst))


def sent(engine: HomeAgent, packet: IPv6, obstacle: Obstacle, now: float = 1.0) -> list[bytes]:
    engine.receive(bytes(packet), now, obstacle=obstacle)
    return engine.outbox()


def told(engine: HomeAgent, packet: IPv6, obstacle: Obstacle, now: float = 1.0) -> list[IPv6]:
    return [IPv6(one) for one in sent(engine, packet, obstacle, now)]


def transit(**header: object) -> IPv6:
    return IPv6(**{"src": CN, "dst": FAR, **header}) / UDP(sport=1, dport=2) / Raw(bytes(100))


@pytest.mark.parametrize(
    ("obstacle", "kind", "code"),
    [
        (Obstacle(Fault.HOP_LIMIT), ICMPv6TimeExceeded, 0),
        (Obstacle(Fault.UNREACHABLE), ICMPv6DestUnreach, 0),
        (Obstacle(Fault.TOO_BIG, 1400), ICMPv6PacketTooBig, 0),
    ],
)
def test_the_source_hears_why(obstacle: Obstacle, kind: type, code: int) -> None:
    packet = transit()
    (octets,) = sent(home_agent(), packet, obstacle)
    report = IPv6(octets)
    assert (report.src, report.dst) == (HA, CN)
    assert octets[48:] == bytes(packet)
    message = report[kind]
    assert message.code == code
    checksum = message.cksum
    del message.cksum
    assert IPv6(bytes(report))[kind].cksum == checksum
    if kind is ICMPv6PacketTooBig:
        assert message.mtu == 1400


def test_a_home_address_without_binding_is_an_address_that_is_not_there() -> None:
    (report,) = told(home_agent(), transit(dst="2001:db8:0:1::77"), Obstacle(Fault.UNREACHABLE))
    assert report[ICMPv6DestUnreach].code == 3


def test_no_link_carries_less_than_1280_octets() -> None:
    (report,) = told(home_agent(), transit(), Obstacle(Fault.TOO_BIG, 100))
    assert report[ICMPv6PacketTooBig].mtu == 1280


def test_a_report_is_no_longer_than_1280_octets() -> None:
    packet = transit() / Raw(bytes(3000))
    (report,) = told(home_agent(), packet, Obstacle(Fault.TOO_BIG, 1400))
    assert len(report) == 1280


@pytest.mark.parametrize(
    "packet",
    [
        IPv6(src=CN, dst=FAR) / ICMPv6TimeExceeded() / Raw(bytes(transit())),
        IPv6(src=CN, dst=FAR) / ICMPv6ND_Redirect(),
        transit(src="::"),
        transit(src="ff02::1"),
        transit(dst="ff0e::1"),
    ],
    ids=["an error", "a redirect", "from nobody", "from a group", "to a group"],
)
@pytest.mark.parametrize("fault", Fault)
def test_some_packets_are_never_reported(packet: IPv6, fault: Fault) -> None:
    assert told(home_agent(), packet, Obstacle(fault, 1400)) == []


def test_an_echo_request_is() -> None:
    assert len(told(home_agent(), IPv6(src=CN, dst=FAR) / ICMPv6EchoRequest(), Obstacle(Fault.HOP_LIMIT))) == 1


def test_reports_are_few() -> None:
    engine = home_agent(rate=1.0, burst=3)
    reports = [told(engine, transit(), Obstacle(Fault.HOP_LIMIT)) for _ in range(20)]
    assert sum(map(len, reports)) == 3
    assert len(told(engine, transit(), Obstacle(Fault.HOP_LIMIT), 2.1)) == 1


def test_what_nobody_stopped_is_nobody_s() -> None:
    engine = home_agent()
    engine.receive(bytes(transit()), 1.0)
    assert engine.outbox() == []
