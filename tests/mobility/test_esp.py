"""ESP on its own: against scapy's implementation both ways, padding, windows, and what is no ESP of ours."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.mobility.address import format_address
from controller.mobility.security.esp import (
    LAST_SEQUENCE,
    MAXIMUM_LENGTH,
    EspError,
    EspReceiver,
    EspSender,
    SequenceExhaustedError,
    make_transform,
)
from controller.mobility.security.esp_packet import open_packet, seal_packet
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import EspAlgorithm, EspAssociation
from controller.mobility.security.replay import ReplayWindow
from controller.mobility.wire import BindingAcknowledgement, BindingUpdate, decode_packet, encode_packet
from security_kit import COA1, HA, HOA, UNIX, esp

ALGORITHMS = list(EspAlgorithm)
MOBILITY = 135


def ends(
    algorithm: EspAlgorithm = EspAlgorithm.AES_128_CBC_SHA_256, window: int = 1024
) -> tuple[EspSender, EspReceiver]:
    association = esp(algorithm).from_node
    randbytes = Random(3).randbytes
    return (
        EspSender(association.spi, make_transform(association, randbytes)),
        EspReceiver(make_transform(association, randbytes), window),
    )


def update(**details: Any) -> bytes:
    return encode_packet(COA1, HA, BindingUpdate(1, 0xC000, 60), home_address=HOA, **details)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("length", [1, 8, 13, 14, 15, 16, 17, 30, 64, 2048])
def test_what_one_end_seals_the_other_opens(algorithm: EspAlgorithm, length: int) -> None:
    sender, receiver = ends(algorithm)
    message = Random(length).randbytes(length)
    packet = sender.seal(message, MOBILITY, UNIX)
    assert message[:8] not in packet or length < 8
    assert receiver.open(packet) == (message, MOBILITY)
    assert len(packet) <= MAXIMUM_LENGTH


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_bit_is_covered(algorithm: EspAlgorithm) -> None:
    sender, receiver = ends(algorithm)
    packet = sender.seal(b"sixteen octets..", MOBILITY, UNIX)
    for bit in range(32, 8 * len(packet)):  # before that is the SPI, which names the association
        damaged = bytearray(packet)
        damaged[bit // 8] ^= 0x80 >> bit % 8
        with pytest.raises(EspError):
            receiver.open(bytes(damaged))
    assert receiver.open(packet) == (b"sixteen octets..", MOBILITY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_key_opens_nothing(algorithm: EspAlgorithm) -> None:
    sender, _ = ends(algorithm)
    wrong = EspAssociation(0x1000, Key(bytes(algorithm.key_octets)), algorithm)
    receiver = EspReceiver(make_transform(wrong, Random(1).randbytes), 64)
    with pytest.raises(EspError, match="integrity"):
        receiver.open(sender.seal(b"text", MOBILITY, UNIX))


def test_a_vector_is_never_used_twice_and_a_later_start_begins_above() -> None:
    sender, _ = ends(EspAlgorithm.AES_128_GCM_16)
    vectors = [sender.seal(b"text", MOBILITY, UNIX)[8:16] for _ in range(100)]
    restarted, _ = ends(EspAlgorithm.AES_128_GCM_16)
    vectors += [restarted.seal(b"text", MOBILITY, UNIX + 0.001)[8:16] for _ in range(100)]
    assert len(set(vectors)) == 200
    assert vectors == sorted(vectors)


def test_a_sender_that_was_restarted_is_still_heard() -> None:
    sender, receiver = ends()
    for _ in range(30):
        receiver.open(sender.seal(b"text", MOBILITY, UNIX))
    restarted, _ = ends()
    assert receiver.open(restarted.seal(b"text", MOBILITY, UNIX + 10)) == (b"text", MOBILITY)


def test_sequence_numbers_never_wrap() -> None:
    association = esp().from_node
    sender = EspSender(association.spi, make_transform(association, Random(1).randbytes), LAST_SEQUENCE - 1)
    assert sender.seal(b"text", MOBILITY, UNIX)[4:8] == b"\xff\xff\xff\xff"
    for _ in range(2):
        with pytest.raises(SequenceExhaustedError, match="SPI 4096"):
            sender.seal(b"text", MOBILITY, UNIX)


@pytest.mark.parametrize("octets", [b"", bytes(8), bytes(9), bytes(40), bytes(41), bytes(MAXIMUM_LENGTH + 1)])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_no_esp_is_refused(algorithm: EspAlgorithm, octets: bytes) -> None:
    _, receiver = ends(algorithm)
    with pytest.raises(EspError):
        receiver.open(octets)


def test_sequence_number_zero_is_refused() -> None:
    association = esp().from_node
    transform = make_transform(association, Random(1).randbytes)
    packet = EspSender(association.spi, transform, -1).seal(b"text", MOBILITY, UNIX)
    assert packet[4:8] == bytes(4)
    with pytest.raises(EspError, match="replay"):
        EspReceiver(transform, 64).open(packet)
    assert EspReceiver(transform, 0).open(packet) == (b"text", MOBILITY)


# The window


@given(st.lists(st.integers(1, 400), max_size=200), st.sampled_from([64, 128]))
def test_the_window_against_a_list_of_all_that_came(numbers: list[int], size: int) -> None:
    window = ReplayWindow(size)
    seen: set[int] = set()
    for number in numbers:
        fresh = number not in seen and number > max(seen, default=0) - size
        assert window.is_fresh(number) == fresh
        assert window.is_fresh(number) == fresh  # asking changes nothing
        if fresh:
            window.note(number)
            seen.add(number)


def test_a_number_far_ahead_costs_no_memory() -> None:
    window = ReplayWindow(64)
    window.note(1)
    window.note(LAST_SEQUENCE)
    assert not window.is_fresh(1)
    assert not window.is_fresh(LAST_SEQUENCE)
    assert window.is_fresh(LAST_SEQUENCE - 63)
    assert not window.is_fresh(LAST_SEQUENCE - 64)


# In a packet


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "packet",
    [
        update(),
        encode_packet(HA, COA1, BindingAcknowledgement(0, 1, 60), routing_address=HOA),
        encode_packet(HA, HOA, BindingAcknowledgement(0, 1, 60)),
    ],
    ids=["home address option", "routing header", "plain"],
)
def test_esp_stands_between_extension_headers_and_message(algorithm: EspAlgorithm, packet: bytes) -> None:
    sender, receiver = ends(algorithm)
    sealed = seal_packet(sender, packet, UNIX)
    plain, outer = decode_packet(packet), decode_packet(sealed)
    assert outer.protocol == 50
    assert outer.payload == plain.payload
    assert (outer.source, outer.destination) == (plain.source, plain.destination)
    assert (outer.home_address, outer.routing_address) == (plain.home_address, plain.routing_address)
    assert open_packet(receiver, sealed, outer.payload, len(sealed)) == packet


@pytest.mark.parametrize("protocol", [0, 4, 17, 41, 43, 44, 50, 59, 60, 255])
def test_esp_carries_nothing_else_than_signalling(protocol: int) -> None:
    sender, receiver = ends()
    packet = update()
    esp_packet = sender.seal(packet[64:], protocol, UNIX)
    with pytest.raises(EspError, match="protocol"):
        open_packet(receiver, packet[:64] + esp_packet, 64, 64 + len(esp_packet))


# scapy has its own ESP: what it seals we open, and the other way around

SCAPY = {
    EspAlgorithm.AES_128_CBC_SHA_256: ("AES-CBC", "SHA2-256-128"),
    EspAlgorithm.AES_256_CBC_SHA_256: ("AES-CBC", "SHA2-256-128"),
    EspAlgorithm.AES_128_GCM_16: ("AES-GCM", None),
    EspAlgorithm.AES_256_GCM_16: ("AES-GCM", None),
}


def scapy_association(algorithm: EspAlgorithm, **more: Any) -> Any:
    from scapy.layers.ipsec import ESP, SecurityAssociation

    association = esp(algorithm).from_node
    material = association.key.reveal()
    cipher, mac = SCAPY[algorithm]
    if mac is None:
        keys = {"crypt_key": material}
    else:
        keys = {"crypt_key": material[: algorithm.cipher_octets], "auth_key": material[algorithm.cipher_octets :]}
    return SecurityAssociation(ESP, spi=association.spi, crypt_algo=cipher, auth_algo=mac, **keys, **more)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_scapy_opens_what_we_seal(algorithm: EspAlgorithm) -> None:
    from scapy.layers.inet6 import IPv6

    sender, _ = ends(algorithm)
    packet = update()
    sealed = seal_packet(sender, packet, UNIX)
    opened = scapy_association(algorithm).decrypt(IPv6(sealed))
    assert bytes(opened) == packet


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_we_open_what_scapy_seals(algorithm: EspAlgorithm) -> None:
    from scapy.layers.inet6 import IPv6

    _, receiver = ends(algorithm)
    packet = update()
    sealed = bytes(scapy_association(algorithm, seq_num=77).encrypt(IPv6(packet)))
    outer = decode_packet(sealed)
    assert outer.protocol == 50
    assert outer.home_address == HOA
    assert open_packet(receiver, sealed, outer.payload, len(sealed)) == packet
    assert format_address(outer.source) == "2001:db8:a::1"
