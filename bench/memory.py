"""Memory: a controller with many bindings and no switch, in a process of its own."""

import subprocess
import sys
from pathlib import Path

from bench.registry import Result, Results, Settings, bench
from controller.dataplane.desired import DesiredState
from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.home_agent import HomeAgent, HomeAgentConfig, HomeNetwork
from controller.mobility.model import Binding, NodeRecord

_AGENT = parse_address("2001:db8:0:1::1")
_PREFIX = Prefix.parse("2001:db8:0:1::/64")
_BIDS = 3


def fill(bindings: int) -> None:
    """Hold that many bindings as the service does after a restart: in the engine and in the desired state."""
    engine = HomeAgent(HomeAgentConfig((HomeNetwork(_PREFIX, _AGENT, open=True),), max_bindings=1 << 30))
    desired = DesiredState()
    records = []
    for number in range(-(-bindings // _BIDS)):
        home = Address(_PREFIX.network[:8] + (0x100000 + number).to_bytes(8))
        held = tuple(
            Binding(bid, Address(bytes.fromhex(f"20010db800a{bid}0000") + number.to_bytes(8)), 3600, 1e9, bid)
            for bid in range(1, _BIDS + 1)
        )
        record = NodeRecord(home, _AGENT, 1, held)
        paths = {bid: number * _BIDS + bid for bid in range(1, _BIDS + 1)}
        desired.restore(record, number + 1, paths)
        records.append(record)
    engine.restore(records)


def _highest() -> int:
    """Return the highest resident size of this process so far; `getrusage` would count what it was forked from."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM: this bench needs Linux")


def _resident(bindings: int) -> int:
    """Return the highest resident size, in octets, of a process that holds that many bindings."""
    command = [sys.executable, "-m", "bench.memory", str(bindings)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


@bench("controller.memory")
def memory(settings: Settings) -> Results:
    """A million bindings; with --scale less of them, and what a million takes at that rate."""
    bindings = settings.amount(1_000_000)
    none, some = _resident(0), _resident(bindings)
    each = (some - none) / bindings
    whole = (none + each * 1_000_000) / 1e6
    note = f"{bindings} bindings of nodes with three each took {some / 1e6:.0f} MB, an empty controller {none / 1e6:.0f} MB"
    return {"controller.memory_1m_bindings": Result(whole, "MB", None, None, note)}


if __name__ == "__main__":
    fill(int(sys.argv[1]))
    sys.stdout.write(f"{_highest()}\n")
