"""What comes in on a home link is told apart; what the home agent says there leaves by the right port."""

from dataclasses import dataclass, field

from controller.fabric.loader import load_topology, parse_topology, sample_topologies
from controller.mobility.address import parse_address
from controller.mobility.parts import LinkInfo, LinkPacket
from controller.mobility.wire.icmp import OVERRIDE, advertisement_packet
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


def two_links(*sessions: Session) -> HomeLinks:
    text = (sample_topologies() / "three-access.yaml").read_text()
    text = text.replace(
        "  home:\n    kind", '  s2: {kind: switch, device_id: 2, grpc: "127.0.0.1:9560"}\n  home:\n    kind'
    )
    text = text.replace('  - {a: "s1:2", b: cn}', '  - {a: "s1:2", b: cn}\n  - {a: "s2:1", b: "home:eth1"}')
    return HomeLinks(parse_topology(text), ["s1", "s2"], Anchors(sessions))  # type: ignore[arg-type]  # as above


def test_of_two_anchors_on_a_link_neither_is_heard_by_the_other() -> None:
    known = two_links(Session(), Session("s2"))
    macs = {name: homes[0].mac.to_bytes(6) for name, homes in known.ports.items()}
    assert known.is_own(LinkInfo(macs["s1"]))
    assert known.is_own(LinkInfo(macs["s2"]))
    assert not known.is_own(LinkInfo(bytes.fromhex("020000000199")))


def test_the_anchor_that_is_left_says_that_nodes_are_at_its_own_address() -> None:
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr
    from scapy.layers.l2 import Ether

    left = Session("s2")
    known = two_links(Session(state=SessionState.CONNECTING), left)
    first, second = (known.ports[name][0].mac.to_bytes(6) for name in ("s1", "s2"))
    node, group = parse_address("2001:db8:0:1::100"), parse_address("ff02::1")
    assert known.send(LinkPacket(HOME_AGENT, None, advertisement_packet(HOME_AGENT, group, node, first, OVERRIDE)))
    ((octets, _, port),) = left.sent
    frame = Ether(octets)
    assert (port, frame.src, frame[ICMPv6NDOptDstLLAddr].lladdr) == (1, second.hex(":"), second.hex(":"))
    assert (frame[ICMPv6ND_NA].tgt, frame[ICMPv6ND_NA].O) == ("2001:db8:0:1::100", 1)
    checksum = frame[ICMPv6ND_NA].cksum
    del frame[ICMPv6ND_NA].cksum
    assert Ether(bytes(frame))[ICMPv6ND_NA].cksum == checksum
