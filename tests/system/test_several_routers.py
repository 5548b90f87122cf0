"""A home link with several routers: an ordinary one beside the home agent's anchor, and two anchors of one home agent."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_MISSING = [tool for tool in ("ip", "ethtool", "nsenter", "unshare", "ping") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes network namespaces"),
    pytest.mark.skipif(bool(_MISSING), reason=f"needs {', '.join(_MISSING)}"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
    pytest.mark.timeout(300),
]
_BMV2 = pytest.param(
    "bmv2",
    marks=[
        pytest.mark.bmv2,
        pytest.mark.skipif(shutil.which("simple_switch_grpc") is None, reason="needs simple_switch_grpc on PATH"),
    ],
)


def drive(folder: Path, script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder in a process of its own; return what it has found."""
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests' / 'support'}"}
    command = [sys.executable, str(_HERE / script), str(folder), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=290, env=environment)
    logs = "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in folder.glob("*.log"))
    assert done.returncode == 0, f"{done.stderr}\n{logs}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("switch", ["embedded", _BMV2])
def test_a_node_is_found_away_and_at_home_from_behind_both_routers(tmp_path: Path, switch: str) -> None:
    found = drive(tmp_path, "drive_campus.py", switch)
    macs = found["macs"]
    # The kernel of a host on the link has both in its list of default routers, by their Router Advertisements.
    assert found["heard"] == found["routers"]
    assert len(found["routers"]) == 2
    # Away: the gateway asks for the home address as for any host's, and the home agent answers (RFC 6275 section 10.4.1).
    assert found["away"] == {"answers": [3] * 4, "by": macs["anchor"]}
    # At home: the node has said that the address is its own again, and the gateway sends to it straight.
    assert found["at home"] == {"answers": [3] * 4, "by": macs["student"]}
    # A node at home may take either router.
    assert found["heard at home"] == found["routers"]
    assert (found["by anchor"], found["by gateway"]) == ([3, 3], [3, 3])
    assert found["away again"] == {"answers": [3] * 4, "by": macs["anchor"]}
    assert found["bindings"] == {"1": "2001:db8:b3::100", "2": "2001:db8:b2::100"}


def test_two_anchors_on_one_home_link_and_the_first_is_killed(tmp_path: Path) -> None:
    found = drive(tmp_path, "drive_two_anchors.py")
    assert found["heard"] == found["routers"]
    # Each hears what the other says for the home agent, and takes it for nobody else's: the node's address is not in use.
    assert "status 134" not in found["log"]
    assert found["both"] == [3, 3]
    assert found["by"] in found["macs"].values()
    # Packets for the node go on by the other, from afar and from the link.
    assert (found["one"], found["by the other"]) == ([3, 3], found["macs"]["s2"])
    # So does what the home agent says for a node that registers anew.
    assert (found["said"], found["anew"]) == (found["macs"]["s2"], [3, 3])
