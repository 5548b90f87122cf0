import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from controller.northbound.limits import MAX_BODY, BodyLimit
from fake_control import FakeControl

NODE = "2001:db8:0:1::100"
POLICY = f"/v1/nodes/{NODE}/policies/video"


def check(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return the problem document of an answer after looking at its form (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:mcoa:problem:")
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == answer.request.url.path
    return body


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nodes/2001:db8:0:1::999",
        "/v1/nodes/2001:db8:0:1::999/bindings",
        "/v1/nodes/2001:db8:0:1::999/policies",
        "/v1/nodes/2001:db8:0:1::999/policies/x",
        "/v1/switches/s9",
        POLICY,
        "/",
        "/v1/nodes/",
        "/v1/nothing",
    ],
)
async def test_unknown_things_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    check(await client.get(path), 404)


async def test_policies_of_an_unknown_node_are_not_taken(client: httpx.AsyncClient, control: FakeControl) -> None:
    path = "/v1/nodes/2001:db8:0:1::999/policies/x"
    assert "2001:db8:0:1::999" in check(await client.put(path, json={"priority": 1, "bid": 1}), 404)["detail"]
    check(await client.delete(path), 404)
    assert not control.kept


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/nodes", "GET"),
        ("/health", "GET"),
        ("/docs", "GET"),
        (POLICY, "DELETE, GET, PUT"),
        ("/v1/switches/s1/drain", "DELETE, PUT"),
    ],
)
async def test_a_method_that_a_resource_lacks(client: httpx.AsyncClient, method: str, path: str, allowed: str) -> None:
    answer = await client.request(method, path)
    check(answer, 405)
    assert answer.headers["allow"] == allowed


async def test_a_priority_belongs_to_one_policy(client: httpx.AsyncClient) -> None:
    await client.put(POLICY, json={"priority": 1, "bid": 1})
    body = check(await client.put(f"/v1/nodes/{NODE}/policies/other", json={"priority": 1, "bid": 2}), 409)
    assert "'video'" in body["detail"]


@pytest.mark.parametrize("status", [404, 409, 422, 503])
async def test_what_the_service_refuses_is_told(client: httpx.AsyncClient, control: FakeControl, status: int) -> None:
    control.fail_with(status)
    body = check(await client.put(POLICY, json={"priority": 1, "bid": 1}), status)
    assert body["detail"] == str(control.failure)
    check(await client.delete(POLICY), status)


async def test_an_internal_failure_tells_nothing_of_the_inside(client: httpx.AsyncClient, control: FakeControl) -> None:
    control.fail_with(500)
    body = check(await client.put(POLICY, json={"priority": 1, "bid": 1}), 500)
    assert "secret" not in str(body)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"priority": 1}, ""),
    ({"bid": 1}, "priority"),
    ({"priority": 0, "bid": 1}, "priority"),
    ({"priority": 65536, "bid": 1}, "priority"),
    ({"priority": "1", "bid": 1}, "priority"),
    ({"priority": True, "bid": 1}, "priority"),
    ({"priority": 1.5, "bid": 1}, "priority"),
    ({"priority": 1, "bid": 0}, "bid"),
    ({"priority": 1, "bid": None}, ""),
    ({"priority": 1, "action": "drop", "bid": 1}, ""),
    ({"priority": 1, "action": "balance"}, ""),
    ({"priority": 1, "action": "balance", "shares": []}, "shares"),
    ({"priority": 1, "action": "balance", "shares": [{"bid": 1, "weight": 65}]}, "shares.0.weight"),
    ({"priority": 1, "action": "balance", "shares": [{"bid": 1}, {"bid": 1}]}, ""),
    ({"priority": 1, "action": "replicate", "bids": [1, 1]}, ""),
    ({"priority": 1, "action": "replicate", "bids": list(range(1, 10))}, "bids"),
    ({"priority": 1, "action": "teleport", "bid": 1}, "action"),
    ({"priority": 1, "bid": 1, "fallback": True, "selector": {"protocol": "udp"}}, ""),
    ({"priority": 1, "bid": 1, "schedule": {"begins": "24:00"}}, "schedule.begins"),
    ({"priority": 1, "bid": 1, "schedule": {"days": ["monday"]}}, "schedule.days.0"),
    ({"priority": 1, "bid": 1, "schedule": {"not_before": "2026-01-01T00:00:00"}}, "schedule.not_before"),
    (
        {
            "priority": 1,
            "bid": 1,
            "schedule": {"not_before": "2026-01-02T00:00:00Z", "not_after": "2026-01-01T00:00:00Z"},
        },
        "schedule",
    ),
    ({"priority": 1, "bid": 1, "colour": "red"}, "colour"),
    ({"priority": 1, "bid": 1, "selector": []}, "selector"),
    ({"priority": 1, "bid": 1, "selector": {"dport": 1}}, "selector.dport"),
    ({"priority": 1, "bid": 1, "selector": {"source": "2001:db8::1/64"}}, "selector.source"),
    ({"priority": 1, "bid": 1, "selector": {"source": "2001:db8::1"}}, "selector.source"),
    ({"priority": 1, "bid": 1, "selector": {"source": "10.0.0.0/8"}}, "selector.source"),
    ({"priority": 1, "bid": 1, "selector": {"destination": 5}}, "selector.destination"),
    ({"priority": 1, "bid": 1, "selector": {"protocol": "quic"}}, "selector.protocol"),
    ({"priority": 1, "bid": 1, "selector": {"protocol": 256}}, "selector.protocol"),
    ({"priority": 1, "bid": 1, "selector": {"protocol": True}}, "selector.protocol"),
    ({"priority": 1, "bid": 1, "selector": {"protocol": ["tcp"]}}, "selector.protocol"),
    ({"priority": 1, "bid": 1, "selector": {"source_ports": "9-3"}}, "selector.source_ports"),
    ({"priority": 1, "bid": 1, "selector": {"source_ports": "1-2-3"}}, "selector.source_ports"),
    ({"priority": 1, "bid": 1, "selector": {"source_ports": 65536}}, "selector.source_ports"),
    ({"priority": 1, "bid": 1, "selector": {"source_ports": -1}}, "selector.source_ports"),
    ({"priority": 1, "bid": 1, "selector": {"source_ports": "٣"}}, "selector.source_ports"),
    ({"priority": 1, "bid": 1, "selector": {"source_ports": {}}}, "selector.source_ports"),
    ({"priority": 1, "bid": 1, "selector": {"dscp": 64}}, "selector.dscp"),
    ({"priority": 1, "bid": 1, "selector": {"flow_label": 1 << 20}}, "selector.flow_label"),
    ({"priority": 1, "bid": 1, "selector": {"spi": 1 << 32}}, "selector.spi"),
    ({"priority": 1, "bid": 1, "selector": {"protocol": "icmpv6", "source_ports": 1}}, "selector"),
    ({"priority": 1, "bid": 1, "selector": {"protocol": "tcp", "spi": 1}}, "selector"),
    ({"priority": 1, "bid": 1, "selector": {"source_ports": 1, "spi": 1}}, "selector"),
]


