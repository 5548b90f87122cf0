from dataclasses import replace
from typing import Any

import httpx
import pytest

from controller.mobility.address import Address, format_address
from fake_control import NODE as ADDRESS
from fake_control import FakeControl

NODE = "2001:db8:0:1::100"
ROUTER = "2001:db8:0:1::200"
VIDEO = {
    "priority": 10,
    "bid": 2,
    "selector": {"source": "2001:db8:c::/64", "protocol": "udp", "destination_ports": "5000-5999"},
}


async def get(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_nodes_are_listed_with_their_bids(client: httpx.AsyncClient) -> None:
    body = await get(client, "/v1/nodes")
    assert body["total"] == 2
    assert body["items"][0] == {
        "home_address": NODE,
        "state": "registered",
        "provisioned": True,
        "home_agent": "2001:db8:0:1::1",
        "sequence": 17,
        "mobile_router": False,
        "prefixes": [],
        "bids": [1, 2],
        "preferred_bid": 1,
    }
    assert body["items"][1]["prefixes"] == ["2001:db8:f00::/56"]


@pytest.mark.parametrize("spelling", [NODE, "2001:0DB8:0000:0001:0000:0000:0000:0100", "2001:db8:0:1::0.0.1.0"])
async def test_a_home_address_may_be_spelt_in_any_way(client: httpx.AsyncClient, spelling: str) -> None:
    assert (await get(client, f"/v1/nodes/{spelling}"))["home_address"] == NODE


async def test_bindings_show_care_of_address_lifetime_and_counters(client: httpx.AsyncClient) -> None:
    body = await get(client, f"/v1/nodes/{NODE}/bindings")
    assert body["items"][0] == {
        "home_address": NODE,
        "bid": 1,
        "care_of_address": "2001:db8:a1::100",
        "at_home": False,
        "priority": 1,
        "lifetime_seconds": 600,
        "remaining_seconds": 580.124,
        "state": "active",
        "downstream": {"packets": 10, "bytes": 1000},
        "upstream": {"packets": 7, "bytes": 700},
    }
    assert body["items"][1]["priority"] is None
    assert body["items"][1]["downstream"] is None
    assert (await get(client, "/v1/bindings"))["items"] == body["items"]
    assert await get(client, f"/v1/nodes/{ROUTER}/bindings") == {"items": [], "total": 0, "next": None}


async def test_switches_show_tables_and_drops(client: httpx.AsyncClient, control: FakeControl) -> None:
    body = await get(client, "/v1/switches/s1")
    assert body["tables"] == [{"name": "tunnels", "entries": 2, "size": 1024}]
    assert body["drops"]["forged_inner_source"] == {"packets": 3, "bytes": 300}
    assert (await get(client, "/v1/switches"))["items"] == [body]
    control.lose_switch()
    lost = await get(client, "/v1/switches/s1")
    assert (lost["state"], lost["in_sync"], lost["drops"]) == ("connecting", False, {})
    assert lost["last_error"] == "connection refused"


async def test_a_switch_that_lies_is_named(client: httpx.AsyncClient, control: FakeControl) -> None:
    (switch,) = control.known_switches
    control.known_switches = [replace(switch, suspicions=("s1 does not hold what it said it would",))]
    assert (await get(client, "/v1/switches/s1"))["suspicions"] == ["s1 does not hold what it said it would"]
    assert 'mcoa_switch_suspicions{switch="s1"} 1.0' in (await client.get("/metrics")).text


async def test_the_controller_answers_although_no_switch_does(client: httpx.AsyncClient, control: FakeControl) -> None:
    healthy = await get(client, "/health")
    assert (healthy["status"], healthy["switches"], healthy["uptime_seconds"]) == ("ok", {"s1": "ready"}, 12.5)
    control.lose_switch()
    assert (await get(client, "/health"))["status"] == "degraded"
    assert (await get(client, "/v1/bindings"))["items"][0]["downstream"] is None
    assert (await client.put(f"/v1/nodes/{NODE}/policies/video", json=VIDEO)).status_code == 201


async def test_a_problem_of_the_service_degrades_health(client: httpx.AsyncClient, control: FakeControl) -> None:
    control.problems = ("the state database is full",)
    body = await get(client, "/health")
    assert (body["status"], body["problems"]) == ("degraded", ["the state database is full"])


async def test_a_policy_is_made_once_and_put_again_without_change(client: httpx.AsyncClient) -> None:
    path = f"/v1/nodes/{NODE}/policies/video"
    made = await client.put(path, json=VIDEO)
    assert (made.status_code, made.headers["location"]) == (201, path)
    again = await client.put(path, json=VIDEO)
    assert again.status_code == 200
    assert again.json() == made.json() == await get(client, path)
    assert made.json()["state"] == "active"
    assert (await get(client, "/v1/policies"))["items"] == [made.json()]
    assert (await get(client, f"/v1/nodes/{NODE}/policies"))["total"] == 1
    assert (await get(client, f"/v1/nodes/{ROUTER}/policies"))["total"] == 0


async def test_what_is_shown_of_a_policy_can_be_put_back(client: httpx.AsyncClient) -> None:
    path = f"/v1/nodes/{NODE}/policies/x"
    selector = {
        "source": "2001:DB8:C::/64",
        "protocol": 6,
        "source_ports": 443,
        "destination_ports": "80-80",
        "dscp": 46,
    }
    shown = (await client.put(path, json={"priority": 1, "bid": 9, "selector": selector})).json()
    assert shown["selector"] == {
        "source": "2001:db8:c::/64",
        "destination": None,
        "protocol": "tcp",
        "source_ports": "443",
        "destination_ports": "80",
        "dscp": 46,
        "flow_label": None,
        "spi": None,
    }
    assert shown["state"] == "inactive"
    answer = await client.put(path, json={key: shown[key] for key in ("priority", "bid", "selector")})
    assert (answer.status_code, answer.json()) == (200, shown)


async def test_a_policy_for_a_node_that_never_registered_is_kept(client: httpx.AsyncClient) -> None:
    answer = await client.put(f"/v1/nodes/{ROUTER}/policies/all", json={"priority": 1, "bid": 1})
    assert (answer.status_code, answer.json()["state"]) == (201, "inactive")


async def test_a_policy_is_deleted_once(client: httpx.AsyncClient) -> None:
    path = f"/v1/nodes/{NODE}/policies/video"
    await client.put(path, json=VIDEO)
    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.delete(path)).status_code == 404
    assert (await client.get(path)).status_code == 404


