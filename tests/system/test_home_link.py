"""A home link with a Linux kernel on it: its neighbour discovery meets what the home agent says for nodes that are away."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_DRIVER = Path(__file__).with_name("drive_home_link.py")
_ROOT = Path(__file__).parents[2]
_MISSING = [tool for tool in ("ip", "ethtool", "nsenter", "unshare", "ping") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes network namespaces"),
    pytest.mark.skipif(bool(_MISSING), reason=f"needs {', '.join(_MISSING)}"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("home_binding", ["refuse", "ndp", "static"])
def test_the_kernel_finds_the_node_away_and_at_home(tmp_path: Path, home_binding: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, str(_DRIVER), str(tmp_path), home_binding]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=290, env=environment)
    logs = "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, f"{done.stderr}\n{logs}"
    found: dict[str, Any] = json.loads(done.stdout)
    switch, node = found["macs"]["s1:1"], found["macs"]["mn:eth0"]
    # Away: the kernel asks for the home address, the home agent answers, packets reach the node through its tunnel.
    assert (found["away"], found["resolved"]) == (3, switch)
    # A kernel that tries to take the home address finds it in use (RFC 4862), and nothing changes.
    assert (found["probed"], found["still"]) == (True, 3)
    assert found["at_home"] == 3
    if home_binding == "static":
        # At home and away, status 5: the home agent goes on answering and hands frames over to the node.
        assert (found["told"], found["asked"]) == (switch, switch)
        assert found["bindings"] == {"1": False, "2": True}
        assert found["handed_over"] >= 3
    else:
        # The node has its address back: unsolicited advertisements say so, and it alone answers who asks.
        assert (found["told"], found["asked"]) == (node, node)
        assert found["bindings"] == ({} if home_binding == "refuse" else {"1": False, "2": True})
