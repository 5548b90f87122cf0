"""What the testbed needs of a kernel, tried: each missing thing with what to do about it."""

import os
import subprocess
from pathlib import Path
from typing import Final

_TUN: Final = Path("/dev/net/tun")
_IPV6: Final = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_LINKS: Final = {"veth": "type veth peer name mcoa1", "bridge": "type bridge"}
"""Kinds of interfaces that a run makes, and how."""


def kernel_fault() -> str | None:
    """Return what this kernel lacks, in one line that says what to do; None: nothing. Needs root, `ip` and `unshare`."""
    if not _TUN.exists():
        return "/dev/net/tun is missing: load the tun module (modprobe tun)"
    try:
        os.close(os.open(_TUN, os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun cannot be used ({error.strerror}): load the tun module (modprobe tun)"
    if not _IPV6.exists():
        return "this kernel has no IPv6: take ipv6.disable=1 from its command line, or load the ipv6 module (modprobe ipv6)"
    if _in_new_network("true"):
        return (
            "network namespaces cannot be made: run it outside of a container, or in a privileged one (CAP_SYS_ADMIN);"
            " the kernel needs CONFIG_NET_NS"
        )
    for kind, how in _LINKS.items():
        reason = _in_new_network(f"ip link add name mcoa0 {how}")
        if reason:
            return f"this kernel makes no interfaces of the kind {kind} ({reason}): load its module (modprobe {kind})"
    return None


def _in_new_network(command: str) -> str:
    """Run a command in a network namespace that goes with it; return why it failed, empty: it did not."""
    words = ["unshare", "--net", "sh", "-c", command]
    done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603  our own command
    if not done.returncode:
        return ""
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[0]