async def test_one_binding_is_shown_and_revoked(client: httpx.AsyncClient) -> None:
    path = f"/v1/nodes/{NODE}/bindings"
    assert (await get(client, f"{path}/2"))["care_of_address"] == "2001:db8:a2::100"
    answer = await client.delete(f"{path}/2")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [one["bid"] for one in (await get(client, path))["items"]] == [1]
    assert (await client.get(f"{path}/2")).status_code == 404
    assert (await client.delete(f"{path}/2")).status_code == 404


async def test_all_bindings_are_revoked(client: httpx.AsyncClient) -> None:
    path = f"/v1/nodes/{NODE}/bindings"
    assert (await client.delete(path)).status_code == 204
    assert (await get(client, path))["total"] == 0
    assert (await client.delete(path)).status_code == 404


@pytest.mark.parametrize("status", [404, 409, 503])
async def test_a_revocation_that_fails(client: httpx.AsyncClient, control: FakeControl, status: int) -> None:
    control.fail_with(status)
    answer = await client.delete(f"/v1/nodes/{NODE}/bindings/1")
    assert (answer.status_code, answer.json()["detail"]) == (status, str(control.failure))


@pytest.mark.parametrize("path", ["2001:db8:0:1::999/bindings", "2001:db8:0:1::999/bindings/1"])
async def test_an_unknown_node_has_nothing_to_revoke(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.delete(f"/v1/nodes/{path}")).status_code == 404
    assert (await client.delete(f"/v1/nodes/{NODE}/bindings/65536")).status_code == 422


async def test_metrics_for_prometheus(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    assert "mcoa_bindings 2.0" in text
    assert 'mcoa_nodes{state="registered"} 1.0' in text
    assert 'mcoa_switch_ready{switch="s1"} 1.0' in text
    assert 'mcoa_table_entries{switch="s1",table="tunnels"} 2.0' in text
    assert 'mcoa_dropped_packets_total{reason="forged_inner_source",switch="s1"} 3.0' in text
    assert 'mcoa_signalling_total{event="refused_146"} 2.0' in text
    assert 'mcoa_link_up{a="s1:3",b="wifi:core"} 1.0' in text
    assert 'mcoa_refused_hellos_total{reason="forged"} 4.0' in text


async def test_many_nodes_are_all_listed_in_order(client: httpx.AsyncClient, control: FakeControl) -> None:
    template = control.known[ADDRESS]
    addresses = [Address((0x20010DB8 << 96 | number).to_bytes(16)) for number in range(450)]
    control.known = {address: replace(template, home_address=address) for address in addresses}
    items: list[Any] = []
    cursor = ""
    while True:
        shown = await get(client, f"/v1/bindings?limit=301{cursor}")
        assert len(shown["items"]) <= 301
        assert shown["total"] == 900
        items += shown["items"]
        if shown["next"] is None:
            break
        cursor = f"&cursor={shown['next']}"
    expected = [(format_address(address), bid) for address in addresses for bid in (1, 2)]
    assert [(item["home_address"], item["bid"]) for item in items] == expected
    assert (await get(client, "/v1/nodes"))["total"] == 450
