"""How a P4 switch is run as a process, by its kind."""

import subprocess
import sys
from typing import Final

from testbed.netns.parts import Device
from testbed.settings import free_port

SWITCHES: Final = ("embedded", "bmv2")
CPU_PORT: Final = 510


def switch_command(kind: str, device: Device, server: str) -> list[str]:
    """Return the command that runs a switch.

    Args:
        kind: one of `SWITCHES`.
        device: its ports and its number.
        server: host:port for its P4Runtime server.
    """
    ports = [word for number, interface, _ in device.ports for word in ("-i", f"{number}@{interface}")]
    if kind == "embedded":
        command = [sys.executable, "-m", "controller.cli", "switch", *ports]
        return [*command, "--grpc", server, "--device-id", str(device.device_id)]
    command = ["simple_switch_grpc", "--no-p4", *ports, "--device-id", str(device.device_id)]
    if _has_thrift():  # by default each listens on one and the same port
        command += ["--thrift-port", str(free_port())]
    return [*command, "--", "--grpc-server-addr", server, "--cpu-port", str(CPU_PORT)]


def _has_thrift() -> bool:
    """Tell whether this build of BMv2 has a Thrift server."""
    done = subprocess.run(["simple_switch_grpc", "--help"], capture_output=True, text=True, check=False)  # noqa: S607
    return "--thrift-port" in done.stdout + done.stderr
