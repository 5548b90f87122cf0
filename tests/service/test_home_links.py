"""What comes in on a home link is told apart; what the home agent says there leaves by the right port."""

from dataclasses import dataclass, field

from controller.fabric.loader import load_topology, sample_topologies
from controller.mobility.address import parse_address
from controller.mobility.parts import LinkPacket
from controller.service.anchors import Anchors
from controller.service.home_links import HomeLinks, network_layer
from controller.southbound.states import SessionState
from controller.southbound.stream import PacketIn

HOME_AGENT = parse_address("2001:db8:0:1::1")
SOLICITATION = bytes(24) + parse_address("ff02::1:ff00:100") + b"rest"


@dataclass
class Session:
    name: str = "s1"
    state: SessionState = SessionState.READY
    sent: list[tuple[bytes, bool, int]] = field(default_factory=list)

    def packet_out(self, frame: bytes, *, routed: bool = True, egress_port: int = 0) -> bool:
        self.sent.append((frame, routed, egress_port))
        return True


def links(session: Session) -> HomeLinks:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    return HomeLinks(topology, ["s1"], Anchors([session]))  # type: ignore[list-item]  # what it uses of a session


def test_only_the_port_on_the_home_link_has_a_link() -> None:
    frame = bytes.fromhex("0200000000fe 020000000199 86dd") + bytes(40)
    known = links(Session())
    found = known.link_of("s1", PacketIn(1, 2, frame))
    assert found is not None
    assert found.source_mac == bytes.fromhex("020000000199")
    assert known.link_of("s1", PacketIn(2, 1, frame)) is None


def test_multicast_leaves_to_the_group_by_the_home_port() -> None:
    session = Session()
    assert links(session).send(LinkPacket(HOME_AGENT, None, SOLICITATION))
    ((frame, routed, port),) = session.sent
    assert (frame[:6], frame[12:14], frame[14:]) == (bytes.fromhex("3333ff000100"), b"\x86\xdd", SOLICITATION)
    assert (routed, port) == (False, 1)


def test_unicast_leaves_to_its_station() -> None:
    session = Session()
    links(session).send(LinkPacket(HOME_AGENT, bytes.fromhex("020000000199"), SOLICITATION))
    assert session.sent[0][0][:6] == bytes.fromhex("020000000199")


def test_nothing_leaves_without_a_switch_on_the_link() -> None:
    assert not links(Session(state=SessionState.CONNECTING)).send(LinkPacket(HOME_AGENT, None, SOLICITATION))
    assert not links(Session()).send(LinkPacket(parse_address("2001:db8:9::1"), None, SOLICITATION))


def test_a_vlan_tag_is_no_part_of_the_packet() -> None:
    assert network_layer(bytes(12) + b"\x86\xdd" + SOLICITATION) == SOLICITATION
    assert network_layer(bytes(12) + b"\x81\x00\x00\x07\x86\xdd" + SOLICITATION) == SOLICITATION
