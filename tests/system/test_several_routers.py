"""A home link with several routers: the home agent's anchor, and an ordinary router that knows nothing of mobility."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_DRIVER = Path(__file__).with_name("drive_campus.py")
_ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("switch", ["embedded", _BMV2])
def test_a_node_is_found_away_and_at_home_from_behind_both_routers(tmp_path: Path, switch: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, str(_DRIVER), str(tmp_path), switch]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=290, env=environment)
    logs = "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, f"{done.stderr}\n{logs}"
    found: dict[str, Any] = json.loads(done.stdout)
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
