"""Commands against a live controller: a drill with its real outage, and what `--json` prints by the OpenAPI document."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import validator_for

ROOT = Path(__file__).parent.parent.parent
NODE = "2001:db8:0:1::100"
pytestmark = pytest.mark.timeout(600)  # some forty commands, each of which starts Python


class Lab:
    """A lab in a process, and commands with the environment that it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with (folder / "lab.log").open("w") as log:
            command = [sys.executable, "-m", "controller.cli", "lab", "-d", str(folder), "--no-dashboard"]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        environment = folder / "environment"
        self.until(environment.exists)
        lines = (line.removeprefix("export ").split("=", 1) for line in environment.read_text().splitlines())
        self.environment = {**os.environ, **dict(lines)}

    def until(self, condition: Any) -> None:
        end = time.monotonic() + 120
        while not condition():
            assert self.process.poll() is None, (self.folder / "lab.log").read_text()
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.1)

    def mcoa(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "controller.cli", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def json(self, *arguments: str) -> Any:
        done = self.mcoa(*arguments, "--json")
        assert done.returncode in {0, 1}, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.until(lambda: len(lab.json("bindings", NODE)["items"]) == 3)
        yield lab
    finally:
        lab.process.send_signal(signal.SIGINT)
        lab.process.wait(60)


def test_a_failover_drill_measures_the_real_outage(lab: Lab) -> None:
    agent = lab.environment["MCOA_PROBE_AGENT"]
    before = lab.json("bindings", NODE)["items"]
    found = lab.json("drill", "failover", "--node", NODE, "--bid", "2", "--seconds", "1", "--agent", agent)
    assert (found["bid"], found["taken_over_by"]) == (2, 1)
    assert 0 < found["failover_ms"] < 10_000
    assert 0 < found["restore_ms"] < 10_000
    probes = found["probes"]
    assert probes["answered_before"] > 0, "probes reach the node through the switch and come back"
    assert probes["sent"] > 100
    # Make before break: the other path is in force before this one goes. A loaded machine may delay a probe, not lose the path.
    assert probes["lost"] < probes["sent"] / 10
    assert probes["outage_ms"] < 1000, "it ended long before the path was given back"
    assert [one["bid"] for one in lab.json("bindings", NODE)["items"]] == [one["bid"] for one in before]
    assert lab.json("policies", NODE)["items"] == [], "the probes' own policy is gone"
    states = [one["details"]["state"] for one in lab.json("events", "--kind", "drill")["items"]]
    assert states == ["down", "restored"]
    log = lab.json("audit-log")["items"]
    assert any(one["action"] == "drill" for one in log)


ROUTER = "2001:db8:0:1::200"
NEW = "2001:db8:0:1::999"
PRINTED: list[tuple[tuple[str, ...], str]] = [
    (("health",), "HealthResource"),
    (("nodes",), "Items_NodeResource_"),
    (("nodes", "provision", NEW, "--max-bindings", "2", "--check"), "Preview"),
    (("nodes", "provision", NEW, "--max-bindings", "2"), "ProvisionResource"),
    (("nodes", "show", NEW), "ProvisionResource"),
    (("nodes", "flows", NODE), "Items_FlowResource_"),
    (("bindings",), "Items_BindingResource_"),
    (("bindings", NODE), "Items_BindingResource_"),
    (("policies", "set", NODE, "video", "--priority", "10", "--bid", "2", "--check"), "Preview"),
    (("policies", "set", NODE, "video", "--priority", "10", "--bid", "2"), "PolicyResource"),
    (("policies",), "Items_PolicyResource_"),
    (("policies", NODE), "Items_PolicyResource_"),
    (("preferences", "set", NODE, "2", "1", "--check"), "Preview"),
    (("preferences", "set", NODE, "2", "1"), "PreferenceResource"),
    (("preferences", NODE), "PreferenceResource"),
    (("switches",), "Items_SwitchResource_"),
    (("switches", "s1"), "SwitchResource"),
    (("network",), "TopologyResource"),
    (("events",), "Items_EventResource_"),
    (("audit-log",), "Items_ChangeResource_"),
    (("drain", "begin", "2001:db8:0:2::1"), "DrainResource"),
    (("drain",), "DrainResource"),
    (("reload",), "ReloadedResource"),
    (("drill", "failover", "--node", NODE, "--bid", "3", "--seconds", "0.1", "--no-probe"), "DrillResource"),
]
REMOVED: list[tuple[tuple[str, ...], set[str]]] = [
    (("drain", "end"), {"drained"}),
    (("preferences", "remove", NODE), {"home_address", "removed"}),
    (("policies", "delete", NODE, "video"), {"home_address", "name", "deleted"}),
    (("nodes", "remove", NEW), {"home_address", "removed"}),
]


def test_what_json_prints_is_what_the_document_says(lab: Lab) -> None:
    document = httpx.get(f"{lab.environment['MCOA_URL']}/openapi.json", trust_env=False, timeout=30).json()
    schemas = document["components"]["schemas"]
    for command, name in PRINTED:
        done = lab.mcoa(*command, "--json")
        assert done.returncode == 0, (command, done.stderr)
        found = json.loads(done.stdout)
        if command[0] == "drill":
            assert found.pop("probes") is None
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        wrong = [error.message for error in validator_for(schema).iter_errors(found)]
        assert not wrong, (command, wrong)
    for command, keys in REMOVED:
        assert set(lab.json(*command)) == keys, command


def test_a_list_in_json_goes_on_while_it_is_watched(lab: Lab) -> None:
    command = [sys.executable, "-m", "controller.cli", "nodes", "--json", "--watch"]
    with subprocess.Popen(command, cwd=ROOT, env=lab.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert {item["home_address"] for item in json.loads(process.stdout.readline())["items"]} >= {NODE, ROUTER}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
