"""Commands about switches: audit, replay, shell."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.northbound.switch_views import AuditView, Difference, DriftKind
from controller.southbound.journal import Journal
from fake_control import FakeControl


def test_an_audit_without_drift_succeeds(mcoa: Callable[..., Any], url: str) -> None:
    result = mcoa("audit", "--url", url)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == ["s1", "20", "0", "0", "-"]


def test_an_audit_names_what_differs_and_fails(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    one = Difference(DriftKind.DIFFERENT, "tunnels", "node_id=1 bid=2", "drop_tunnel()", "encap_ipv6(source=::1)")
    control.audits["s1"] = AuditView("s1", None, 20, 3, 1, (one,))
    result = mcoa("audit", "s1", "--url", url)
    assert result.exit_code == 1
    assert "different  tunnels  node_id=1 bid=2  drop_tunnel()  encap_ipv6(source=::1)" in result.stdout
    assert "and 2 more" in result.stdout
    found = json.loads(mcoa("audit", "--url", url, "--json").stdout)
    assert found["items"][0]["differences"][0]["kind"] == "different"


def test_a_switch_that_cannot_be_read_fails_the_audit(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    control.audits["s1"] = AuditView("s1", "s1 is connecting")
    result = mcoa("audit", "--url", url)
    assert result.exit_code == 1
    assert "s1 is connecting" in result.stdout
    assert mcoa("audit", "nobody", "--url", url).exit_code == 5


def test_a_journal_is_listed(mcoa: Callable[..., Any], tmp_path: Path) -> None:
    times = iter([1000.0, 2000.0])
    with Journal(tmp_path / "ring", 4096, 5, lambda: next(times)) as journal:
        journal.append("s1", b"", {})
        journal.append("s2", b"", None)
    lines = mcoa("replay", str(tmp_path / "ring")).stdout.splitlines()
    assert lines[1].split() == ["1970-01-01T00:16:40.000+00:00", "s1", "0", "0", "0", "0"]
    assert lines[2].split()[-2:] == ["no", "answer"]
    found = json.loads(mcoa("replay", str(tmp_path / "ring"), "--switch", "s2", "--last", "1", "--json").stdout)
    assert [item["switch"] for item in found["items"]] == ["s2"]
    result = mcoa("replay", str(tmp_path / "ring"), "127.0.0.1:1")
    assert (result.exit_code, "for another program" in result.stderr) == (2, True)
    assert mcoa("replay", str(tmp_path / "none")).exit_code == 2


@pytest.fixture
def shell_home() -> Path:
    """The console's environment. Making it takes a package index and a minute, so it has to be asked for."""
    home = os.environ.get("MCOA_SHELL_HOME")
    if not home:
        pytest.skip("MCOA_SHELL_HOME is not set: no environment for p4runtime-shell")
    return Path(home)


SCRIPT = """
te = table_entry["default_binding"](action="steer")
te.match["node_id"] = "9"
te.action["bid"] = "2"
te.insert()
print("there:", sum(1 for _ in table_entry["default_binding"].read()))
exit
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("primary", [False, True])
def test_the_console_reads_and_writes_only_as_primary(shell_home: Path, *, primary: bool) -> None:
    """The real console on the embedded switch, both in processes of their own."""
    serve = """
import asyncio, sys
from controller.southbound.artefacts import load
from testbed.softswitch.switch import SoftSwitch
async def main():
    artefacts = load()
    soft = SoftSwitch()
    soft.load(artefacts.info, artefacts.config)
    print(await soft.start(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await soft.stop()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", serve], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as switch:
        assert switch.stdout is not None
        address = switch.stdout.readline().strip()
        command = [sys.executable, "-m", "controller.cli", "shell", address, *(["--primary"] if primary else [])]
        done = subprocess.run(
            command,
            input=SCRIPT,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            env=os.environ | {"MCOA_SHELL_HOME": str(shell_home), "IPYTHONDIR": str(shell_home / "ipython")},
        )
        assert switch.stdin is not None
        switch.stdin.close()
    output = done.stdout + done.stderr
    assert ("this console is read-only" in output) != primary, output
    assert f"there: {int(primary)}" in output, output
