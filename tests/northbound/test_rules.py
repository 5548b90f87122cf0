"""The JSON Schemas of requests against the validators behind them, judged by another implementation of JSON Schema."""

import ipaddress
from typing import Any

import httpx
import jsonschema_rs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from controller.mobility.address import is_routable_unicast, parse_address
from controller.northbound import create_app
from controller.northbound.fields import ROUTABLE
from fake_control import OPEN, FakeControl

NODE = "/v1/nodes/2001:db8:0:1::200"
KEYS = {"key": "a1" * 48, "reply_key": "b2" * 48}


def spellings(address: ipaddress.IPv6Address) -> set[str]:
    groups = address.exploded.split(":")
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    short = [group.lstrip("0") or "0" for group in groups]
    mixed = str(ipaddress.IPv6Address(int(address) >> 32 << 32 | 0x10001))[: -len("1:1")]
    found = {str(address), address.exploded, address.exploded.upper(), ":".join(short), f"{':'.join(groups[:6])}:{low}"}
    found.add(f"{mixed}{low}")
    return {text for text in found if _spells(text, address)}


def _spells(text: str, address: ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.IPv6Address(text) == address
    except ValueError:
        return False


NEAR_THE_EDGES = st.one_of(
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**40),
    st.integers(0, 2**34).map(lambda low: low + (0xFFFF << 32)),
    st.integers(0, 2**24).map(lambda high: (0xFE8 << 116) + (high << 96) - (1 << 100)),
)


@given(NEAR_THE_EDGES.map(ipaddress.IPv6Address))
@example(ipaddress.IPv6Address("::"))
@example(ipaddress.IPv6Address("::ff"))
@example(ipaddress.IPv6Address("::100"))
@example(ipaddress.IPv6Address("::ffff:0:0"))
@example(ipaddress.IPv6Address("0:0:0:0:ffff:0:0:1"))
@example(ipaddress.IPv6Address("0:ffff::"))
@example(ipaddress.IPv6Address("::1:ffff:0:1"))
def test_the_schema_of_an_address_tells_routable_ones_from_others(address: ipaddress.IPv6Address) -> None:
    schema = jsonschema_rs.validator_for({"type": "string", **ROUTABLE}, validate_formats=True)
    for text in spellings(address):
        assert schema.is_valid(text) is is_routable_unicast(parse_address(text)), text


def validator(name: str) -> Any:
    document = create_app(FakeControl(), OPEN).openapi()
    return jsonschema_rs.validator_for({**document, "$ref": f"#/components/schemas/{name}"}, validate_formats=True)


@pytest.fixture(scope="module")
def policies() -> Any:
    return validator("PolicyRequest")


@pytest.fixture(scope="module")
def provisions() -> Any:
    return validator("ProvisionRequest")


async def agree(client: httpx.AsyncClient, path: str, schema: Any, body: Any, *, good: bool) -> None:
    answer = await client.put(path, json=body)
    assert answer.is_success is good, answer.text
    assert schema.is_valid(body) is good, "the schema says the same"


POLICIES = [
    ({"priority": 1, "bid": 1}, True),
    ({"priority": 1.0, "bid": 1}, True),
    ({"priority": 1.5, "bid": 1}, False),
    ({"priority": True, "bid": 1}, False),
    ({"priority": "1", "bid": 1}, False),
    ({"priority": 1}, False),
    ({"priority": 1, "bid": None}, False),
    ({"priority": 1, "bid": 1, "bids": [2]}, False),
    ({"priority": 1, "action": "drop"}, True),
    ({"priority": 1, "action": "drop", "bid": 1}, False),
    ({"priority": 1, "action": "balance", "shares": [{"bid": 1}]}, True),
    ({"priority": 1, "action": "balance", "bids": [1]}, False),
    ({"priority": 1, "action": "replicate", "bids": [1, 2]}, True),
    ({"priority": 1, "action": "replicate", "bids": [1, 1]}, False),
    ({"priority": 1, "action": "replicate", "bids": []}, False),
    ({"priority": 1, "bid": 1, "fallback": True}, True),
    ({"priority": 1, "bid": 1, "fallback": True, "selector": {"dscp": None}}, True),
    ({"priority": 1, "bid": 1, "fallback": True, "selector": {"dscp": 1}}, False),
    ({"priority": 1, "bid": 1, "selector": {"protocol": "tcp", "destination_ports": 443}}, True),
    ({"priority": 1, "bid": 1, "selector": {"protocol": 6, "destination_ports": "443"}}, True),
    ({"priority": 1, "bid": 1, "selector": {"destination_ports": "80-443"}}, True),
    ({"priority": 1, "bid": 1, "selector": {"destination_ports": "65536"}}, False),
    ({"priority": 1, "bid": 1, "selector": {"destination_ports": "00080"}}, True),
    ({"priority": 1, "bid": 1, "selector": {"destination_ports": "000080"}}, False),
    ({"priority": 1, "bid": 1, "selector": {"protocol": "icmpv6", "destination_ports": 443}}, False),
    ({"priority": 1, "bid": 1, "selector": {"protocol": 58, "source_ports": 443}}, False),
    ({"priority": 1, "bid": 1, "selector": {"protocol": "esp", "spi": 256}}, True),
    ({"priority": 1, "bid": 1, "selector": {"protocol": 50, "spi": 256}}, True),
    ({"priority": 1, "bid": 1, "selector": {"protocol": "udp", "spi": 256}}, False),
    ({"priority": 1, "bid": 1, "selector": {"spi": 256, "source_ports": 1}}, False),
    ({"priority": 1, "bid": 1, "schedule": {"not_before": "2026-11-24T08:00:00Z"}}, True),
    ({"priority": 1, "bid": 1, "schedule": {"not_before": 1764000000}}, False),
    ({"priority": 1, "bid": 1, "schedule": {"not_before": "1764000000"}}, False),
    ({"priority": 1, "bid": 1, "schedule": {"not_before": "2026-11-24T08:00:00"}}, False),
]


