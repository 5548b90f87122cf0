"""The dashboard in a real browser, on a lab with an embedded switch: what happens in the network is seen on the page."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.northbound import Role, TokenFile
from controller.northbound.schedule import DAYS
from testbed.settings import TOKENS

pytest.importorskip("nicegui", reason="the extra `dashboard` is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("dashboard"),
]

ROOT = Path(__file__).parent.parent.parent
NODE = "2001:db8:0:1::100"
SCREENSHOTS = os.environ.get("MCOA_SCREENSHOTS")
"""Where screenshots are kept; unset: in the test's own folder."""
PATIENCE = 60_000
"""Milliseconds: a loaded machine is slow, and nothing here is a measurement."""


@dataclass(frozen=True)
class Running:
    url: str
    token: str
    folder: Path

    def rest(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return httpx.request(
            method,
            self.url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
            trust_env=False,
            timeout=30,
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("lab")
    command = [sys.executable, "-m", "controller.cli", "lab", "-d", str(folder), "--no-provision"]
    with (folder / "lab.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        environment = folder / "environment"
        wait(environment.exists, process)
        lines = dict(line.removeprefix("export ").split("=", 1) for line in environment.read_text().splitlines())
        token = Path(lines["MCOA_TOKEN_FILE"]).read_text().strip()
        yield Running(lines["MCOA_URL"], token, folder)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait(condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, "the lab ended"
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    arguments = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def logged_in(browser: Any, lab: Running, **settings: Any) -> Any:
    page = browser.new_context(**settings).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab.url}/dashboard/login")
    page.get_by_label("Token").fill(lab.token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector(".tiles")
    return page


def keep(page: Any, lab: Running, name: str) -> Path:
    folder = Path(SCREENSHOTS) if SCREENSHOTS else lab.folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    page.screenshot(path=str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    return path


def test_a_stranger_gets_the_form_and_nothing_else(lab: Running) -> None:
    with httpx.Client(base_url=lab.url, trust_env=False, timeout=30) as client:
        for path in (
            "/dashboard/",
            "/dashboard/nodes",
            "/dashboard/_nicegui/x.js",
            "/dashboard/_nicegui_ws/socket.io/",
        ):
            answer = client.get(path)
            assert (answer.status_code, "Log in" in answer.text, "<script" in answer.text) == (401, True, False)
        wrong = client.post("/dashboard/login", data={"token": "mcoa_1_2"})
        assert (wrong.status_code, "not known" in wrong.text) == (401, True)
        right = client.post("/dashboard/login", data={"token": lab.token})
        assert right.status_code == 303
        cookie = right.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/dashboard"))
        # The session opens the dashboard, not REST.
        assert client.get("/dashboard/nodes").status_code == 200
        assert client.get("/v1/nodes").status_code == 401
        client.get("/dashboard/logout")
        assert client.get("/dashboard/nodes").status_code == 401
        assert client.post("/dashboard/login", content=b"x" * 100_000).status_code == 401


def test_a_registration_and_a_policy_are_seen(browser: Any, lab: Running) -> None:
    page = logged_in(browser, lab, viewport={"width": 1360, "height": 900}, color_scheme="light")
    assert page.get_by_text("No mobile nodes yet.").count() == 1 or page.locator("table").count()
    # Nobody may register before he is provisioned; the nodes of the lab keep asking.
    late: list[float] = []
    for address, body in (
        (NODE, {"max_bindings": 4}),
        ("2001:db8:0:1::200", {"prefixes": ["2001:db8:f00::/56"], "mobile_router": True}),
    ):
        assert lab.rest("PUT", f"/v1/nodes/{address}/provision", body).status_code == 201
        late.append(seen_after(page, lab, address))
    # The better of two: what disturbs the machine for a moment is not the page's doing.
    assert min(late) < 1.0, f"a registration is on the page within a second: {late}"
    wait(lambda: len(lab.rest("GET", f"/v1/nodes/{NODE}/bindings").json()["items"]) == 3)
    page.get_by_role("link", name=NODE).wait_for()
    page.locator("ol.log", has_text="registration").first.wait_for()
    assert page.locator("svg.network path.path").count() >= 6
    wait(lambda: page.locator("polyline").count() >= 3)

    # A policy that the page sets is in the switch, and in the audit log.
    page.get_by_role("link", name="Policies").first.click()
    page.get_by_label("Home address").fill(NODE)
    page.get_by_label("Name").fill("video")
    page.get_by_label("Priority").fill("10")
    page.get_by_label("BIDs").fill("x")
    page.get_by_role("button", name="Check").click()
    page.get_by_text("BID: 'x' is no number").wait_for()
    page.get_by_label("BIDs").fill("2")
    page.get_by_label("Destination ports").fill("5000")
    page.get_by_role("button", name="Check").click()
    page.get_by_text("insert flow_bindings").wait_for()
    page.get_by_text("steer_flow(bid=2)").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("video: saved").wait_for()
    page.locator("table", has_text="destination ports 5000").wait_for()
    tables = {one["name"]: one["entries"] for one in lab.rest("GET", "/v1/switches/s1").json()["tables"]}
    assert tables["flow_bindings"] == 1
    newest = lab.rest("GET", "/v1/audit-log?limit=1").json()["items"][0]
    assert (newest["actor"], newest["action"], newest["after"]["bid"]) == ("lab", "put", 2)

    # The page of the switch shows it too.
    page.get_by_role("link", name="Switches").first.click()
    page.get_by_role("link", name="s1").click()
    page.locator("tr", has_text="flow_bindings").get_by_text("1 of").wait_for()
    keep(page, lab, "dashboard-switch")
    page.get_by_role("link", name="Events").click()
    page.locator("ol.log", has_text="policy").wait_for()
    page.get_by_role("link", name="Overview").click()
    page.locator("svg.network path.path").first.wait_for()
    page.wait_for_timeout(3000)
    keep(page, lab, "dashboard-desktop")
    page.context.close()


OFFICE = f"/v1/nodes/{NODE}/policies/office"
FIELDS = (
    *("Home address", "Name", "Priority", "Action", "BIDs, as in 2 or 1:3,2:1", "Source prefix", "Destination prefix"),
    *(
        "Protocol",
        "Source ports",
        "Destination ports",
        "DSCP",
        "Flow label",
        "SPI",
        "Fallback: what nothing else takes",
    ),
    *("From", "Until", "Hours begin", "Hours end", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
)


def test_a_policy_with_every_kind_of_field(browser: Any, lab: Running) -> None:
    page = logged_in(browser, lab, viewport={"width": 1360, "height": 900}, color_scheme="light")
    page.goto(f"{lab.url}/dashboard/policies")
    fill(page, home_address=NODE, name="office", priority="20", targets="1:3,2:1")
    page.get_by_label("Action").click()
    page.get_by_role("option", name="Balance").click()
    fill(page, source="2001:db8:c::/64", destination="2001:db8:0:1:0:0:0:100/128", protocol="udp", dscp="46")
    fill(page, source_ports="1000-1023", destination_ports="443", flow_label="74565", begins="12:00", ends="12:00")
    fill(page, not_before="2020-01-01T00:00:00", not_after="2019-12-31T23:59:59")
    # Noon to noon on three days around now: it is in force.
    today = datetime.now(UTC).weekday()
    days = {DAYS[(today + offset) % 7] for offset in (-1, 0, 1)}
    for day in days:
        page.get_by_role("checkbox", name=day.capitalize()).click()
    entries = flow_entries(lab)

    page.get_by_role("button", name="Check").click()
    page.get_by_text("not_after is not after not_before").wait_for()
    fill(page, not_after="2099-12-31T23:59:59")
    page.get_by_role("button", name="Check").click()
    verdict = page.get_by_role("status").filter(has_text="insert flow_bindings")
    verdict.wait_for()
    assert f"destination={NODE}/128" in verdict.inner_text()
    assert "insert balancers: 60 more" in verdict.inner_text()
    assert lab.rest("GET", OFFICE).status_code == 404, "a check changes nothing"
    page.get_by_role("button", name="Save").click()
    page.get_by_text("office: saved").wait_for()
    kept = lab.rest("GET", OFFICE).json()
    assert kept["selector"] == {
        "source": "2001:db8:c::/64",
        "destination": f"{NODE}/128",
        "protocol": "udp",
        "source_ports": "1000-1023",
        "destination_ports": "443",
        "dscp": 46,
        "flow_label": 74565,
        "spi": None,
    }
    assert kept["shares"] == [{"bid": 1, "weight": 3}, {"bid": 2, "weight": 1}]
    assert kept["schedule"] == {
        "not_before": "2020-01-01T00:00:00Z",
        "not_after": "2099-12-31T23:59:59Z",
        "days": [day for day in DAYS if day in days],
        "begins": "12:00",
        "ends": "12:00",
    }
    assert kept["state"] == "active"
    assert flow_entries(lab) > entries
    assert lab.rest("GET", "/v1/switches/s1/audit").json()["drift"] == 0, "what was read back is what it should be"
    keep(page, lab, "dashboard-policies")

    # Another visit loads it, and changes one field: all others stay. It waits now, and the switch has it no more.
    page.goto(f"{lab.url}/dashboard/node/{NODE}")
    fill(page, name="office")
    page.get_by_role("button", name="Load").click()
    page.get_by_text("office: loaded, active").wait_for()
    fill(page, not_before="2098-01-01T00:00:00")
    page.get_by_role("button", name="Check").click()
    page.get_by_text("it would wait for its time; would write").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("office: saved").wait_for()
    changed = lab.rest("GET", OFFICE).json()
    assert changed == {
        **kept,
        "state": "waiting",
        "schedule": {**kept["schedule"], "not_before": "2098-01-01T00:00:00Z"},
    }
    assert flow_entries(lab) == entries
    page.locator("tr", has_text="from 2098-01-01 00:00").get_by_text("waiting").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("office: deleted").wait_for()
    assert lab.rest("GET", OFFICE).status_code == 404
    page.context.close()


def fill(page: Any, **texts: str) -> None:
    for name, text in texts.items():
        page.locator(f"[data-field={name}]").fill(text)


def flow_entries(lab: Running) -> int:
    tables = {one["name"]: one["entries"] for one in lab.rest("GET", "/v1/switches/s1").json()["tables"]}
    entries: int = tables["flow_bindings"]
    return entries


def test_the_editor_by_keys_alone(browser: Any, lab: Running) -> None:
    page = logged_in(browser, lab, viewport={"width": 1360, "height": 900})
    page.goto(f"{lab.url}/dashboard/policies")
    page.get_by_label("Home address").wait_for()
    typed = {"Home address": NODE, "Name": "keys", "Priority": "30", "BIDs, as in 2 or 1:3,2:1": "1", "SPI": "256"}
    reached: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        label = page.evaluate("(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()")
        reached.append(label)
        if label in typed:
            page.keyboard.type(typed[label])
        elif label == "Action":
            page.keyboard.press("Enter")
            page.get_by_role("option", name="Drop").wait_for()
            page.keyboard.press("Escape")
        elif label == "Save":
            page.keyboard.press("Enter")
            break
    assert [label for label in dict.fromkeys(reached) if label in FIELDS] == [*FIELDS], reached
    page.get_by_text("keys: saved").wait_for()
    kept = lab.rest("GET", f"/v1/nodes/{NODE}/policies/keys").json()
    assert (kept["bid"], kept["selector"]["spi"], kept["schedule"]) == (1, 256, None)
    page.context.close()


def test_the_editor_on_a_phone(browser: Any, lab: Running) -> None:
    page = logged_in(browser, lab, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.goto(f"{lab.url}/dashboard/policies")
    page.get_by_label("Home address").wait_for()
    for label in FIELDS:
        box = page.get_by_label(label, exact=True).or_(page.get_by_role("checkbox", name=label)).first.bounding_box()
        assert box is not None, label
        assert box["x"] >= 0, label
        assert box["x"] + box["width"] <= 390, label
    fill(page, home_address=NODE, name="phone", priority="40", destination=f"{NODE}/128", begins="00:00", ends="23:59")
    page.get_by_label("Action").tap()
    page.get_by_role("option", name="Drop").tap()
    page.get_by_role("checkbox", name="Sun").tap()
    page.get_by_role("button", name="Save").tap()
    page.get_by_text("phone: saved").wait_for()
    kept = lab.rest("GET", f"/v1/nodes/{NODE}/policies/phone").json()
    assert (kept["action"], kept["selector"]["destination"]) == ("drop", f"{NODE}/128")
    assert (kept["schedule"]["days"], kept["schedule"]["ends"]) == (["sun"], "23:59")
    assert page.evaluate("document.documentElement.scrollWidth") <= 392
    page.context.close()


def test_an_open_page_ends_with_its_token(browser: Any, lab: Running) -> None:
    tokens = TokenFile(lab.folder / TOKENS)
    page = logged_in(browser, replace(lab, token=tokens.create("guest", Role.VIEWER)))
    page.goto(f"{lab.url}/dashboard/policies")
    page.get_by_text("Your token may look, not change").wait_for()
    tokens.revoke("guest")
    page.get_by_role("button", name="Log in").wait_for()
    assert page.goto(f"{lab.url}/dashboard/nodes").status == 401
    page.context.close()


def seen_after(page: Any, lab: Running, address: str) -> float:
    """Wait for a node's registration; return how many seconds after the controller had taken note it was on the page."""
    row = page.locator("tr", has=page.get_by_role("link", name=address, exact=True))
    row.get_by_text("registered", exact=True).wait_for()
    seen = time.time()
    items = lab.rest("GET", "/v1/events?kind=registration&limit=10").json()["items"]
    mine = next(one for one in items if one["details"]["home_address"] == address)
    return seen - datetime.fromisoformat(mine["time"]).timestamp()


def test_the_page_of_a_node_in_dark_mode(browser: Any, lab: Running) -> None:
    page = logged_in(browser, lab, viewport={"width": 1360, "height": 900}, color_scheme="dark")
    page.get_by_role("link", name=NODE).click()
    page.get_by_text("Timeline").wait_for()
    page.locator("body.body--dark").wait_for()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    page.wait_for_timeout(2000)
    keep(page, lab, "dashboard-dark")
    page.context.close()


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Any, lab: Running) -> None:
    page = logged_in(
        browser, lab, viewport={"width": 390, "height": 844}, color_scheme="light", is_mobile=True, has_touch=True
    )
    for path in ("", "nodes", "policies", "events", f"node/{NODE}", "switches"):
        page.goto(f"{lab.url}/dashboard/{path}")
        page.locator(".card").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 392, path
    page.goto(f"{lab.url}/dashboard/")
    page.locator("svg.network path.path").first.wait_for()
    page.wait_for_timeout(2500)
    keep(page, lab, "dashboard-phone")
    page.context.close()


def test_keys_reach_every_control(browser: Any, lab: Running) -> None:
    page = logged_in(browser, lab, viewport={"width": 1360, "height": 900})
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()")
        )
    assert {"Overview", "Nodes", "Switches", "Policies", "Events", "Light or dark", "Log out", NODE} <= reached
    page.context.close()
