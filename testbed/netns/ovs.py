"""Open vSwitch of its own for a run: database, sockets and daemons in the run's folder, with the user-space datapath.

The machine's own Open vSwitch, if one runs, is left alone: nothing is shared with it but the programs.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from testbed.netns.parts import Device
from testbed.netns.processes import Process, ProcessError

TOOLS: Final = ("ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-vswitchd", "ovs-appctl")
_SBIN: Final = "/usr/sbin"
_SCHEMA: Final = "/usr/share/openvswitch/vswitch.ovsschema"
_PATIENCE: Final = "20"
_CONTROL: Final = "vswitchd.ctl"
_MAX_SOCKET: Final = 100


def missing_tools() -> list[str]:
    """Return which programs of Open vSwitch are not there."""
    return [tool for tool in TOOLS if _path(tool) is None]


def _path(tool: str) -> str | None:
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:{_SBIN}")


class OpenVSwitch:
    """The two daemons.

    Args:
        folder: for all files; it is made.

    Raises:
        ProcessError: a program is missing, or the folder's path is too long for a socket.
    """

    def __init__(self, folder: Path) -> None:
        missing = missing_tools()
        if missing:
            raise ProcessError(f"{', '.join(missing)} is missing: apt-get install openvswitch-switch")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder: Final = folder
        self._socket: Final = folder / "db.sock"
        if len(str(self._socket)) > _MAX_SOCKET:
            raise ProcessError(f"{self._socket}: the path is too long for a socket: choose another folder")
        # All that the daemons would put into the machine's own folders goes here.
        self._environment: Final = {
            name: str(folder) for name in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        }
        self.database: Final = self._process(
            "ovsdb-server",
            [str(folder / "conf.db"), f"--remote=punix:{self._socket}", f"--unixctl={folder / 'db.ctl'}"],
        )
        self.switch: Final = self._process(
            "ovs-vswitchd", [f"unix:{self._socket}", "--disable-system", f"--unixctl={folder / _CONTROL}"]
        )

    def _process(self, tool: str, arguments: Sequence[str]) -> Process:
        words = ["env", *(f"{name}={value}" for name, value in self._environment.items())]
        return Process(tool, [*words, str(_path(tool)), *arguments], self._folder / f"{tool}.log")

    async def start(self) -> None:
        """Make the database and start the daemons.

        Raises:
            ProcessError: one did not start.
        """
        self._run("ovsdb-tool", "create", str(self._folder / "conf.db"), _SCHEMA)
        self.database.start()
        await self.database.wait_until(self._socket.exists, "made no socket")
        self._run("ovs-vsctl", f"--db=unix:{self._socket}", "--no-wait", "init")
        self.switch.start()
        await self.switch.wait_until((self._folder / _CONTROL).exists, "made no socket")

    def add(self, device: Device, controller: str) -> None:
        """Make a bridge of an OpenFlow switch of the plan, driven from `controller`, host:port.

        Raises:
            ProcessError: it could not be made.
        """
        bridge = device.name
        words = ["add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "protocols=OpenFlow13"]
        words += ["fail_mode=secure", f"other-config:datapath-id={device.device_id:016x}"]
        for number, interface, _ in device.ports:
            words += ["--", "add-port", bridge, interface]
            words += ["--", "set", "interface", interface, f"ofport_request={number}"]
        words += ["--", "set-controller", bridge, f"tcp:{controller}"]
        # The controller may come later: ask for it often.
        words += ["--", "set", "controller", bridge, "max_backoff=1000", "connection-mode=out-of-band"]
        self._run("ovs-vsctl", f"--db=unix:{self._socket}", f"--timeout={_PATIENCE}", *words)

    def stop(self) -> None:
        """End both, by their process ids; the interfaces of the bridges go first: those of the user-space datapath outlive it."""
        if self.switch.alive:
            with contextlib.suppress(ProcessError):  # it does not listen yet, or no more
                self._run(
                    "ovs-appctl", f"--timeout={_PATIENCE}", "-t", str(self._folder / _CONTROL), "exit", "--cleanup"
                )
            self.switch.wait(float(_PATIENCE))
        self.switch.stop()
        self.database.stop()

    def _run(self, tool: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603  our own command
            [str(_path(tool)), *arguments],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ProcessError(f"{tool}: {done.stderr.strip() or done.stdout.strip()}")
