"""TUN: tunnels and what goes wrong in them (RFC 2473, RFC 6040, RFC 6438, RFC 6275 sections 10.4.2 and 10.4.5)."""

import struct
from collections import Counter

import pytest

from conformance import requirement
from conformance.dataplane import CELLULAR, CN, CN_PORT, HA, WIFI, WIFI_PORT, Switch, tunnelled
from conformance.harness import COA1, COA2, HOA, ROUTER, Bed, make_config
from conformance.packets import ICMPV6, IPV6, MOBILITY, Seen, checksum, icmp, ip, ipv6, mobility, network, parse
from controller.dataplane.pipeline import DropReason
from controller.mobility.address import Address, Ipv4Address, Prefix
from controller.mobility.provision import NodeProvision
from rig import Rig

UDP = 17
ROUTER_ADDRESS = ip("2001:db8:ffff::1")
HA_IPV4, HOA_IPV4, CN_IPV4 = bytes((198, 51, 100, 1)), bytes((198, 51, 100, 7)), bytes((203, 0, 113, 9))
ECN = {"not": 0, "ect1": 1, "ect0": 2, "ce": 3}


def udp(source: bytes, destination: bytes, size: int = 16, *, ports: tuple[int, int] = (4000, 5000)) -> bytes:
    """Return a datagram with that many octets of payload."""
    head = struct.pack("!HHH", *ports, 8 + size)
    value = checksum(source, destination, UDP, head + bytes(2 + size))
    return ipv6(source, destination, UDP, head + struct.pack("!H", value) + bytes(size))


def marked(packet: bytes, ecn: int) -> bytes:
    """Return a packet with an ECN field."""
    return packet[:1] + bytes((packet[1] & 0xCF | ecn << 4,)) + packet[2:]


def sized(length: int) -> bytes:
    """Return a packet of that length to the home address."""
    return udp(CN, HOA, length - 48)


@pytest.fixture
def bound(bed: Bed) -> Bed:
    """A node is away."""
    bed.register(source=WIFI)
    return bed


@pytest.fixture
def switch(rig: Rig, bound: Bed) -> Switch:
    """Its packets go through a switch."""
    return Switch(rig, bound)


def from_tunnel(kind: int, code: int, parameter: int, inner: bytes, *, care_of: bytes = WIFI) -> bytes:
    """Return an ICMPv6 error that a router in the tunnel sends to the home agent."""
    outer = ipv6(HA, care_of, IPV6, inner)[:1232]
    body = struct.pack("!I", parameter) + outer
    return ipv6(ROUTER_ADDRESS, HA, ICMPV6, icmp(kind, code, body, ROUTER_ADDRESS, HA))


def reported(seen: list[Seen]) -> tuple[int, int, int, bytes]:
    """Return type, code, parameter and quoted packet of the one ICMPv6 error that went to the correspondent."""
    (error,) = seen
    assert (error.source, error.destination, error.protocol, error.routing) == (HA, CN, ICMPV6, None)
    assert error.sound
    assert len(error.octets) <= 1280
    return error.payload[0], error.payload[1], *struct.unpack_from("!I", error.payload, 4), error.payload[8:]


@requirement("TUN-01")
def test_tun_01_the_inner_hop_limit_goes_down_by_one(switch: Switch) -> None:
    ((port, outer),) = switch.send(CN_PORT, udp(CN, HOA))
    assert (port, outer.source, outer.destination, outer.hop_limit) == (WIFI_PORT, HA, WIFI, 64)
    assert outer.payload[7] == 63


@requirement("TUN-01")
def test_tun_01_in_the_home_agent_too(bound: Bed) -> None:
    (outer,) = bound.send(udp(CN, HOA))
    assert (outer.hop_limit, outer.payload[7]) == (64, 63)
    packet = udp(CN, HOA)
    assert reported(bound.send(packet[:7] + b"\1" + packet[8:]))[:2] == (3, 0)


@requirement("TUN-02")
def test_tun_02_too_long_a_packet_is_reported(bound: Bed) -> None:
    bound.send(from_tunnel(2, 0, 1300, sized(1400)))
    packet = sized(1400)
    assert reported(bound.send(packet)) == (2, 0, 1280, packet[:1232])
    bed = Bed()
    bed.register(source=WIFI)
    assert reported(bed.send(sized(1500))) == (2, 0, 1460, sized(1500)[:1232])
    assert len(bed.send(sized(1460))) == 1