@pytest.mark.parametrize(("body", "good"), POLICIES)
async def test_policies(client: httpx.AsyncClient, policies: Any, body: Any, good: bool) -> None:  # noqa: FBT001  a case
    await agree(client, f"{NODE}/policies/x", policies, body, good=good)


PROVISIONS = [
    ({}, True),
    ({"max_bindings": 8.0}, True),
    ({"mobile_router": True, "prefixes": ["2001:db8:f01::/56"]}, True),
    ({"prefixes": ["2001:db8:f01::/56"]}, False),
    ({"mobile_router": False, "prefixes": ["2001:db8:f01::/56"]}, False),
    ({"mobile_router": True, "prefixes": ["2001:db8:f01::/56", "2001:db8:f01::/56"]}, False),
    ({"home_ipv4": "192.0.2.7"}, True),
    ({"home_ipv4": "223.255.255.255"}, True),
    ({"home_ipv4": "224.0.0.1"}, False),
    ({"home_ipv4": "127.0.0.1"}, False),
    ({"home_ipv4": "0.0.0.0"}, False),
    ({"home_ipv4": "192.0.2.07"}, False),
    ({"home_ipv4": "2001:db8::1"}, False),
    ({"home_ipv4": 3221225991}, False),
    ({"security": {"kind": "none", "spi": 256}}, False),
    ({"security": {"spi": 256}}, False),
    ({"security": {"kind": "auth", "spi": 256, "key": "a1" * 16}}, True),
    ({"security": {"kind": "auth", "spi": 255, "key": "a1" * 16}}, False),
    ({"security": {"kind": "auth", "spi": 256, "key": "a1" * 15}}, False),
    ({"security": {"kind": "auth", "spi": 256, "key": "a1 " * 16}}, False),
    ({"security": {"kind": "auth", "key": "a1" * 16}}, False),
    ({"security": {"kind": "auth", "spi": 256, "key": "a1" * 16, "replay_window": 64}}, False),
    ({"security": {"kind": "esp", "spi": 256, "reply_spi": 257, **KEYS}}, True),
    ({"security": {"kind": "esp", "spi": 256, "reply_spi": 257, **KEYS, "algorithm": None}}, True),
    ({"security": {"kind": "esp", "spi": 256, **KEYS}}, False),
    ({"security": {"kind": "esp", "spi": 256, "reply_spi": 257, **KEYS, "algorithm": "aes-128-gcm-16"}}, False),
    ({"security": {"kind": "esp", "spi": 256, "reply_spi": 257, **KEYS, "replay_window": 100}}, False),
    ({"security": {"kind": "esp", "spi": 256, "reply_spi": 257, **KEYS, "mn_id": "n"}}, False),
]


@pytest.mark.parametrize(("body", "good"), PROVISIONS)
async def test_provisions(client: httpx.AsyncClient, provisions: Any, body: Any, good: bool) -> None:  # noqa: FBT001  a case
    await agree(client, "/v1/nodes/2001:db8:0:1::300/provision", provisions, body, good=good)


@given(st.integers(0, 99_999), st.integers(0, 99_999))
def test_ranges_of_ports(policies: Any, low: int, high: int) -> None:
    assume(low <= high)
    body = {"priority": 1, "bid": 1, "selector": {"source_ports": f"{low}-{high}"}}
    assert policies.is_valid(body) is (high <= 65535)
