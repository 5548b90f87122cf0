"""The home agent's own address on a home link: neighbours find it, and nobody else gets it."""

from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.packet import Raw

from conformance.harness import HA, HOA, Bed, make_config, on_real_link
from conformance.neighbours import NEIGHBOUR_MAC, advertisements, solicitation
from conformance.packets import ip
from controller.mobility.address import Address, Prefix
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork

HOST = ip("2001:db8:0:1::5")
ROUTER, SOLICITED, OVERRIDE = 0x80, 0x40, 0x20


def test_a_neighbour_finds_the_home_agent() -> None:
    bed = on_real_link()
    bed.send(solicitation(HOST, HA))
    (answer,) = advertisements(bed.on_link())
    assert (answer.mac, answer.source, answer.destination, answer.target) == (NEIGHBOUR_MAC, HA, HOST, HA)
    assert answer.flags == ROUTER | SOLICITED | OVERRIDE


def test_a_neighbour_that_is_not_sure_any_more_asks_it_alone() -> None:
    bed = on_real_link()
    bed.send(solicitation(HOST, HA, destination=HA))
    (answer,) = advertisements(bed.on_link())
    assert answer.flags == ROUTER | SOLICITED | OVERRIDE


def test_nobody_takes_the_address() -> None:
    bed = on_real_link()
    bed.send(solicitation(bytes(16), HA))
    (answer,) = advertisements(bed.on_link())
    assert (answer.mac, answer.destination, answer.flags) == (None, ip("ff02::1"), ROUTER | OVERRIDE)


def test_it_is_answered_for_nobody_else() -> None:
    bed = on_real_link()
    bed.send(solicitation(HOST, HOA))
    bed.send(solicitation(HOST, ip("2001:db8:0:1::77")))
    assert advertisements(bed.on_link()) == []


def test_a_datagram_to_it_is_told_that_nobody_listens_but_not_too_often() -> None:
    home = HomeNetwork(Prefix.parse("2001:db8:0:1::/64"), Address(HA), open=True)
    engine = HomeAgent(HomeAgentConfig((home,), error_rate=1.0, error_burst=3))
    probe = IPv6(src="2001:db8:c::10", dst="2001:db8:0:1::1", hlim=1) / UDP(sport=40000, dport=33434) / Raw(bytes(32))
    for _ in range(10):
        engine.receive(bytes(probe), 1.0)
    answers = [IPv6(one) for one in engine.outbox()]
    assert len(answers) == 3
    for answer in answers:
        assert (answer.src, answer.dst, answer[ICMPv6DestUnreach].code) == (probe.dst, probe.src, 4)
        checked = IPv6(bytes(answer))
        del checked[ICMPv6DestUnreach].cksum
        assert bytes(checked) == bytes(answer)
        assert bytes(answer[ICMPv6DestUnreach])[8:] == bytes(probe)
    engine.receive(bytes(IPv6(src="ff02::1", dst=probe.dst) / UDP()), 100.0)
    engine.receive(bytes(IPv6(src="::", dst=probe.dst) / UDP()), 100.0)
    assert not engine.outbox()


def test_on_a_virtual_link_nobody_asks() -> None:
    bed = Bed(make_config())
    bed.send(solicitation(HOST, HA))
    assert bed.on_link() == []
