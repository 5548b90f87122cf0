"""tshark as a second opinion on RFC 5648: it must see in our packets what we mean."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from controller.mobility.address import Prefix, parse_address
from controller.mobility.wire import (
    AlternateCareOf,
    BindingAcknowledgement,
    BindingError,
    BindingIdentifier,
    BindingRefreshRequest,
    BindingUpdate,
    LinkLayerAddress,
    NetworkPrefix,
    encode_packet,
    parameter_problem,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.tshark,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not on PATH"),
]

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a1::1")
COA2 = parse_address("2001:db8:a2::1")
LINK_TYPE_RAW_IP = 101

UPDATE = BindingUpdate(
    515,
    0xC440,
    60,
    (
        NetworkPrefix(Prefix.parse("2001:db8:1:2::/64")),
        BindingIdentifier(1, COA1, 10),
        BindingIdentifier(2, COA2, 20, 0),
        BindingIdentifier(3, bytes((192, 0, 2, 9))),
        BindingIdentifier(65535, None, 0, 0, at_home=True),
        LinkLayerAddress(2, bytes.fromhex("020000000001")),
        AlternateCareOf(COA2),
    ),
)
PACKETS = {
    "update": encode_packet(COA1, HA, UPDATE, home_address=HOA),
    "acknowledgement": encode_packet(
        HA,
        COA1,
        BindingAcknowledgement(4, 515, 30, 0x40, (BindingIdentifier(1), BindingIdentifier(2, None, 0, 167))),
        routing_address=HOA,
    ),
    "refresh_request": encode_packet(HA, HOA, BindingRefreshRequest((BindingIdentifier(7), BindingIdentifier(8)))),
    "error": encode_packet(HA, COA1, BindingError(2, HOA)),
    "problem": parameter_problem(HA, COA1, 64, bytes(80)),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What tshark says about each packet."""
    directory: Path = tmp_path_factory.mktemp("tshark")
    capture = directory / "packets.pcap"
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINK_TYPE_RAW_IP)
    for packet in PACKETS.values():
        data += struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet
    capture.write_bytes(data)
    texts: dict[str, str] = {}
    tshark = shutil.which("tshark")
    assert tshark is not None
    run = subprocess.run(
        [tshark, "-n", "-r", str(capture), "-V"], capture_output=True, text=True, check=True, timeout=60
    )
    for name, text in zip(PACKETS, run.stdout.split("\nFrame "), strict=True):
        texts[name] = " ".join(text.split())
    return texts


def test_nothing_is_malformed(seen: dict[str, str]) -> None:
    for text in seen.values():
        assert "Malformed" not in text


@pytest.mark.parametrize(
    "phrase",
    [
        "Mobility Header Type: Binding Update (5)",
        "Sequence number: 515",
        "Lifetime: 60 (240 seconds)",
        "Acknowledge (A) flag: Binding Acknowledgement requested",
        "Mobile Router (R) flag: Mobile Router Compatibility",
        "Binding ID (BID): 1 ",
        "Binding ID (BID): 2 ",
        "Binding ID (BID): 3 ",
        "Binding ID (BID): 65535",
        "IPv6 care-of address (CoA): 2001:db8:a1::1",
        "IPv6 care-of address (CoA): 2001:db8:a2::1",
        "IPv4 care-of address (CoA): 192.0.2.9",
        "Mobile Network Prefix: 2001:db8:1:2::",
        "Mobile Network Prefix Length: 64",
        "Alternate care-of address: 2001:db8:a2::1",
        "Home Address: 2001:db8:0:1::100",
    ],
)
def test_update(seen: dict[str, str], phrase: str) -> None:
    assert phrase in seen["update"]


def test_home_link_flag(seen: dict[str, str]) -> None:
    flags = [part.split()[0] for part in seen["update"].split("Simultaneous Home and Foreign Binding (H): ")[1:]]
    assert flags == ["False", "False", "False", "True"]


@pytest.mark.parametrize(
    "phrase",
    [
        "Mobility Header Type: Binding Acknowledgement (6)",
        "Type: Type 2 Routing (2)",
        "Sequence number: 515",
        "Lifetime: 30 (120 seconds)",
        "Status: MCOA NOTCOMPLETE (4)",
        "Binding ID (BID): 2 Status: 167",
    ],
)
def test_acknowledgement(seen: dict[str, str], phrase: str) -> None:
    assert phrase in seen["acknowledgement"]


def test_acknowledgement_has_no_care_of_address(seen: dict[str, str]) -> None:
    assert "care-of address" not in seen["acknowledgement"]


def test_refresh_request(seen: dict[str, str]) -> None:
    for phrase in ("Binding Refresh Request (0)", "Binding ID (BID): 7", "Binding ID (BID): 8"):
        assert phrase in seen["refresh_request"]


def test_error(seen: dict[str, str]) -> None:
    for phrase in ("Binding Error (7)", "Home Address: 2001:db8:0:1::100", "(2)"):
        assert phrase in seen["error"]


def test_problem(seen: dict[str, str]) -> None:
    for phrase in ("Type: Parameter Problem (4)", "Pointer: 64", "[correct]"):
        assert phrase in seen["problem"]
