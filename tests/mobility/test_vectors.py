"""The worked examples of the protocol digest, octet by octet, in both directions."""

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork, NodeProvision
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.provision import LinkKind
from controller.mobility.return_routability import care_of_token, home_token, is_genuine, management_key, sign
from controller.mobility.security.authentication import sign as authenticate
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import SecurityContext
from controller.mobility.wire import (
    AuthorizationData,
    BindingError,
    BindingIdentifier,
    BindingReference,
    BindingRefreshRequest,
    BindingUpdate,
    FlowIdentification,
    Message,
    MessageAuthentication,
    MessageIdentifier,
    MobileNodeIdentifier,
    NetworkPrefix,
    NonceIndices,
    RevocationIndication,
    TrafficSelectorOption,
    decode_message,
    encode_message,
    encode_packet,
    ipv6_header,
)
from controller.mobility.wire.icmp import (
    ALL_NODES,
    OVERRIDE,
    ROUTER,
    NeighbourMessage,
    advertisement_packet,
    read_neighbour,
)

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a::1")
COA2 = parse_address("2001:db8:b::1")
CN = parse_address("2001:db8:c::1")

BID1 = BindingIdentifier(1, COA1, 10)
BID2 = BindingIdentifier(2, COA2, 20)
FLOW = FlowIdentification(
    7, 100, 0, (BindingReference((1, 2)), TrafficSelectorOption(2, bytes.fromhex("003200001388139211")))
)

