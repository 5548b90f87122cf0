"""A machine that lacks something: one line that says what and how to get it, exit status 2, and nothing is begun."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = ROOT / "mininet" / "run.py"
PYTHON = "/usr/bin/python3"
TOOLS = (
    "ip",
    "ethtool",
    "tc",
    "nsenter",
    "unshare",
    "curl",
    "ping",
    "iperf3",
    "tcpdump",
    "traceroute",
    "sh",
    "mnexec",
    "ifconfig",
    "sysctl",
)
NOBODY = 65534

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without it nothing else is looked for")
pytestmark = [pytest.mark.root, pytest.mark.timeout(60)]


def has_mininet() -> bool:
    if not Path(PYTHON).exists():
        return False
    return subprocess.run([PYTHON, "-c", "import mininet.net"], check=False, capture_output=True).returncode == 0


needs_mininet = pytest.mark.skipif(not has_mininet(), reason="needs Mininet for the system's Python")


def path_with(folder: Path, *without: str) -> str:
    """Return a PATH on which there is what the testbed needs, but for some tools."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if found is not None and tool not in without:
            (bin_folder / tool).symlink_to(found)
    return str(bin_folder)


def attempt(folder: Path, path: str, *command: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command on a machine with that PATH."""
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    words = [*command, "--out", str(folder / "out")]
    if user is not None:
        # Not by `user=`: for that Python forks this process, and the child of one with gRPC's threads may not live to exec.
        setpriv = shutil.which("setpriv", path=f"{os.environ['PATH']}:/usr/bin:/bin")
        assert setpriv is not None
        words = [setpriv, f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *words]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=50, env=environment, cwd=ROOT)


def refusal(folder: Path, path: str, *command: str, user: int | None = None) -> str:
    """Return the one line with which a command refuses."""
    out = folder / "out"
    done = attempt(folder, path, *command, user=user)
    assert done.returncode == 2, done.stdout + done.stderr
    lines: list[str] = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert not out.exists() or not any(out.iterdir()), "something was begun"
    return lines[0]


def scenario(*arguments: str, name: str = "path-loss") -> tuple[str, ...]:
    return (sys.executable, "-m", "controller.cli", "scenario", name, *arguments)


def mininet(*arguments: str) -> tuple[str, ...]:
    words = ("--topology", "topologies/three-access.yaml", "--scenario", "path-loss", *arguments)
    return (PYTHON, str(RUN), *words)


@root_only
@pytest.mark.parametrize(
    ("tool", "package"), [("ethtool", "ethtool"), ("curl", "curl"), ("ping", "iputils-ping"), ("iperf3", "iperf3")]
)
def test_a_scenario_names_the_package_that_is_missing(tmp_path: Path, tool: str, package: str) -> None:
    line = refusal(tmp_path, path_with(tmp_path, tool), *scenario())
    assert tool in line
    assert f"apt-get install {package}" in line


@root_only
@pytest.mark.skipif(shutil.which("traceroute") is None, reason="needs traceroute, to be without it")
def test_a_scenario_with_a_traceroute_names_its_package(tmp_path: Path) -> None:
    line = refusal(tmp_path, path_with(tmp_path, "traceroute"), *scenario(name="tracing"))
    assert "apt-get install traceroute" in line


@root_only
def test_a_scenario_needs_bmv2_only_when_it_is_asked_for(tmp_path: Path) -> None:
    line = refusal(tmp_path, path_with(tmp_path), *scenario("--switch", "bmv2"))
    assert "simple_switch_grpc" in line
    assert "embedded" in line


@root_only
@needs_mininet
@pytest.mark.parametrize(
    ("tool", "package"), [("ethtool", "ethtool"), ("curl", "curl"), ("tcpdump", "tcpdump"), ("iperf3", "iperf3")]
)
def test_mininet_names_the_package_that_is_missing(tmp_path: Path, tool: str, package: str) -> None:
    line = refusal(tmp_path, path_with(tmp_path, tool), *mininet())
    assert f"apt-get install {package}" in line


@root_only
@needs_mininet
def test_mininet_needs_bmv2_only_when_it_is_asked_for(tmp_path: Path) -> None:
    line = refusal(tmp_path, path_with(tmp_path), *mininet("--switch", "bmv2"))
    assert "simple_switch_grpc is not on PATH" in line
    assert "--switch embedded" in line


@root_only
def test_without_mininet_the_package_is_named(tmp_path: Path) -> None:
    # This Python is the project's own, which has no Mininet.
    line = refusal(tmp_path, path_with(tmp_path), sys.executable, *mininet()[1:])
    assert "Mininet is missing" in line
    assert "apt-get install mininet" in line


@root_only
def test_a_scenario_for_another_topology_is_refused_before_anything_starts(tmp_path: Path) -> None:
    other = str(ROOT / "topologies" / "vehicle.yaml")
    path = path_with(tmp_path)
    for command in (scenario("--topology", other), mininet("--topology", other) if has_mininet() else ()):
        if command:
            done = attempt(tmp_path, path, *command)
            lines = done.stderr.strip().splitlines()
            assert done.returncode == 2, done.stderr
            assert all("scenarios/path-loss.yaml:" in line for line in lines), done.stderr
            assert "'mn' is no node with an address in the topology 'vehicle'" in lines[0]


@root_only
def test_openflow_switches_need_open_vswitch(tmp_path: Path) -> None:
    # It is looked for beside PATH too: what is there is covered, for this process alone.
    there = Path("/usr/sbin/ovs-vswitchd")
    cover = f"mount --bind /dev/null {there} && " if there.exists() else ""
    covered = (
        str(shutil.which("unshare")),
        "--mount",
        "/bin/sh",
        "-c",
        f'PATH=/bin:/usr/bin; {cover}PATH={{}}; exec "$@"',
    )
    path = path_with(tmp_path)
    words = (*(word.format(path) for word in covered), "sh", *scenario(name="openflow-failover"))
    line = refusal(tmp_path, path, *words)
    assert "apt-get install openvswitch-switch" in line


@root_only
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to take a capability away")
def test_without_the_capability_for_namespaces_it_says_so(tmp_path: Path) -> None:
    path = path_with(tmp_path)
    less = (str(shutil.which("setpriv")), "--bounding-set", "-sys_admin")
    line = refusal(tmp_path, path, *less, *scenario())
    assert "network namespaces cannot be made" in line
    assert "CAP_SYS_ADMIN" in line
    if has_mininet():
        assert "CAP_SYS_ADMIN" in refusal(tmp_path, path, *less, *mininet())


@root_only
@needs_mininet
def test_a_port_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    line = refusal(tmp_path, path_with(tmp_path), *mininet("--rest-port", "99999"))
    assert "port 99999 is out of range: give --rest-port from 1 to 65535" in line


@root_only
def test_without_root_it_says_so(tmp_path: Path) -> None:
    for folder in (RUN, *RUN.parents):
        if not folder.stat().st_mode & 0o004:
            pytest.skip(f"{folder} cannot be read by others")
    tmp_path.chmod(0o777)
    line = refusal(tmp_path, path_with(tmp_path), *mininet(), user=NOBODY)
    assert "needs root: run it with sudo" in line
