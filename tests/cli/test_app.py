import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from controller.cli import extensions
from controller.config import Settings

ROOT = Path(__file__).parent.parent.parent
CONFIG = """
[home_agent]
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"
[topology]
file = "net.yaml"
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "controller.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_good_configuration(mcoa: Callable[..., Any], config: Path) -> None:
    result = mcoa("check-config", str(config))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"{config}: good"
    shown = json.loads(mcoa("check-config", str(config), "--json").stdout)
    assert shown == {
        "file": str(config),
        "valid": True,
        "problems": [],
        "state": str(config.with_name("mcoa.sqlite3")),
        "topology": str(config.with_name("net.yaml")),
        "home_networks": ["2001:db8:0:1::/64"],
        "nodes": 0,
        "switches": ["s1 (embedded at 127.0.0.1:9559)"],
        "northbound": "127.0.0.1:8181",
    }


@pytest.mark.parametrize("command", [["check-config"], ["run", "--config"]])
def test_a_wrong_configuration(mcoa: Callable[..., Any], config: Path, command: list[str]) -> None:
    config.write_text(CONFIG + "[northbound]\nlisten = 'x'\ncolour = 1\n")
    result = mcoa(*command, str(config))
    assert (result.exit_code, result.stdout) == (2, "")
    assert [re.sub(r"^mcoa: .*toml: ", "", line) for line in result.stderr.splitlines()] == [
        "northbound.listen: 'x' is not host:port with a port up to 65535, as in 127.0.0.1:9559 or [::1]:9559",
        "northbound.colour: unknown key: remove it or correct its spelling",
    ]
    assert mcoa(*command, str(config.with_name("none.toml"))).exit_code == 2


def test_a_wrong_configuration_as_json(mcoa: Callable[..., Any], config: Path) -> None:
    config.write_text(CONFIG + "[colour]\n")
    result = mcoa("check-config", str(config), "--json")
    assert result.exit_code == 2
    reason = "unknown key: remove it or correct its spelling"
    problems = [{"file": str(config), "field": "colour", "reason": reason}]
    assert json.loads(result.stdout) == {"file": str(config), "valid": False, "problems": problems}


@pytest.mark.parametrize("failure", [None, "the state database\nis in use"])
def test_run_hands_the_settings_to_the_service(
    mcoa: Callable[..., Any], config: Path, monkeypatch: pytest.MonkeyPatch, failure: str | None
) -> None:
    got = []
    service = ModuleType("controller.service")

    class ServiceError(Exception):
        pass

    async def run_service(settings: Settings) -> None:
        got.append(settings.file)
        if failure is not None:
            raise ServiceError(failure)

    vars(service).update(ServiceError=ServiceError, run=run_service)
    monkeypatch.setitem(sys.modules, "controller.service", service)
    result = mcoa("run", "--config", str(config), "--log-level", "warning")
    assert got == [config]
    expected = (0, "") if failure is None else (1, "mcoa: the state database is in use\n")
    assert (result.exit_code, result.stderr) == expected
    assert mcoa("run", "--config", str(config), "--log-level", "loud").exit_code == 2


def test_version_and_exit_status_of_the_process() -> None:
    shown = run("--version")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("mcoa ")
    assert run("no-such-command").returncode == 2
    assert run().returncode == 2


def test_shells_complete_commands_and_options() -> None:
    code = "from controller.cli import main; main()"

    def completed(words: str) -> set[str]:
        typed = {"_MCOA_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, **typed},
            capture_output=True,
            text=True,
            check=False,
        )
        return set(done.stdout.split())

    assert {"nodes", "node"} == completed("mcoa no")
    assert {"live", "check", "show", "draw"} <= completed("mcoa topology ")
    assert {"list", "provision", "remove"} <= completed("mcoa nodes ")
    for words in ("mcoa nodes list --", "mcoa nodes --"):
        assert {"--json", "--watch", "--state"} <= completed(words)


def test_help_is_quick_to_load() -> None:
    code = "import sys; from controller.cli import main\ntry: main()\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "policies", "--help"], cwd=ROOT, capture_output=True, text=True)  # noqa: PLW1510  the output is looked at
    assert "policies" in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"grpc", "fastapi", "httpx", "networkx", "testbed"}


@pytest.fixture
def extend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    monkeypatch.syspath_prepend(tmp_path)

    def extend(**sources: str) -> None:
        entries = []
        for name, source in sources.items():
            monkeypatch.delitem(sys.modules, f"mcoa_extension_{name}", raising=False)  # that of another test
            (tmp_path / f"mcoa_extension_{name}.py").write_text(source)
            entries.append(EntryPoint(name, f"mcoa_extension_{name}:command", extensions.GROUP))
        monkeypatch.setattr(extensions, "entry_points", lambda group: entries if group == extensions.GROUP else [])

    return extend


APPLICATION = """
import typer
command = typer.Typer()
@command.command()
def one(count: int = 1) -> None:
    "Count things."
    print("counted", count)
