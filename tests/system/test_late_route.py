"""An address that is there before its route, with a Linux kernel: the node registers as soon as it has a way out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_DRIVER = Path(__file__).with_name("drive_late_route.py")
_ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a network namespace"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
    pytest.mark.timeout(200),
]


def test_a_binding_update_that_had_no_route_leaves_when_there_is_one(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, str(_DRIVER), str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=190, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == {
        "settled before it looked": False,
        "unsent": ["wlan0 ENETUNREACH"],
        "source": "2001:db8:a1::100",
    }
