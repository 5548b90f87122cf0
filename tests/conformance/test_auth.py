"""AUTH: proof that a Binding Update comes from its home address (RFC 4283, RFC 4285, RFC 3776, RFC 4877).

Authenticators and ESP are made here by hand and by scapy, not by the home agent's own code.
"""

import hashlib
import hmac
import struct
from typing import Any

import pytest

from conformance import packets, requirement
from conformance.harness import COA1, COA2, HA, HOA, HOA2, Bed, acks, make_config
from conformance.packets import Ack, Option, bid, ip, lay_out, raw_option
from controller.mobility.address import Address
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import AuthPolicy, EspAssociation, EspPolicy, SecurityContext

KEY = bytes(range(16))
OTHER_KEY = b"the key of HOA2."
ESP_KEYS = {HOA: bytes(range(100, 148)), HOA2: bytes(range(10, 58))}
UNIX = 1_790_000_000
NTP_SECONDS = UNIX + 2_208_988_800
V17 = bytes.fromhex(
    """3b 07 05 00 32 3f 00 0a c0 00 00 3c 08 10 01 6d 6e 31 40 65 78 61 6d 70 6c 65 2e 63 6f 6d 01 02
    00 00 0a 08 e0 00 00 00 12 34 56 78 00 09 11 01 00 00 01 00 b5 ec 6b 9c 24 9e e4 a2 e4 6b 53 23"""
)
MN_HA, MN_AAA = 1, 2


def timestamp(bed: Bed, ahead: float = 0.0, fraction: int = 0x1234) -> Option:
    """Return a replay protection option with the time of day."""
    return raw_option(10, struct.pack("!II", int(NTP_SECONDS + bed.now + ahead), fraction), 8, 2)


def identifier(text: bytes = b"mn1@example.com") -> Option:
    """Return a mobile node identifier option."""
    return raw_option(8, b"\x01" + text)


def authentication(spi: int = 256, subtype: int = MN_HA, octets: int = 12) -> Option:
    """Return an authentication option that is not filled in."""
    return raw_option(9, struct.pack("!BI", subtype, spi) + bytes(octets), 4, 1)


