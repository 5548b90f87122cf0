"""`mininet/run.py` as people start it, each time in a network namespace of its own: whatever it left would be seen there."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from testbed.netns.ovs import missing_tools

ROOT = Path(__file__).parents[2]
RUN = ROOT / "mininet" / "run.py"
PYTHON = "/usr/bin/python3"


def _has_mininet() -> bool:
    if not Path(PYTHON).exists():
        return False
    return subprocess.run([PYTHON, "-c", "import mininet.net"], check=False, capture_output=True).returncode == 0


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes network namespaces")
needs_mininet = pytest.mark.skipif(not _has_mininet(), reason="needs Mininet for the system's Python")
pytestmark = [pytest.mark.root, needs_root, needs_mininet, pytest.mark.timeout(240)]


def inside(script: str, timeout: float = 230) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a network of its own."""
    command = ["unshare", "--net", "sh", "-c", f"ip link set lo up\n{script}"]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def run(folder: Path, *arguments: str, before: str = "true", after: str = "true") -> subprocess.CompletedProcess[str]:
    words = " ".join((PYTHON, str(RUN), *arguments, "--out", str(folder / "out")))
    return inside(f"{before}\n{words}\ncode=$?\n{after}\nexit $code")


VEHICLE = ("--topology", "topologies/vehicle.yaml")


def test_a_vehicle_drives_through_and_nothing_is_left_behind(tmp_path: Path) -> None:
    done = run(tmp_path, *VEHICLE, "--switch", "embedded", "--scenario", "drive-through", after="ip -o link | wc -l")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   download.completed: 1" in done.stdout
    assert done.stdout.splitlines()[-1] == _links_of_nothing(), "interfaces are left"
    for name in ("report.json", "timeline.png", "s1-port1.pcap", "controller.log", "s1.log", "car.log"):
        assert (tmp_path / "out" / name).stat().st_size > 0, name
    assert not _processes(tmp_path)


@pytest.mark.skipif(bool(missing_tools()), reason="needs Open vSwitch")
def test_openflow_switches_are_bridges_and_go_with_the_run(tmp_path: Path) -> None:
    words = ("--topology", "topologies/openflow-transit.yaml", "--scenario", "openflow-failover")
    done = run(tmp_path, *words, after="ip -o link | wc -l")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == _links_of_nothing(), "interfaces are left"
    # No P4 switch reads the ports of a bridge too.
    assert {path.name for path in (tmp_path / "out").glob("[ao]?.log")} == {"a1.log", "a2.log"}
    assert (tmp_path / "out" / "ovs" / "conf.db").exists()
    assert not _processes(tmp_path)


@pytest.mark.bmv2
@pytest.mark.skipif(shutil.which("simple_switch_grpc") is None, reason="needs simple_switch_grpc on PATH")
def test_a_vehicle_drives_through_on_bmv2(tmp_path: Path) -> None:
    done = run(tmp_path, "--topology", "topologies/vehicle.yaml", "--switch", "bmv2", "--scenario", "short-drive")
    assert "download.completed: 1" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_mininets_command_line_shows_what_its_commands_print(tmp_path: Path) -> None:
    words = f"{PYTHON} {RUN} --topology topologies/three-access.yaml --cli --out {tmp_path / 'out'}"
    done = inside(f"printf 'nodes\\ncn ping -6 -n -c 1 -W 10 2001:db8:0:1::100\\nexit\\n' | {words}")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout + done.stderr  # Mininet writes to the second
    assert "camera cellular cn home mn mr s1" in shown
    assert "1 packets transmitted, 1 received" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind_after_an_interruption_or_a_crash(tmp_path: Path, number: signal.Signals) -> None:
    words = [PYTHON, str(RUN), "--topology", "topologies/campus.yaml", "--scenario", "return-home", "--out"]
    command = ["unshare", "--net", "sh", "-c", f"ip link set lo up; exec {' '.join(words)} {tmp_path / 'out'}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / "controller.log").exists():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(60) == (130 if number == signal.SIGINT else -9)
    deadline = time.monotonic() + 60
    while _processes(tmp_path):
        assert time.monotonic() < deadline, _processes(tmp_path)
        time.sleep(0.2)


def test_after_a_run_was_killed_under_traffic_the_next_one_works(tmp_path: Path) -> None:
    words = f"{PYTHON} {RUN} --topology topologies/three-access.yaml --scenario handover --out {tmp_path / 'out'}"
    script = f"""
        {words} >{tmp_path / "first"} 2>&1 & first=$!
        while ! grep -q ready {tmp_path / "first"}; do kill -0 $first || exit 3; sleep 0.1; done
        sleep 1; kill -9 $first; wait $first
        {words}; code=$?
        ip -o link | wc -l
        exit $code
    """
    done = inside(script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == _links_of_nothing(), "interfaces are left"


def _links_of_nothing() -> str:
    """Return how many interfaces a new network namespace has on this machine."""
    return inside("ip -o link | wc -l").stdout.strip()


def _processes(folder: Path) -> list[str]:
    """Return the commands of running processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in words and b"pytest" not in words:
                found.append(words.replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize(
    ("arguments", "before", "message"),
    [
        (("--scenario", "no-such-thing"), "true", "there is no scenario 'no-such-thing': anchor-failure,"),
        (
            ("--scenario", "drive-through"),
            f"{PYTHON} -m http.server --bind 127.0.0.1 8181 >/dev/null 2>&1 & server=$!; sleep 2",
            "choose another with --rest-port",
        ),
        (
            ("--scenario", "drive-through"),
            "ip link add s1-1 type veth peer name x1",
            "remove them with: for i in s1-1; do ip link del $i; done",
        ),
    ],
)
def test_what_is_in_the_way_is_said_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], before: str, message: str
) -> None:
    done = run(tmp_path, *VEHICLE, *arguments, before=before, after='test -z "$server" || kill $server')
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "world.json").exists()


def test_a_topology_with_a_fault_is_named_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text((ROOT / "topologies" / "vehicle.yaml").read_text().replace("access-router", "access-rooter", 1))
    done = run(tmp_path, "--topology", str(broken), "--scenario", "drive-through")
    assert done.returncode == 2
    assert f"{broken}:" in done.stderr