@pytest.mark.parametrize(("body", "field"), FAULTS)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, control: FakeControl, body: dict[str, Any], field: str
) -> None:
    errors = check(await client.put(POLICY, json=body), 422)["errors"]
    assert [(error["part"], error["field"]) for error in errors] == [("body", field)]
    assert errors[0]["reason"]
    assert not control.kept


async def test_all_wrong_fields_are_named_at_once(client: httpx.AsyncClient) -> None:
    body = {"priority": 0, "bid": 0, "selector": {"protocol": "x", "dscp": -1}}
    errors = check(await client.put(POLICY, json=body), 422)["errors"]
    assert {error["field"] for error in errors} == {"priority", "bid", "selector.protocol", "selector.dscp"}


@pytest.mark.parametrize(
    "address", ["x", "10.0.0.1", "::", "::1", "ff02::1", "fe80::1", "2001:db8::1%25eth0", "1" * 99]
)
async def test_a_home_address_that_cannot_be_one(client: httpx.AsyncClient, address: str) -> None:
    body = check(await client.get(f"/v1/nodes/{address}"), 422)
    assert [(error["part"], error["field"]) for error in body["errors"]] == [("path", "home_address")]


@pytest.mark.parametrize("name", ["a b", "-x", "a" * 64, "%00", "ä"])
async def test_a_policy_name_that_cannot_be_one(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.put(f"/v1/nodes/{NODE}/policies/{name}", json={"priority": 1, "bid": 1})
    assert check(answer, 422)["errors"][0]["field"] == "name"


async def test_an_unknown_query_parameter_is_refused(client: httpx.AsyncClient) -> None:
    body = check(await client.get("/v1/nodes?stat=registered"), 422)
    assert [(error["part"], error["field"]) for error in body["errors"]] == [("query", "stat")]


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe", b"[" * 60_000, b'{"priority": ' + b"9" * 5000 + b', "bid": 1}', b'{"priority": 1 "bid": 1}'],
    ids=["cut", "no-utf8", "deep", "long-number", "no-comma"],
)
async def test_a_body_that_is_no_json(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.put(POLICY, content=content, headers={"content-type": "application/json"})
    check(answer, 400)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'"x"', b"NaN", b"1e999"])
async def test_a_body_that_is_no_object(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.put(POLICY, content=content, headers={"content-type": "application/json"})
    assert check(answer, 422)["errors"][0]["part"] == "body"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_type(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.put(POLICY, content=b'{"priority": 1, "bid": 1}', headers={"content-type": kind})
    check(answer, 415)


async def test_a_long_body_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    check(await client.put(POLICY, content=b" " * (MAX_BODY + 1), headers=headers), 413)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 8192
        pytest.fail("read on after the limit")

    check(await client.put(POLICY, content=endless(), headers=headers), 413)


async def test_a_slow_body_is_given_up() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pytest.fail("the application was called")

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    transport = httpx.ASGITransport(BodyLimit(app, timeout=0.01))
    async with httpx.AsyncClient(transport=transport, base_url="http://northbound") as client:
        check(await client.put("/v1/nodes", content=slow()), 408)