def packet(sequence: int, *options: Option, key: bytes = KEY, spi: int = 256, home: bytes = HOA) -> bytes:
    """Return a Binding Update; MN-HA options of that SPI are filled in, of others not."""
    body = bytearray(struct.pack("!HHH", sequence, 0xC000, 60) + lay_out(options, 12))
    head = bytes((59, (6 + len(body)) // 8 - 1, 5, 0, 0, 0))
    mark = bytes((9, 17, MN_HA)) + spi.to_bytes(4)
    spot = bytes(body).find(mark)
    if spot >= 0:
        covered = head + bytes(body[: spot + 7])
        body[spot + 7 : spot + 19] = hmac.new(key, COA1 + home + covered, hashlib.sha1).digest()[:12]
    header = packets.mobility(5, bytes(body), home, HA)
    return packets.ipv6(COA1, HA, 60, packets.with_hao(home, 135, header))


def is_signed(ack: Ack, key: bytes = KEY) -> bool:
    """Tell by hand whether an answer is proved."""
    header = ack.packet.payload
    spot = header.index(bytes((9, 17, MN_HA)) + (256).to_bytes(4))
    data = ack.packet.destination + HOA + header[:4] + bytes(2) + header[6 : spot + 7]
    return header[spot + 7 : spot + 19] == hmac.new(key, data, hashlib.sha1).digest()[:12]


def answer(bed: Bed, octets: bytes) -> Ack:
    (ack,) = acks(bed.send(octets))
    return ack


@pytest.fixture
def auth() -> Bed:
    """Two nodes under RFC 4285, each with its own key."""
    return Bed(
        make_config(
            NodeProvision(Address(HOA), security=AuthPolicy(256, Key(KEY))),
            NodeProvision(Address(HOA2), security=AuthPolicy(300, Key(OTHER_KEY))),
        ),
        security=SecurityContext(float(UNIX), bytes),
    )


@pytest.fixture
def esp() -> Bed:
    """Two nodes under ESP, each with its own keys."""
    return Bed(
        make_config(
            *(
                NodeProvision(
                    Address(home),
                    security=EspPolicy(
                        EspAssociation(spi, Key(ESP_KEYS[home])),
                        EspAssociation(spi + 1, Key(ESP_KEYS[home][::-1])),
                    ),
                )
                for home, spi in ((HOA, 0x1000), (HOA2, 0x2000))
            ),
        ),
        security=SecurityContext(float(UNIX), bytes),
    )


def association(home: bytes, spi: int, key: bytes | None = None, sequence: int = 1) -> Any:
    """Return scapy's end of a node's association."""
    from scapy.layers.ipsec import ESP, SecurityAssociation

    material = key or ESP_KEYS[home]
    return SecurityAssociation(
        ESP,
        spi=spi,
        crypt_algo="AES-CBC",
        crypt_key=material[:16],
        auth_algo="SHA2-256-128",
        auth_key=material[16:],
        seq_num=sequence,
    )


def in_esp(octets: bytes, home: bytes = HOA, spi: int = 0x1000, sequence: int = 1) -> bytes:
    """Return a packet with its Mobility Header in ESP, by scapy."""
    from scapy.layers.inet6 import IPv6

    return bytes(association(home, spi, sequence=sequence).encrypt(IPv6(octets)))


@requirement("AUTH-01")
def test_auth_01_the_vector_is_accepted_and_answered_with_proof(auth: Bed) -> None:
    auth.now = 0xE0000000 - NTP_SECONDS + 1.0
    ack = answer(auth, packets.ipv6(COA1, HA, 60, packets.with_hao(HOA, 135, V17)))
    assert (ack.status, ack.sequence) == (0, 10)
    assert is_signed(ack)
    assert ack.option(10) == bytes.fromhex("e000000012345678")
    assert ack.options[-1][0] == 9
    assert auth.care_of() == {0: COA1}


@requirement("AUTH-01")
def test_auth_01_options_are_covered_and_the_checksum_is_not(auth: Bed) -> None:
    octets = packet(1, bid(1, COA2), timestamp(auth), authentication())
    assert octets[68:70] != bytes(2)
    assert answer(auth, octets).bids == [(1, 0)]
    assert auth.care_of() == {1: COA2}


@requirement("AUTH-02")
def test_auth_02_a_wrong_authenticator_is_146_with_proof(auth: Bed) -> None:
    good = packet(1, timestamp(auth), authentication())
    for bit in range(8):
        header = bytearray(good[64:])
        header[-1 - bit] ^= 1 << bit
        damaged = packets.mobility(5, bytes(header[6:]), HOA, HA)
        ack = answer(auth, packets.ipv6(COA1, HA, 60, packets.with_hao(HOA, 135, damaged)))
        assert (ack.status, ack.sequence) == (146, 1)
        assert is_signed(ack)
    assert not auth.bindings()
    assert answer(auth, good).status == 0


@requirement("AUTH-02")
def test_auth_02_a_changed_care_of_address_is_146(auth: Bed) -> None:
    good = packet(1, timestamp(auth), authentication())
    ack = answer(auth, good[:8] + COA2 + good[24:])
    assert (ack.status, ack.packet.destination) == (146, COA2)
    assert not auth.bindings()


@requirement("AUTH-03")
def test_auth_03_an_unknown_spi_is_dropped(auth: Bed) -> None:
    auth.silence(packet(1, timestamp(auth), authentication(9999), spi=9999))


@requirement("AUTH-03")
def test_auth_03_no_authenticator_is_dropped(auth: Bed) -> None:
    auth.silence(packet(1, timestamp(auth)))


@requirement("AUTH-04")
def test_auth_04_mn_aaa_before_mn_ha_is_dropped(auth: Bed) -> None:
    aaa = authentication(3, MN_AAA, 20)
    auth.silence(packet(1, timestamp(auth), aaa, authentication()))
    assert answer(auth, packet(2, timestamp(auth), authentication(), aaa)).status == 0


@requirement("AUTH-04")
def test_auth_04_an_option_after_the_authenticator_is_dropped(auth: Bed) -> None:
    auth.silence(packet(1, timestamp(auth), authentication(), bid(1, COA2)))


@requirement("AUTH-05")
def test_auth_05_a_replay_is_144_with_the_home_agents_seconds(auth: Bed) -> None:
    replayed = packet(1, timestamp(auth, fraction=0xABCD), authentication())
    assert answer(auth, replayed).status == 0
    before = auth.bindings()
    auth.now += 4
    ack = answer(auth, replayed)
    assert (ack.status, ack.sequence) == (144, 1)
    assert ack.option(10) == struct.pack("!II", int(NTP_SECONDS + auth.now), 0xABCD)
    assert is_signed(ack)
    assert auth.bindings() == before


@requirement("AUTH-05")
@pytest.mark.parametrize(("ahead", "status"), [(-8, 144), (-6, 0), (6, 0), (8, 144)])
def test_auth_05_a_timestamp_is_at_most_7_seconds_off(auth: Bed, ahead: float, status: int) -> None:
    assert answer(auth, packet(1, timestamp(auth, ahead, 0), authentication())).status == status


@requirement("AUTH-06")
def test_auth_06_a_missing_timestamp_is_145(auth: Bed) -> None:
    ack = answer(auth, packet(1, authentication()))
    assert ack.status == 145
    assert is_signed(ack)
    assert not auth.bindings()


@requirement("AUTH-07")
def test_auth_07_the_identifier_comes_before_the_authenticator(auth: Bed) -> None:
    auth.silence(packet(1, timestamp(auth), authentication(), identifier()))
    assert answer(auth, packet(2, identifier(), timestamp(auth), authentication())).status == 0


@requirement("AUTH-08")
def test_auth_08_an_update_in_the_clear_is_dropped(esp: Bed) -> None:
    clear = esp.update(bid(1, COA1))
    esp.silence(clear)
    (seen,) = esp.send(in_esp(clear))
    assert (seen.protocol, seen.routing, seen.destination) == (50, HOA, COA1)
    assert esp.care_of() == {1: COA1}


@requirement("AUTH-08")
def test_auth_08_the_answer_is_in_esp(esp: Bed) -> None:
    from scapy.layers.inet6 import IPv6

    (seen,) = esp.send(in_esp(esp.update(bid(1, COA1), sequence=77)))
    opened = association(HOA, 0x1001, ESP_KEYS[HOA][::-1]).decrypt(IPv6(seen.octets))
    ack = packets.acknowledgement(packets.parse(bytes(opened)))
    assert (ack.status, ack.sequence, ack.bids) == (0, 77, [(1, 0)])


@requirement("AUTH-09")
def test_auth_09_a_key_registers_its_own_home_address_only(esp: Bed) -> None:
    for home, spi in ((HOA2, 0x1000), (HOA, 0x2000), (ip("2001:db8:0:1::300"), 0x1000)):
        owner = HOA if spi == 0x1000 else HOA2
        esp.silence(in_esp(esp.update(bid(1, COA1), home=home), owner, spi))
    swapped = in_esp(esp.update(bid(1, COA1)))
    esp.silence(swapped[:48] + HOA2 + swapped[64:])
    assert not esp.bindings()


@requirement("BU-12")
def test_bu_12_an_association_is_bound_to_its_home_address(esp: Bed) -> None:
    # Each of two nodes registers the other over its own association.
    esp.silence(in_esp(esp.update(bid(1, COA1), home=HOA2), HOA, 0x1000))
    esp.silence(in_esp(esp.update(bid(1, COA1), home=HOA), HOA2, 0x2000))
    assert not esp.bindings()


@requirement("AUTH-09")
def test_auth_09_the_key_of_an_authenticator_neither(auth: Bed) -> None:
    auth.silence(packet(1, timestamp(auth), authentication(300), key=OTHER_KEY, spi=300))
    assert answer(auth, packet(2, timestamp(auth), authentication(), key=OTHER_KEY)).status == 146
    assert not auth.bindings()