@requirement("TUN-03")
def test_tun_03_a_short_one_goes_in_fragments_of_the_outer_packet(bound: Bed) -> None:
    bound.send(from_tunnel(2, 0, 1280, sized(1280)))
    packet = sized(1280)
    bound.engine.receive(packet, bound.now)
    pieces = bound.engine.outbox()
    assert len(pieces) == 2
    data = b""
    identifications = set()
    for piece in pieces:
        assert len(piece) <= 1280
        assert (piece[6], piece[8:24], piece[24:40]) == (44, HA, WIFI)
        protocol, offset, identification = struct.unpack_from("!BxHI", piece, 40)
        assert (protocol, offset & 0xFFF8, offset & 1) == (IPV6, len(data), int(piece is not pieces[-1]))
        identifications.add(identification)
        data += piece[48:]
    assert len(identifications) == 1
    assert data == packet[:7] + bytes((63,)) + packet[8:]


@requirement("TUN-04")
@pytest.mark.parametrize(("kind", "code"), [(1, 0), (1, 3), (3, 0)])
def test_tun_04_an_error_from_inside_is_passed_on(bound: Bed, kind: int, code: int) -> None:
    inner = udp(CN, HOA)
    assert reported(bound.send(from_tunnel(kind, code, 0, inner))) == (1, 3, 0, inner)


@requirement("TUN-04")
def test_tun_04_not_one_about_another_tunnel_or_another_error(bound: Bed) -> None:
    assert bound.send(from_tunnel(1, 3, 0, udp(CN, HOA), care_of=COA2)) == []
    assert bound.send(from_tunnel(1, 3, 0, udp(CN, ip("2001:db8:0:1::200")))) == []
    error = ipv6(CN, HOA, ICMPV6, icmp(1, 3, bytes(52), CN, HOA))
    assert bound.send(from_tunnel(1, 3, 0, error)) == []
    damaged = bytearray(from_tunnel(1, 3, 0, udp(CN, HOA)))
    damaged[43] ^= 1
    assert bound.send(bytes(damaged)) == []


@requirement("TUN-05")
def test_tun_05_packet_too_big_shrinks_the_tunnel(bound: Bed) -> None:
    inner = sized(1460)
    kind, code, mtu, quoted = reported(bound.send(from_tunnel(2, 0, 1400, inner)))
    assert (kind, code, mtu) == (2, 0, 1360)
    assert inner.startswith(quoted)
    assert reported(bound.send(sized(1361)))[:3] == (2, 0, 1360)
    assert len(bound.send(sized(1360))) == 1


def ipv4(length: int, *, df: bool = True) -> bytes:
    """Return an IPv4 packet of that many octets from a correspondent to the node's IPv4 home address."""
    head = (
        struct.pack("!BBHHHBB", 0x45, 0, length, 1, 0x4000 if df else 0, 64, 17) + bytes(2) + bytes(CN_IPV4 + HOA_IPV4)
    )
    total = sum(struct.unpack("!10H", head))
    value = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", value) + head[12:] + bytes(length - 20)


@pytest.fixture
def both() -> Bed:
    """A node with an IPv4 home address is away."""
    bed = Bed(make_config(NodeProvision(Address(HOA), home_ipv4=Ipv4Address(HOA_IPV4)), ipv4=Ipv4Address(HA_IPV4)))
    bed.register(source=WIFI)
    return bed


@requirement("TUN-06")
def test_tun_06_ipv4_that_must_not_be_fragmented_is_reported(both: Bed) -> None:
    both.engine.receive(ipv4(1500), both.now)
    (answer,) = both.engine.outbox()
    assert (answer[0] >> 4, answer[9], answer[12:16], answer[16:20]) == (4, 1, HA_IPV4, CN_IPV4)
    kind, code, _, unused, mtu = struct.unpack_from("!BBHHH", answer, 20)
    assert (kind, code, unused, mtu) == (3, 4, 0, 1460), "the tunnel's MTU: 1500 less 40"
    assert answer[28:] == ipv4(1500)[: len(answer) - 28]
    assert not sum(struct.unpack(f"!{len(answer[20:]) // 2}H", answer[20:])) % 0xFFFF
    both.engine.receive(ipv4(1460), both.now)
    (outer,) = both.engine.outbox()
    assert (outer[6], outer[8:24], outer[24:40], outer[56:60]) == (4, HA, WIFI, HOA_IPV4)


@requirement("TUN-06")
def test_tun_06_ipv4_that_may_be_fragmented_stays_whole_inside(both: Bed) -> None:
    both.engine.receive(ipv4(1500, df=False), both.now)
    pieces = both.engine.outbox()
    assert [piece[6] for piece in pieces] == [44, 44]
    inner = b"".join(piece[48:] for piece in pieces)
    assert (len(inner), inner[8], inner[20:]) == (1500, 63, ipv4(1500)[20:])