"""
FUNCTION = """
def command(fail: bool = False) -> None:
    "Do as a function does."
    raise SystemExit(3 if fail else 0)
"""


def test_extensions_are_commands(mcoa: Callable[..., Any], extend: Callable[..., None]) -> None:
    extend(counting=APPLICATION, function=FUNCTION)
    listed = mcoa("--help").stdout
    assert "Count things." in listed
    assert "Do as a function does." in listed
    result = mcoa("counting", "--count", "5")
    assert (result.exit_code, result.stdout) == (0, "counted 5\n")
    assert mcoa("counting", "--count", "x").exit_code == 2
    assert mcoa("function", "--fail").exit_code == 3


def test_an_extension_with_several_commands(mcoa: Callable[..., Any], extend: Callable[..., None]) -> None:
    extend(group=APPLICATION + "\n@command.command()\ndef two() -> None:\n    print('two')\n")
    assert mcoa("group", "two").stdout == "two\n"


def test_a_broken_extension_leaves_the_others_alone(mcoa: Callable[..., Any], extend: Callable[..., None]) -> None:
    extend(counting=APPLICATION, broken="import mcoa_no_such_module", strange="command = 5", empty="")
    listed = mcoa("--help")
    assert listed.exit_code == 0
    assert "Count things." in listed.stdout
    assert "cannot be loaded" in listed.stdout
    assert mcoa("counting").stdout == "counted 1\n"
    for name in ("broken", "strange", "empty"):
        result = mcoa(name, "--any", "thing")
        assert (result.exit_code, result.stdout) == (1, "")
        assert re.fullmatch(rf"mcoa: {name}: mcoa_extension_{name}:command cannot be loaded: .*\n", result.stderr)


def test_an_extension_adds_to_the_group_of_its_name(mcoa: Callable[..., Any], extend: Callable[..., None]) -> None:
    two = "\n@command.command()\ndef live() -> None:\n    print('shadows')\n"
    extend(topology=APPLICATION + two, nodes=APPLICATION)
    assert mcoa("topology", "one").stdout == "counted 1\n"
    listed = mcoa("topology", "--help").stdout
    assert "Count things." in listed
    assert "as the controller sees it" in listed
    assert "shadows" not in mcoa("topology", "live", "--url", "http://127.0.0.1:1").stdout
    assert mcoa("nodes", "one", "--url", "http://127.0.0.1:1").exit_code == 3, "not every group is open"


def test_a_broken_extension_leaves_the_group_of_its_name_alone(
    mcoa: Callable[..., Any], extend: Callable[..., None]
) -> None:
    extend(topology="import mcoa_no_such_module")
    assert "mcoa_extension_topology:command" in mcoa("topology", "--help").stdout
    assert mcoa("topology", "--url", "http://127.0.0.1:1").exit_code == 3


def test_an_extension_is_loaded_when_it_is_run_only(mcoa: Callable[..., Any], extend: Callable[..., None]) -> None:
    extend(noisy="raise RuntimeError('loaded')", run="raise RuntimeError('shadows a command')")
    result = mcoa("check-config", "none.toml")
    assert (result.exit_code, "loaded" in result.stderr) == (2, False)
    assert "shadows" not in mcoa("run", "--config", "none.toml").stderr
