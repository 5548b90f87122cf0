"""The worked examples of the protocol digest, octet by octet, in both directions."""

import pytest

from controller.mobility.address import Address, Prefix, parse_address
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