VECTORS: dict[str, tuple[str, Message, Address, Address]] = {
    "V1": (
        "3b 01 05 00 a1 b2 00 01 c0 00 00 3c 01 02 00 00",
        BindingUpdate(1, 0xC000, 60),
        HOA,
        HA,
    ),
    "V2": (
        """3b 04 05 00 50 71 00 02 c0 40 00 3c 01 04 00 00 00 00 23 14 00 01 00 0a 20 01 0d b8 00 0a 00 00
        00 00 00 00 00 00 00 01""",
        BindingUpdate(2, 0xC040, 60, (BID1,)),
        HOA,
        HA,
    ),
    "V3": (
        """3b 07 05 00 fe 65 00 03 c0 40 00 3c 01 04 00 00 00 00 23 14 00 01 00 0a 20 01 0d b8 00 0a 00 00
        00 00 00 00 00 00 00 01 01 00 23 14 00 02 00 14 20 01 0d b8 00 0b 00 00 00 00 00 00 00 00 00 01""",
        BindingUpdate(3, 0xC040, 60, (BID1, BID2)),
        HOA,
        HA,
    ),
    "V4": (
        "3b 02 05 00 5c 7f 00 04 c0 00 00 3c 23 04 00 01 00 0a 23 04 00 02 00 14",
        BindingUpdate(4, 0xC000, 60, (BindingIdentifier(1, priority=10), BindingIdentifier(2, priority=20))),
        HOA,
        HA,
    ),
    "V7": (
        """3b 0d 05 00 56 3f 00 06 c4 40 00 3c 06 12 00 40 20 01 0d b8 00 01 00 02 00 00 00 00 00 00 00 00
        01 00 23 14 00 01 00 0a 20 01 0d b8 00 0a 00 00 00 00 00 00 00 00 00 01 01 00 23 14 00 02 00 14
        20 01 0d b8 00 0b 00 00 00 00 00 00 00 00 00 01 2d 19 00 07 00 64 00 00 02 04 00 01 00 02 03 0b
        02 00 00 32 00 00 13 88 13 92 11 01 03 00 00 00""",
        BindingUpdate(6, 0xC440, 60, (NetworkPrefix(Prefix.parse("2001:db8:1:2::/64")), BID1, BID2, FLOW)),
        HOA,
        HA,
    ),
    "V9": (
        "3b 02 00 00 20 dc 00 00 23 04 00 01 00 00 23 04 00 02 00 00 01 02 00 00",
        BindingRefreshRequest((BindingIdentifier(1), BindingIdentifier(2))),
        HA,
        HOA,
    ),
    "V10": (
        "3b 02 07 00 32 25 01 00 20 01 0d b8 00 00 00 01 00 00 00 00 00 00 01 00",
        BindingError(1, HOA),
        HA,
        COA1,
    ),
    "V11": (
        """3b 03 05 00 bb 22 00 08 c0 40 00 3c 01 04 00 00 00 00 23 08 00 03 00 1e c0 00 02 09 01 02 00 00""",
        BindingUpdate(8, 0xC040, 60, (BindingIdentifier(3, bytes((192, 0, 2, 9)), 30),)),
        HOA,
        HA,
    ),
    "V13": (
        "3b 02 10 00 20 aa 01 01 12 34 00 00 23 04 00 02 00 00 01 04 00 00 00 00",
        RevocationIndication(1, 0x1234, 0, (BindingIdentifier(2),)),
        HA,
        HOA,
    ),
    "V15": (
        "3b 03 05 00 56 6c 00 09 80 00 00 3c 04 04 00 01 00 02 05 0c fd 39 03 e3 89 a2 c9 27 36 64 f8 c4",
        BindingUpdate(
            9, 0x8000, 60, (NonceIndices(1, 2), AuthorizationData(bytes.fromhex("fd3903e389a2c9273664f8c4")))
        ),
        HOA,
        CN,
    ),
    "V17": (
        """3b 07 05 00 32 3f 00 0a c0 00 00 3c 08 10 01 6d 6e 31 40 65 78 61 6d 70 6c 65 2e 63 6f 6d 01 02
        00 00 0a 08 e0 00 00 00 12 34 56 78 00 09 11 01 00 00 01 00 b5 ec 6b 9c 24 9e e4 a2 e4 6b 53 23""",
        BindingUpdate(
            10,
            0xC000,
            60,
            (
                MobileNodeIdentifier(1, b"mn1@example.com"),
                MessageIdentifier(0xE000000012345678),
                MessageAuthentication(1, 256, bytes.fromhex("b5ec6b9c249ee4a2e46b5323")),
            ),
        ),
        HOA,
        HA,
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_decodes(name: str) -> None:
    text, message, source, destination = VECTORS[name]
    data = bytes.fromhex(text)
    assert decode_message(data, 0, len(data), source, destination) == message


@pytest.mark.parametrize("name", VECTORS)
def test_encodes(name: str) -> None:
    text, message, source, destination = VECTORS[name]
    assert encode_message(message, source, destination).hex(" ") == bytes.fromhex(text).hex(" ")


@pytest.mark.parametrize("name", VECTORS)
def test_decodes_inside_a_packet(name: str) -> None:
    text, message, source, destination = VECTORS[name]
    data = bytes.fromhex(text)
    assert decode_message(bytes(40) + data + b"tail", 40, 44 + len(data), source, destination) == message


# ICMPv6: what goes over the wire comes from the engines, what comes is read by the other end.

V18 = bytes.fromhex("90 00 95 ea 00 55 80 00")
V19 = bytes.fromhex("91 00 65 1d 00 55 80 00 20 01 0d b8 00 00 00 01 00 00 00 00 00 00 00 01")
V20 = bytes.fromhex("88 00 27 63 20 00 00 00 20 01 0d b8 00 00 00 01 00 00 00 00 00 00 01 00 02 01 02 00 00 00 00 01")
V21 = bytes.fromhex("88 00 a7 62 a0 00 00 00 20 01 0d b8 00 00 00 01 00 00 00 00 00 00 01 00 02 01 02 00 00 00 00 01")
HOME = Prefix.parse("2001:db8:0:1::/64")
ANYCAST = parse_address("2001:db8:0:1:fdff:ffff:ffff:fffe")
MAC = bytes.fromhex("020000000001")
LINK_LOCAL = parse_address("fe80::1")


def searching() -> MobileNode:
    """Return a mobile router that has just sent V18."""
    config = MobileNodeConfig(HOA, None, home_prefix=HOME, mobile_router=True)
    node = MobileNode(config, security=SecurityContext(0.0, lambda count: bytes((0, 0x55)) * (count // 2)))
    node.attach(1, COA1)
    node.register(0.0)
    return node


def test_v18_is_what_a_mobile_router_sends() -> None:
    (packet,) = searching().outbox()
    assert packet == ipv6_header(COA1, ANYCAST, 58, len(V18)) + V18


def test_v19_is_what_the_home_agent_answers_to_v18() -> None:
    provision = NodeProvision(HOA, mobile_router=True, prefixes=(Prefix.parse("2001:db8:1:2::/64"),))
    agent = HomeAgent(HomeAgentConfig((HomeNetwork(HOME, HA),), {HOA: provision}))
    agent.receive(ipv6_header(COA1, ANYCAST, 58, len(V18)) + V18, 0.0)
    (packet,) = agent.outbox()
    assert packet == ipv6_header(HA, COA1, 58, len(V19)) + V19


def test_v19_is_read_by_the_mobile_router() -> None:
    node = searching()
    node.receive(ipv6_header(HA, COA1, 58, len(V19)) + V19, 0.0)
    assert node.home_agent == HA


@pytest.mark.parametrize(("vector", "flags"), [(V20, OVERRIDE), (V21, ROUTER | OVERRIDE)], ids=["V20", "V21"])
def test_neighbor_advertisements_both_ways(vector: bytes, flags: int) -> None:
    packet = advertisement_packet(LINK_LOCAL, ALL_NODES, HOA, MAC, flags)
    assert packet == ipv6_header(LINK_LOCAL, ALL_NODES, 58, len(vector), hop_limit=255) + vector
    assert read_neighbour(LINK_LOCAL, ALL_NODES, 255, vector) == NeighbourMessage(HOA, flags, MAC)
    assert read_neighbour(LINK_LOCAL, ALL_NODES, 255, vector[:-1] + b"\x02") is None, "the checksum is verified"


@pytest.mark.parametrize(("vector", "router"), [(V20, False), (V21, True)], ids=["V20", "V21"])
def test_the_home_agent_sends_neighbor_advertisements(vector: bytes, *, router: bool) -> None:
    """The same octets from its own address: only the checksum, which counts the source, is another."""
    prefix = Prefix.parse("2001:db8:1:2::/64")
    provision = NodeProvision(HOA, mobile_router=router, prefixes=(prefix,) if router else ())
    network = HomeNetwork(HOME, HA, link=LinkKind.REAL, mac=MAC, duplicate_detection=False)
    agent = HomeAgent(HomeAgentConfig((network,), {HOA: provision}))
    update = BindingUpdate(1, 0xC400 if router else 0xC000, 60)
    agent.receive(encode_packet(COA1, HA, update, home_address=HOA), 0.0)
    (transaction,) = agent.transactions()
    agent.commit(transaction.number, 0.0)
    (sent,) = agent.link_outbox()
    assert (sent.packet[8:24], sent.packet[24:40], sent.packet[7]) == (HA, ALL_NODES, 255)
    assert sent.packet[40:42] + sent.packet[44:] == vector[:2] + vector[4:]


def test_the_tokens_and_keys_of_v15() -> None:
    kcn, nonce = bytes(range(20)), b"\xaa" * 8
    home, care_of = home_token(kcn, HOA, nonce), care_of_token(kcn, COA1, nonce)
    assert (home.hex(), care_of.hex()) == ("e553cb8b82e943d0", "adb38ffa0e0d1cb2")
    key = management_key(home, care_of)
    assert key.hex() == "b4dfb64e712e4bfa87968aee8e532f67e8a6b026"
    assert management_key(home).hex() == "107762bcfc80bbb9e6159602f644ac80d0c09380"
    text, message, source, destination = VECTORS["V15"]
    header = bytes.fromhex(text)
    signed = sign(BindingUpdate(9, 0x8000, 60, (NonceIndices(1, 2),)), key, COA1, CN)
    assert signed == message
    assert encode_message(signed, source, destination) == header
    assert is_genuine(signed, header, key, COA1, CN)
    assert not is_genuine(signed, header, management_key(home), COA1, CN)


def test_the_authenticator_of_v17() -> None:
    options = (MobileNodeIdentifier(1, b"mn1@example.com"), MessageIdentifier(0xE000000012345678))
    update = BindingUpdate(10, 0xC000, 60, options)
    header = authenticate(update, Key(bytes(range(16))), 256, COA1, HOA, HA, from_home_agent=False)
    assert header.hex(" ") == bytes.fromhex(VECTORS["V17"][0]).hex(" ")