@requirement("TUN-07")
def test_tun_07_a_limit_of_nesting_that_is_used_up_is_a_parameter_problem() -> None:
    prefix = "2001:db8:77::/64"
    provision = NodeProvision(Address(HOA), mobile_router=True, prefixes=(Prefix.parse(prefix),))
    bed = Bed(make_config(provision))
    bed.register(network(prefix), flags=0xC000 | ROUTER)
    inside = ip("2001:db8:77::5")
    options = bytes((IPV6, 0, 4, 1, 0, 1, 1, 0))
    packet = ipv6(CN, inside, 60, options + udp(CN, inside))
    assert reported(bed.send(packet)) == (4, 0, 44, packet)
    ((outer),) = bed.send(packet[:44] + b"\1" + packet[45:])
    assert (outer.destination, outer.protocol) == (COA1, IPV6)


@requirement("TUN-08")
@pytest.mark.parametrize("ecn", range(4))
def test_tun_08_ecn_is_copied_outside(switch: Switch, bound: Bed, ecn: int) -> None:
    packet = marked(udp(CN, HOA), ecn)
    ((_, outer),) = switch.send(CN_PORT, packet)
    (slow,) = bound.send(packet)
    assert outer.octets[1] >> 4 & 3 == slow.octets[1] >> 4 & 3 == ecn
    assert outer.payload[1] >> 4 & 3 == ecn


@requirement("TUN-09")
@pytest.mark.parametrize("inner", ECN)
@pytest.mark.parametrize("outer", ECN)
def test_tun_09_ecn_is_merged_inside(switch: Switch, inner: str, outer: str) -> None:
    merged = {("ect0", "ect1"): "ect1", ("ect0", "ce"): "ce", ("ect1", "ce"): "ce"}.get((inner, outer), inner)
    sent = switch.send(WIFI_PORT, tunnelled(marked(udp(HOA, CN), ECN[inner]), ecn=ECN[outer]))
    if (inner, outer) == ("not", "ce"):
        assert sent == []
        assert switch.drops() == {DropReason.ECN}
    else:
        ((_, packet),) = sent
        assert packet.octets[1] >> 4 & 3 == ECN[merged]


@requirement("TUN-10")
def test_tun_10_the_flow_label_stays_with_a_flow_and_spreads(switch: Switch) -> None:
    def label(port: int) -> int:
        ((_, outer),) = switch.send(CN_PORT, udp(CN, HOA, ports=(port, 5000)))
        return int.from_bytes(outer.octets[1:4]) & 0xFFFFF

    labels = {port: label(port) for port in range(1000, 1300)}
    assert all(labels.values())
    assert len(set(labels.values())) >= 298
    assert all(label(port) == labels[port] for port in range(1000, 1300, 50))
    assert max(Counter(value >> 17 for value in labels.values()).values()) < 75  # an eighth of the space each: 37.5


@requirement("TUN-11")
def test_tun_11_a_node_that_is_away_has_no_link_local_address(bound: Bed) -> None:
    packet = udp(CN, ip("fe80::100"))
    assert reported(bound.send(packet)) == (1, 3, 0, packet)


@requirement("TUN-11")
def test_tun_11_a_home_address_without_binding_cannot_be_reached(bed: Bed) -> None:
    packet = udp(CN, HOA)
    assert reported(bed.send(packet)) == (1, 3, 0, packet)


@requirement("TUN-12")
def test_tun_12_a_wrong_outer_source_is_dropped(switch: Switch) -> None:
    assert switch.send(WIFI_PORT, tunnelled(udp(HOA, CN), CELLULAR)) == []
    assert switch.drops() == {DropReason.UNREGISTERED_OUTER_SOURCE}


@requirement("TUN-13")
def test_tun_13_home_test_messages_pass_in_both_directions(switch: Switch) -> None:
    init = ipv6(HOA, CN, MOBILITY, mobility(1, bytes(2) + b"homecook", HOA, CN))
    ((port, seen),) = switch.send(WIFI_PORT, tunnelled(init))
    assert (port, seen.source, seen.destination, seen.kind, seen.sound) == (CN_PORT, HOA, CN, 1, True)
    test = ipv6(CN, HOA, MOBILITY, mobility(3, bytes(2) + b"homecook" + b"hometokn", CN, HOA))
    ((port, outer),) = switch.send(CN_PORT, test)
    inner = parse(outer.payload)
    assert (port, outer.destination, inner.destination, inner.kind, inner.sound) == (WIFI_PORT, WIFI, HOA, 3, True)
