"""Commands against a live controller: a drill with its real outage, and what `--json` prints by the OpenAPI document."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from jsonschema_rs import validator_for
from typer.core import TyperGroup

from controller.cli import app

ROOT = Path(__file__).parent.parent.parent
NODE = "2001:db8:0:1::100"
pytestmark = pytest.mark.timeout(600)  # some forty commands, each of which starts Python


class Lab:
    """A lab in a process, and commands with the environment that it says."""

    def __init__(self, folder: Path, topology: str) -> None:
        self.folder = folder
        file = ROOT / "topologies" / f"{topology}.yaml"
        with (folder / "lab.log").open("w") as log:
            command = [sys.executable, "-m", "controller.cli", "lab", "-d", str(folder), "--no-dashboard"]
            self.process = subprocess.Popen([*command, "--topology", str(file)], cwd=ROOT, stdout=log, stderr=log)
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
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def json(self, *arguments: str) -> Any:
        done = self.mcoa(*arguments, "--json")
        assert done.returncode in {0, 1}, done.stderr
        return json.loads(done.stdout)


@contextmanager
def running(folder: Path, topology: str, paths: int) -> Iterator[Lab]:
    lab = Lab(folder, topology)
    try:
        lab.until(lambda: len(lab.json("bindings", NODE)["items"]) == paths)
        yield lab
    finally:
        lab.process.send_signal(signal.SIGINT)
        lab.process.wait(60)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running(tmp_path_factory.mktemp("lab"), "three-access", 3) as lab:
        yield lab


@pytest.fixture
def dual(tmp_path: Path) -> Iterator[Lab]:
    """A lab of which a switch may go out of service: another anchor is there."""
    with running(tmp_path, "dual-anchor", 2) as lab:
        yield lab


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
Words = tuple[str, ...]
Schema = dict[str, Any]


def ref(name: str) -> Schema:
    """Return the schema of a resource of the OpenAPI document."""
    return {"$ref": f"#/components/schemas/{name}"}


def one(**fields: Schema) -> Schema:
    """Return the schema of an object that has these fields, all of them and no others."""
    return {"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False}


def several(item: Schema) -> Schema:
    return one(items={"type": "array", "items": item, "minItems": 1}, total={"type": "integer"})


TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
NUMBER: Schema = {"type": "integer"}
RATE: Schema = {"type": ["number", "null"]}
WHEN: Schema = {"type": ["string", "null"], "pattern": r"^[0-9-]{10}T[0-9:]{8}\+00:00$"}
YES, NO = {"const": True}, {"const": False}
ROLE = {"enum": ["viewer", "operator", "admin"]}
RATES = {f"{way}_{what}_per_second": RATE for way in ("downstream", "upstream") for what in ("packets", "bits")}
VIDEO = ("policies", "set", NODE, "video", "--priority", "10", "--bid", "2")
PRINTED: list[tuple[Words, Schema]] = [
    (("health",), ref("HealthResource")),
    (("nodes",), ref("Items_NodeResource_")),
    (("nodes", "provision", NEW, "--max-bindings", "2", "--check"), ref("Preview")),
    (("nodes", "provision", NEW, "--max-bindings", "2"), ref("ProvisionResource")),
    (("nodes", "show", NEW), ref("ProvisionResource")),
    (("nodes", "flows", NODE), ref("Items_FlowResource_")),
    (("bindings",), ref("Items_BindingResource_")),
    (("bindings", NODE), ref("Items_BindingResource_")),
    ((*VIDEO, "--check"), ref("Preview")),
    (VIDEO, ref("PolicyResource")),
    (("policies",), ref("Items_PolicyResource_")),
    (("policies", NODE), ref("Items_PolicyResource_")),
    (("preferences", "set", NODE, "2", "1", "--check"), ref("Preview")),
    (("preferences", "set", NODE, "2", "1"), ref("PreferenceResource")),
    (("preferences", NODE), ref("PreferenceResource")),
    (("switches",), ref("Items_SwitchResource_")),
    (("switches", "s1"), ref("SwitchResource")),
    (("audit",), several(ref("AuditResource"))),
    (("topology",), ref("TopologyResource")),
    (
        ("top", "--once"),
        one(items={"type": "array", "items": one(home_address=TEXT, bid=NUMBER, care_of_address=TEXT, **RATES)}),
    ),
    (("events",), ref("Items_EventResource_")),
    (("token", "create", "alice", "--role", "operator", "--expires", "1h"), one(name=TEXT, role=ROLE, token=TEXT)),
    (("token", "list"), several(one(name=TEXT, role=ROLE, created=WHEN, expires=WHEN))),
    (("audit-log",), ref("Items_ChangeResource_")),
    (("drain", "begin", "2001:db8:0:2::1"), ref("DrainResource")),
    (("drain",), ref("DrainResource")),
    (("reload",), ref("ReloadedResource")),
    (
        ("drill", "failover", "--node", NODE, "--bid", "3", "--seconds", "0.1", "--no-probe"),
        one(
            **dict.fromkeys(("home_address", "down_at", "restored_at"), TEXT),
            **dict.fromkeys(("bid", "taken_over_by"), NUMBER),
            failover_ms={"type": "number"},
            restore_ms={"type": "number"},
            probes={"type": "null"},
        ),
    ),
    # What removes comes last.
    (("drain", "end"), one(drained=NO)),
    (("preferences", "remove", NODE, "--check"), ref("Preview")),
    (("preferences", "remove", NODE), one(home_address=TEXT, removed=YES)),
    (("policies", "delete", NODE, "video", "--check"), ref("Preview")),
    (("policies", "delete", NODE, "video"), one(home_address=TEXT, name=TEXT, deleted=YES)),
    (("nodes", "remove", NEW, "--check"), ref("Preview")),
    (("nodes", "remove", NEW), one(home_address=TEXT, removed=YES)),
    (("token", "revoke", "alice"), one(name=TEXT, revoked=YES)),
    (("bindings", "revoke", NODE, "--bid", "3"), one(home_address=TEXT, bid=NUMBER, revoked=YES)),
    (("bindings", "revoke", "--all"), one(nodes=NUMBER)),
]
OF_SWITCHES: list[tuple[Words, Schema]] = [
    (("switches", "drain", "a1"), ref("SwitchResource")),
    (("switches", "undrain", "a1"), one(name=TEXT, drained=NO)),
]
WITHOUT_CONTROLLER: list[tuple[Words, Schema]] = [
    (
        ("check-config", "mcoa.toml"),
        one(
            **dict.fromkeys(("file", "state", "topology", "northbound"), TEXT),
            **dict.fromkeys(("home_networks", "switches"), TEXTS),
            valid=YES,
            problems={"const": []},
            nodes=NUMBER,
        ),
    ),
    (
        ("topology", "show", "three-access"),
        one(
            name=TEXT,
            description=TEXT,
            **dict.fromkeys(("home_networks", "nodes", "links", "routes"), OBJECTS),
        ),
    ),
]
ELSEWHERE = {("demo",), ("scenario",), ("switch",), ("node", "status"), ("replay",)}
"""Commands with `--json` that ask no controller; tests of their own look at what they print."""


def right(lab: Lab, command: Words, schema: Schema) -> None:
    """Check what a command prints as JSON."""
    document = httpx.get(f"{lab.environment['MCOA_URL']}/openapi.json", trust_env=False, timeout=30).json()
    done = lab.mcoa(*command, "--json")
    assert done.returncode == 0, (command, done.stderr)
    found = json.loads(done.stdout)
    whole = {**schema, "components": {"schemas": document["components"]["schemas"]}}
    wrong = [error.message for error in validator_for(whole).iter_errors(found)]
    assert not wrong, (command, wrong)


def test_what_json_prints_is_what_its_schema_says(lab: Lab) -> None:
    for command, schema in [*WITHOUT_CONTROLLER, *PRINTED]:
        right(lab, command, schema)
    changes = [("delete", "tokens/alice"), ("put", "tokens/alice")]
    lab.until(lambda: token_changes(lab)[:2] == changes)
    done = lab.mcoa("bindings", "revoke", NODE, "--bid", "3", "--json")
    assert (done.returncode, done.stdout) == (5, ""), "a failure prints no JSON, and has an exit status"


def token_changes(lab: Lab) -> list[tuple[str, str]]:
    items = lab.json("audit-log")["items"]
    return [(item["action"], item["resource"]) for item in items if item["resource"].startswith("tokens/")]


def test_a_switch_is_drained_and_put_back(dual: Lab) -> None:
    for command, schema in OF_SWITCHES:
        right(dual, command, schema)


def test_no_command_is_missing() -> None:
    root = typer.main.get_command(app)
    listed = [command for command, _ in (*PRINTED, *OF_SWITCHES, *WITHOUT_CONTROLLER)]
    seen = {named(root, command) for command in listed}
    there = {path for path, options in commands(root) if "--json" in options}
    assert there - ELSEWHERE == seen


def commands(command: Any, path: Words = ()) -> Iterator[tuple[Words, set[str]]]:
    """Yield every command with its options."""
    if not isinstance(command, TyperGroup):
        yield path, {option for parameter in command.params for option in parameter.opts}
        return
    context = typer.Context(command)
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*path, name))


def named(command: Any, words: Words) -> Words:
    """Return the path of the command that some words run, with the names that may be left out."""
    path: Words = ()
    while isinstance(command, TyperGroup):
        context = typer.Context(command)
        if not words or command.get_command(context, words[0]) is None:
            words = (next(iter(command.commands)), *words)
        path, words = (*path, words[0]), words[1:]
        command = command.get_command(context, path[-1])
    return path


def test_a_list_in_json_goes_on_while_it_is_watched(lab: Lab) -> None:
    command = [sys.executable, "-m", "controller.cli", "nodes", "--json", "--watch"]
    with subprocess.Popen(command, cwd=ROOT, env=lab.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert {item["home_address"] for item in json.loads(process.stdout.readline())["items"]} >= {NODE, ROUTER}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
