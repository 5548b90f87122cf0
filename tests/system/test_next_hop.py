"""A router of which nobody said the Ethernet address, with a Linux kernel: the switch asks for it, and answers when it asks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_DRIVER = Path(__file__).with_name("drive_next_hop.py")
_ROOT = Path(__file__).parents[2]
_MISSING = [tool for tool in ("ip", "ethtool", "nsenter", "unshare", "ping") if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes network namespaces"),
    pytest.mark.skipif(bool(_MISSING), reason=f"needs {', '.join(_MISSING)}"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
    pytest.mark.timeout(200),
]


def test_a_router_is_found_and_found_again_when_it_is_replaced(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, str(_DRIVER), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=190, env=environment)
    logs = "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, f"{done.stderr}\n{logs}"
    found = json.loads(done.stdout)
    assert (found["first"], found["second"]) == (3, 3)
    assert "s1: wifi:core is at 02:00:00:00:aa:01" in found["log"]
    assert "s1: wifi:core is at 02:00:00:00:aa:02" in found["log"]
    # The router asked too, for the switch's link-local address, which is its way out.
    assert found["switch"] in found["asked"].values()
