"""Addresses and prefixes: text at the edges, octets inside."""

import pytest

from controller.mobility.address import (
    Prefix,
    format_address,
    format_ipv4,
    is_ipv4_unicast,
    is_routable_unicast,
    parse_address,
    parse_ipv4,
)


def test_text_and_octets_belong_together() -> None:
    octets = parse_address("2001:DB8::0:1")
    assert octets == bytes.fromhex("20010db8000000000000000000000001")
    assert format_address(octets) == "2001:db8::1"


@pytest.mark.parametrize("text", ["", "192.0.2.1", "2001:db8::/64", "fe80::1%eth0", "2001:db8:::1"])
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(text)


@pytest.mark.parametrize("text", ["2001:db8::1", "fc00::1", "fec0::1", "64:ff9b::1"])
def test_unicast_addresses_can_be_routed(text: str) -> None:
    assert is_routable_unicast(parse_address(text))


@pytest.mark.parametrize("text", ["::", "::1", "fe80::1", "febf::1", "ff02::1", "ff0e::1", "::ffff:192.0.2.1"])
def test_other_addresses_cannot(text: str) -> None:
    assert not is_routable_unicast(parse_address(text))


def test_a_prefix_holds_its_addresses() -> None:
    prefix = Prefix.parse("2001:db8:8000::/33")
    assert parse_address("2001:db8:ffff::1") in prefix
    assert parse_address("2001:db8:7fff::1") not in prefix
    assert prefix.length not in prefix
    assert str(prefix) == "2001:db8:8000::/33"
    assert parse_address("::1") in Prefix.parse("::/0")


def test_a_prefix_with_host_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="host bits"):
        Prefix.parse("2001:db8::1/64")


def test_ipv4_text_and_octets_belong_together() -> None:
    assert parse_ipv4("192.0.2.1") == bytes((192, 0, 2, 1))
    assert format_ipv4(parse_ipv4("192.0.2.1")) == "192.0.2.1"
    with pytest.raises(ValueError, match=r"192\.0\.2"):
        parse_ipv4("192.0.2")


@pytest.mark.parametrize(
    ("text", "unicast"),
    [("10.0.0.1", True), ("223.255.255.255", True), ("0.0.0.1", False), ("127.0.0.1", False), ("224.0.0.1", False)],
)
def test_which_ipv4_addresses_a_host_may_have(text: str, *, unicast: bool) -> None:
    assert is_ipv4_unicast(parse_ipv4(text)) is unicast
