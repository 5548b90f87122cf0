"""Changes: conditions, dry runs, bulk uploads, provisioned nodes, draining, and the audit log of all that."""

from typing import Any

import httpx
import pytest

from controller.mobility.flows import Balance, Discard, FlowEntry, FlowSelector, Replicate, Share, Span
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import AuthPolicy
from controller.northbound.errors import ConflictError
from controller.northbound.views import FlowView
from fake_control import NODE as ADDRESS
from fake_control import ROUTER as ROUTER_ADDRESS
from fake_control import FakeControl

NODE = "2001:db8:0:1::100"
ROUTER = "2001:db8:0:1::200"
NEW = "2001:db8:0:1::300"
POLICY = f"/v1/nodes/{NODE}/policies/video"
PROVISION = f"/v1/nodes/{NODE}/provision"
VIDEO = {"priority": 10, "bid": 2}


async def test_a_policy_is_changed_only_as_it_was_read(client: httpx.AsyncClient) -> None:
    missing = await client.put(POLICY, json=VIDEO, headers={"If-Match": '"x"'})
    assert (missing.status_code, missing.json()["type"]) == (412, "urn:mcoa:problem:precondition")
    made = await client.put(POLICY, json=VIDEO, headers={"If-None-Match": "*"})
    assert made.status_code == 201
    assert (await client.put(POLICY, json=VIDEO, headers={"If-None-Match": "*"})).status_code == 412
    tag = made.headers["etag"]
    assert (await client.get(POLICY)).headers["etag"] == tag
    changed = await client.put(POLICY, json={**VIDEO, "bid": 1}, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    for answer in (
        await client.put(POLICY, json=VIDEO, headers={"If-Match": tag}),
        await client.delete(POLICY, headers={"If-Match": tag}),
    ):
        assert answer.status_code == 412
        assert changed.headers["etag"] in answer.json()["detail"]
    assert (await client.get(POLICY)).json()["bid"] == 1
    assert (await client.delete(POLICY, headers={"If-Match": f'"y", {changed.headers["etag"]}'})).status_code == 204


async def test_the_tag_does_not_change_when_a_node_moves(client: httpx.AsyncClient, control: FakeControl) -> None:
    tag = (await client.put(POLICY, json=VIDEO)).headers["etag"]
    control.known[ADDRESS] = type(control.known[ADDRESS])(
        ADDRESS, control.known[ROUTER_ADDRESS].state, provisioned=True
    )
    shown = await client.get(POLICY)
    assert (shown.json()["state"], shown.headers["etag"]) == ("inactive", tag)


async def test_a_dry_run_shows_table_updates_and_changes_nothing(
    client: httpx.AsyncClient, control: FakeControl
) -> None:
    answer = await client.put(f"{POLICY}?validate=only", json=VIDEO)
    assert answer.status_code == 200
    (update,) = answer.json()["updates"]
    assert (update["op"], update["table"], update["params"]) == ("insert", "flow_bindings", {"bid": 2})
    assert not control.kept
    assert not control.log
    await client.put(POLICY, json=VIDEO)
    other = await client.put(f"/v1/nodes/{NODE}/policies/other?validate=only", json=VIDEO)
    assert (other.status_code, "belongs to the policy 'video'" in other.json()["detail"]) == (409, True)
    assert (await client.put(f"{POLICY}?validate=maybe", json=VIDEO)).status_code == 422


@pytest.mark.parametrize(
    ("body", "treatment"),
    [
        (
            {"action": "balance", "shares": [{"bid": 1, "weight": 3}, {"bid": 2}]},
            Balance((Share(1, 3), Share(2, 1))),
        ),
        ({"action": "replicate", "bids": [2, 1]}, Replicate((2, 1))),
        ({"action": "drop"}, Discard()),
    ],
)
async def test_every_action(
    client: httpx.AsyncClient, control: FakeControl, body: dict[str, Any], treatment: object
) -> None:
    made = await client.put(POLICY, json={"priority": 1, **body})
    assert made.status_code == 201
    assert control.kept[ADDRESS, "video"].treatment == treatment
    shown = made.json()
    back = {key: value for key, value in shown.items() if key not in {"home_address", "name", "state"}}
    assert (await client.put(POLICY, json=back)).json() == shown


async def test_a_schedule_is_kept_in_utc(client: httpx.AsyncClient, control: FakeControl) -> None:
    schedule = {"not_before": "2026-01-01T01:00:00+01:00", "days": ["sat", "mon"], "begins": "22:00", "ends": "06:30"}
    made = await client.put(POLICY, json={**VIDEO, "schedule": schedule})
    kept = control.schedules[ADDRESS, "video"]
    assert kept is not None
    assert (kept.not_before, kept.days, kept.begins, kept.ends) == (1767225600.0, (0, 5), 1320, 390)
    assert made.json()["schedule"] == {
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": None,
        "days": ["mon", "sat"],
        "begins": "22:00",
        "ends": "06:30",
    }


async def test_a_node_is_provisioned_and_removed(client: httpx.AsyncClient, control: FakeControl) -> None:
    path = f"/v1/nodes/{NEW}/provision"
    assert (await client.get(path)).status_code == 404
    made = await client.put(path, json={"max_bindings": 3}, headers={"If-None-Match": "*"})
    assert (made.status_code, made.headers["location"]) == (201, path)
    shown = made.json()
    assert (shown["origin"], shown["max_bindings"], shown["security"]["kind"]) == ("rest", 3, "none")
    assert (await client.get(path)).headers["etag"] == made.headers["etag"]
    assert NEW in [node["home_address"] for node in (await client.get("/v1/nodes")).json()["items"]]
    checked = await client.put(f"{path}?validate=only", json={"max_bindings": 9})
    assert [(one["op"], one["table"]) for one in checked.json()["updates"]] == [("insert", "home_addresses")]
    gone = await client.delete(f"{path}?validate=only")
    assert (gone.status_code, gone.json()["updates"][0]["op"]) == (200, "delete")
    assert (await client.get(path)).status_code == 200
    assert (await client.delete(path, headers={"If-Match": '"old"'})).status_code == 412
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    assert [(one.action, one.resource) for one in control.log] == [("put", path), ("delete", path)]


async def test_the_configuration_file_is_not_changed(client: httpx.AsyncClient) -> None:
    path = f"/v1/nodes/{ROUTER}/provision"
    shown = (await client.get(path)).json()
    assert (shown["origin"], shown["prefixes"]) == ("configuration", ["2001:db8:f00::/56"])
    for answer in (await client.put(path, json={}), await client.delete(path)):
        assert (answer.status_code, "change it there" in answer.json()["detail"]) == (409, True)


async def test_keys_go_in_and_never_out(client: httpx.AsyncClient, control: FakeControl) -> None:
    key = "00112233445566778899aabbccddeeff00112233"
    security = {"kind": "auth", "spi": 4096, "key": key, "mn_id": "mn@example.net"}
    made = await client.put(PROVISION, json={"security": security})
    assert made.json()["security"] == {
        "kind": "auth",
        "spi": 4096,
        "mn_id": "mn@example.net",
        "timestamp_window_seconds": 7.0,
        "reply_spi": None,
        "algorithm": None,
        "replay_window": None,
    }
    assert made.json()["key_fingerprints"] == [Key.from_hex(key).fingerprint().hex()]
    expected = AuthPolicy(4096, Key.from_hex(key), b"mn@example.net")
    assert control.provisions[ADDRESS].provision.security == expected
    # What is shown can be put back, but for what the controller says of it: the key stays.
    back = {**made.json(), "max_bindings": 2}
    del back["origin"], back["key_fingerprints"]
    back["security"] = {name: value for name, value in back["security"].items() if value is not None}
    assert (await client.put(PROVISION, json=back)).status_code == 200
    assert control.provisions[ADDRESS].provision.security == expected
    everything = [(await client.get(path)).text for path in (PROVISION, "/v1/nodes", "/v1/audit-log", "/docs")]
    refused = await client.put(PROVISION, json={"security": {**security, "key": key[:-1]}})
    assert refused.status_code == 422
    assert not any(key[:12] in text for text in [*everything, refused.text, repr(control.log)])


@pytest.mark.parametrize(
    "body",
    [
        {"prefixes": ["2001:db8:f00::/56"]},
        {"mobile_router": True, "prefixes": ["2001:db8:f00::/56", "2001:db8:f00::/64"]},
        {"mobile_router": True, "prefixes": ["2001:db8:f00::1/56"]},
        {"max_bindings": 0},
        {"max_bindings": "4"},
        {"home_address": NODE},
        {"security": {"kind": "auth"}},
        {"security": {"kind": "auth", "spi": 256}},
        {"security": {"kind": "auth", "spi": 255, "key": "00" * 20}},
        {"security": {"kind": "auth", "spi": 256, "key": "00" * 8}},
        {"security": {"kind": "auth", "spi": 256, "key": "xyz"}},
        {"security": {"kind": "none", "spi": 256}},
        {"security": {"kind": "esp", "spi": 256, "reply_spi": 257, "key": "00" * 20, "reply_key": "11" * 48}},
        {"security": {"kind": "esp", "spi": 256, "key": "00" * 48, "reply_key": "11" * 48}},
        {"security": {"kind": "esp", "spi": 256, "reply_spi": 257, "algorithm": "rot13"}},
    ],
)
async def test_a_node_that_cannot_be(client: httpx.AsyncClient, control: FakeControl, body: dict[str, Any]) -> None:
    before = dict(control.provisions)
    answer = await client.put(PROVISION, json=body)
    assert (answer.status_code, bool(answer.json()["errors"])) == (422, True)
    assert control.provisions == before


async def test_signalled_flows_are_shown(client: httpx.AsyncClient, control: FakeControl) -> None:
    selector = FlowSelector(source=Span(0x20010DB8 << 96, 0x20010DB8 << 96), destination_ports=Span(5000, 5010))
    control.signalled = [FlowView(FlowEntry(7, 10, selector, (1, 3)), (1,))]
    shown = (await client.get(f"/v1/nodes/{NODE}/flows")).json()["items"]
    assert shown == [
        {
            "fid": 7,
            "priority": 10,
            "bids": [1, 3],
            "active_bids": [1],
            "selector": {"ip_version": "6", "source": "2001:db8::", "destination_ports": "5000-5010"},
        }
    ]


async def test_draining_begins_and_ends(client: httpx.AsyncClient, control: FakeControl) -> None:
    assert (await client.get("/v1/drain")).status_code == 404
    body = {"home_agents": ["2001:DB8:0:2::1"], "seconds_left": 600}
    begun = await client.put("/v1/drain", json=body)
    assert begun.json() == {"home_agents": ["2001:db8:0:2::1"], "seconds_left": 600.0, "remaining": 1}
    assert (await client.get("/v1/drain")).json() == begun.json()
    assert (await client.delete("/v1/drain")).status_code == 204
    assert (await client.delete("/v1/drain")).status_code == 404
    for wrong in (
        {"home_agents": ["fe80::1"]},
        {"home_agents": ["x"]},
        {"seconds_left": -1},
        {"home_agents": [NODE] * 65},
    ):
        assert (await client.put("/v1/drain", json=wrong)).status_code == 422
    assert [one.action for one in control.log] == ["drain", "delete"]


async def test_draining_is_changed_only_as_it_was_read(client: httpx.AsyncClient) -> None:
    body = {"home_agents": ["2001:db8:0:2::1"], "seconds_left": 600}
    assert (await client.put("/v1/drain", json=body, headers={"If-Match": "*"})).status_code == 412
    tag = (await client.put("/v1/drain", json=body, headers={"If-None-Match": "*"})).headers["etag"]
    assert (await client.get("/v1/drain")).headers["etag"] == tag
    # Time that passes is no change.
    assert (await client.put("/v1/drain", json={**body, "seconds_left": 300})).headers["etag"] == tag
    other = await client.put("/v1/drain", json={}, headers={"If-Match": tag})
    assert other.headers["etag"] != tag
    assert (await client.delete("/v1/drain", headers={"If-Match": tag})).status_code == 412
    assert (await client.delete("/v1/drain", headers={"If-Match": other.headers["etag"]})).status_code == 204


async def test_the_audit_log_has_what_was_and_what_is(client: httpx.AsyncClient, control: FakeControl) -> None:
    await client.delete(f"/v1/nodes/{NODE}/bindings/2")
    await client.delete(f"/v1/nodes/{NODE}/bindings")
    await client.delete("/v1/bindings")
    await client.put("/v1/switches/s1/drain")
    await client.delete("/v1/switches/s1/drain")
    one, rest, every, drained, back = control.log
    assert one.before is not None
    assert (one.before["bid"], one.before["care_of_address"], one.after) == (2, "2001:db8:a2::100", None)
    assert rest.before is not None
    left = rest.before["items"]
    assert isinstance(left, list)
    assert [binding["bid"] for binding in left] == [1]
    assert (every.before, every.after) == (None, {"nodes": 0})
    assert (drained.before, drained.after) == (back.after, back.before) == ({"drained": False}, {"drained": True})


@pytest.mark.parametrize("what", ["policies/video", "path-preference"])
async def test_a_removal_is_tried_without_change(client: httpx.AsyncClient, control: FakeControl, what: str) -> None:
    path = f"/v1/nodes/{NODE}/{what}"
    assert (await client.delete(f"{path}?validate=only")).status_code == 404
    await client.put(path, json=VIDEO if what == "policies/video" else {"bids": [2]})
    tried = await client.delete(f"{path}?validate=only")
    assert (tried.status_code, len(tried.json()["updates"])) == (200, 1)
    assert (await client.get(path)).status_code == 200
    assert [one.action for one in control.log] == ["put"]


async def test_a_switch_is_drained_and_put_back(client: httpx.AsyncClient, control: FakeControl) -> None:
    path = "/v1/switches/s1/drain"
    for _ in range(2):
        answer = await client.put(path)
        assert (answer.status_code, answer.json()["drained"]) == (200, True)
    assert (await client.get("/v1/switches/s1")).json()["drained"]
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    assert (await client.put("/v1/switches/s9/drain")).status_code == 404
    assert [one.action for one in control.log] == ["drain", "delete"], "what changed nothing is not in the log"
    control.failure = ConflictError("s1 is the only anchor in service")
    assert (await client.put(path)).status_code == 409


async def test_all_bindings_of_all_nodes_are_revoked(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/bindings")
    assert (answer.status_code, answer.json()) == (202, {"nodes": 1})


async def test_a_drill(client: httpx.AsyncClient) -> None:
    path = f"/v1/nodes/{NODE}/bindings/2/drill"
    done = await client.post(path, json={"seconds": 1})
    assert done.status_code == 200
    assert (done.json()["taken_over_by"], done.json()["failover_ms"]) == (1, 2.5)
    assert (await client.post(f"/v1/nodes/{NODE}/bindings/9/drill", json={})).status_code == 404
    assert (await client.post(path, json={"seconds": 3600})).status_code == 422


async def test_a_bulk_upload_names_what_was_refused(client: httpx.AsyncClient, control: FakeControl) -> None:
    body: dict[str, list[dict[str, Any]]] = {
        "nodes": [{"home_address": NEW, "max_bindings": 2}, {"home_address": ROUTER}],
        "policies": [
            {"home_address": NEW, "name": "a", **VIDEO},
            {"home_address": NEW, "name": "b", **VIDEO},
            {"home_address": "2001:db8:0:1::999", "name": "a", **VIDEO},
        ],
    }
    dry = (await client.post("/v1/bulk?validate=only", json={"nodes": body["nodes"]})).json()
    assert [item["result"] for item in dry["items"]] == ["valid", "refused"]
    answer = (await client.post("/v1/bulk", json=body)).json()
    assert [item["result"] for item in answer["items"]] == ["created", "refused", "created", "refused", "refused"]
    assert answer["refused"] == 3
    assert [item["problem"]["status"] for item in answer["items"] if item["problem"]] == [409, 409, 404]
    assert [one.resource for one in control.log] == [f"/v1/nodes/{NEW}/provision", f"/v1/nodes/{NEW}/policies/a"]
    again = (await client.post("/v1/bulk", json={"nodes": body["nodes"][:1]})).json()
    assert [item["result"] for item in again["items"]] == ["updated"]
    assert len(control.log) == 2


async def test_a_bulk_upload_may_be_long(client: httpx.AsyncClient) -> None:
    policies = [{"home_address": NODE, "name": f"p{number}", "priority": number, "bid": 1} for number in range(1, 1001)]
    answer = await client.post("/v1/bulk", json={"policies": policies})
    assert (answer.status_code, answer.json()["refused"], len(answer.json()["items"])) == (200, 0, 1000)
    assert (await client.post("/v1/bulk", content=b"x" * 5_000_000)).status_code == 413


@pytest.mark.parametrize("bulk", [False, True])
async def test_another_key_is_a_change_and_is_not_shown(client: httpx.AsyncClient, *, bulk: bool) -> None:
    """The audit log has every change, and whoever edits by what was read before hears of it."""

    async def put(key: str) -> None:
        security = {"security": {"kind": "auth", "spi": 256, "key": key}}
        if bulk:
            answer = await client.post("/v1/bulk", json={"nodes": [{"home_address": NEW, **security}]})
        else:
            answer = await client.put(f"/v1/nodes/{NEW}/provision", json=security)
        assert answer.status_code in {200, 201}

    async def read() -> tuple[str, list[str]]:
        answer = await client.get(f"/v1/nodes/{NEW}/provision")
        return answer.headers["etag"], answer.json()["key_fingerprints"]

    first, second = "ab" * 16, "cd" * 16
    await put(first)
    tag, keys = await read()
    await put(first)
    assert await read() == (tag, keys)
    await put(second)
    other_tag, other_keys = await read()
    assert tag != other_tag
    assert keys != other_keys
    log = await client.get("/v1/audit-log")
    changes = [
        (entry["before"], entry["after"]) for entry in log.json()["items"] if entry["resource"].endswith("provision")
    ]
    assert [after["key_fingerprints"] for _, after in changes] == [other_keys, keys]
    assert first not in log.text
    assert second not in log.text


async def test_the_audit_log_is_read_in_pages(client: httpx.AsyncClient) -> None:
    for bid in range(1, 6):
        await client.put(POLICY, json={"priority": 1, "bid": bid})
    await client.put(POLICY, json={"priority": 1, "bid": 5})
    first = (await client.get("/v1/audit-log?limit=3")).json()
    assert [(one["number"], one["after"]["bid"]) for one in first["items"]] == [(5, 5), (4, 4), (3, 3)]
    assert (first["items"][0]["actor"], first["items"][0]["before"]["bid"]) == ("anonymous", 4)
    second = (await client.get(f"/v1/audit-log?limit=3&cursor={first['next']}")).json()
    assert [one["number"] for one in second["items"]] == [2, 1]
    assert (second["next"], second["items"][1]["before"]) == (None, None)


async def test_lists_are_filtered_and_read_in_pages(client: httpx.AsyncClient) -> None:
    first = (await client.get("/v1/nodes?limit=1")).json()
    assert (first["total"], [one["home_address"] for one in first["items"]]) == (2, [NODE])
    second = (await client.get(f"/v1/nodes?limit=1&cursor={first['next']}")).json()
    assert ([one["home_address"] for one in second["items"]], second["next"]) == ([ROUTER], None)
    assert (await client.get("/v1/nodes?state=provisioned")).json()["items"] == second["items"]
    bindings = (await client.get("/v1/bindings?bid=2")).json()["items"]
    assert [one["bid"] for one in bindings] == [2]
    for name, priority in (("b", 2), ("a", 1), ("c", 3)):
        await client.put(f"/v1/nodes/{NODE}/policies/{name}", json={"priority": priority, "bid": priority})
    page = (await client.get("/v1/policies?limit=2")).json()
    assert ([one["name"] for one in page["items"]], page["total"]) == (["a", "b"], 3)
    rest = (await client.get(f"/v1/policies?limit=2&cursor={page['next']}")).json()
    assert [one["name"] for one in rest["items"]] == ["c"]
    inactive = (await client.get("/v1/policies?state=inactive")).json()
    assert [one["name"] for one in inactive["items"]] == ["c"]
    assert [one["name"] for one in (await client.get("/v1/switches?state=ready")).json()["items"]] == ["s1"]
    for wrong in (
        "nodes?limit=0",
        "nodes?limit=1001",
        "nodes?cursor=!",
        "nodes?state=x",
        "policies?cursor=é",
        "nodes?nr=1",
    ):
        assert (await client.get(f"/v1/{wrong}")).status_code == 422, wrong


async def test_the_network_is_shown(client: httpx.AsyncClient) -> None:
    (network,) = (await client.get("/v1/home-networks")).json()["items"]
    assert (network["prefix"], network["registered"]) == ("2001:db8:0:1::/64", 1)
    topology = (await client.get("/v1/topology")).json()
    assert [node["name"] for node in topology["nodes"]] == ["s1", "wifi"]
    assert topology["links"][0]["up"]
    assert topology["paths"] == [{"home_address": NODE, "bid": 1, "nodes": ["s1", "wifi"]}]


async def test_metrics_by_stage(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    assert 'mcoa_stage_seconds_bucket{le="0.01",stage="decode"} 4.0' in text
    assert 'mcoa_stage_seconds_bucket{le="+Inf",stage="total"} 5.0' in text
    assert 'mcoa_stage_seconds_count{stage="total"} 5.0' in text
    assert "mcoa_commit_queue 3.0" in text
    assert "mcoa_draining 0.0" in text
    assert 'mcoa_switch_state{state="ready",switch="s1"} 1.0' in text
    assert 'mcoa_switch_state{state="standby",switch="s1"} 0.0' in text
    assert 'mcoa_punted_packets_total{reason="mobility_header",switch="s1"} 9.0' in text
    assert 'mcoa_switch_queue{queue="packets",switch="s1"} 2.0' in text
    assert 'mcoa_switch_queue{queue="writes",switch="s1"} 1.0' in text


async def test_a_path_preference_is_put_shown_and_removed(client: httpx.AsyncClient, control: FakeControl) -> None:
    path = f"/v1/nodes/{NODE}/path-preference"
    assert (await client.get(path)).status_code == 404
    preview = await client.put(f"{path}?validate=only", json={"bids": [2, 1]})
    assert preview.json()["updates"][0]["table"] == "default_binding"
    assert not control.preferences
    new = await client.put(path, json={"bids": [2, 1]})
    assert (new.status_code, new.headers["Location"]) == (201, path)
    assert new.json() == {"home_address": NODE, "bids": [2, 1], "preferred_bid": 1}
    shown = await client.get(path)
    assert shown.headers["ETag"] == new.headers["ETag"]
    assert (await client.put(path, json={"bids": [1]}, headers={"If-Match": '"other"'})).status_code == 412
    changed = await client.put(path, json={"bids": [3]}, headers={"If-Match": shown.headers["ETag"]})
    assert (changed.status_code, changed.json()["bids"]) == (200, [3])
    assert (await client.put(path, json={"bids": [3]})).status_code == 200
    assert (await client.delete(path)).status_code == 204
    assert (await client.delete(path)).status_code == 404
    assert [one.action for one in control.log] == ["put", "put", "delete"], "saying the same again changes nothing"
    wrongs: list[dict[str, object]] = [{"bids": bids} for bids in ([], [1, 1], [0], ["1"], list(range(1, 66)))]
    for wrong in (*wrongs, {}):
        assert (await client.put(path, json=wrong)).status_code == 422
