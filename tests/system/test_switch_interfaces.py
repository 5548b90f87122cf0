import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_DRIVER = Path(__file__).with_name("drive_switch.py")
_ROOT = Path(__file__).parents[2]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a network namespace and veth pairs")
@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("ip") is None, reason="needs unshare and ip")
@pytest.mark.timeout(60)
def test_the_switch_tunnels_between_linux_interfaces_both_ways() -> None:
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether

    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = ["unshare", "--net", sys.executable, str(_DRIVER)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=50, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    down = Ether(bytes.fromhex(found["down"]))
    outer, inner = down[IPv6], down[IPv6].payload
    assert (outer.src, outer.dst, outer.nh) == ("2001:db8:0:1::1", "2001:db8:a1::100", 41)
    assert (inner.src, inner.dst, bytes(inner[UDP].payload)) == ("2001:db8:c::10", "2001:db8:0:1::100", b"down")
    up = Ether(bytes.fromhex(found["up"]))
    assert (up[IPv6].src, up[IPv6].dst, up[IPv6].nh) == ("2001:db8:0:1::100", "2001:db8:c::10", 17)
    assert bytes(up[UDP].payload) == b"up"
    assert found["exit"] == "0"
