"""A network namespace for a bench: only there does it send packets over interfaces."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

BMV2: Final = "simple_switch_grpc"
_ALL: Final = 3
"""Every EtherType, for a packet socket."""
_BUFFER: Final = 8 << 20


def missing() -> str:
    """Say what a network namespace would need that is not there; "": nothing."""
    if sys.platform != "linux":
        return "it needs Linux"
    if os.geteuid() != 0:
        return "it needs root, for a network namespace with veth pairs"
    tools = [tool for tool in ("ip", "unshare", "mount") if shutil.which(tool) is None]
    return f"{' and '.join(tools)} not on PATH" if tools else ""


def run(module: str, arguments: list[str], *, within: float) -> Any:  # noqa: ANN401  what the module says
    """Run a module of benches in a namespace of its own and return what it prints, from JSON.

    Raises:
        RuntimeError: it failed.
        subprocess.TimeoutExpired: it took longer than that many seconds.
    """
    command = ["unshare", "--net", "--mount", sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=within)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


# What that module does first.


def prepare() -> None:
    """Make the namespace that this process is in ready for links."""
    # BMv2 asks /sys whether its interfaces are up: it must be that of this namespace.
    subprocess.run(["mount", "-t", "sysfs", "none", "/sys"], check=True)
    for name in ("all", "default"):
        # The kernel's own neighbour discovery would mix with what is counted.
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1", encoding="ascii")
    _ip("link", "set", "lo", "up")


def make_link(outside: str, inside: str) -> None:
    """Make a veth pair."""
    _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
    for end in (outside, inside):
        _ip("link", "set", end, "up", "mtu", "9000")


def packet_socket(interface: str) -> socket.socket:
    """Return a socket for the frames of an interface."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    link.bind((interface, _ALL))
    return link


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
