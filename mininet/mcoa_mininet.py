"""Mininet's building blocks for mcoa: P4 switches as processes, the air, and nodes in namespaces.

This runs with the system's Python, for which Debian has the `mininet` package; everything else of mcoa runs with the
interpreter of its own environment, as processes.

    net.addSwitch("s1", cls=EmbeddedSwitch, device_id=1, folder="run", python=".venv/bin/python")
    net.addSwitch("s2", cls=Bmv2Switch, device_id=2, folder="run")
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time

from mininet.node import Host, Switch

CPU_PORT = 510
PATIENCE = 60.0


class StartError(RuntimeError):
    """Something did not start; the text says what, and ends with its last words."""


def die_with_parent():
    """Have the kernel end this process when its parent is gone, however that went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)


def free_port():
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def last_lines(log, count=8):
    """Return the end of a log."""
    with open(log, encoding="utf-8", errors="replace") as stream:
        return "".join(stream.readlines()[-count:]).strip()


class P4Switch(Switch):
    """A P4 switch as a process of its own in the root namespace, with a P4Runtime server on the loopback interface.

    Parameters beside Mininet's: `device_id`, and `folder` for its log.
    """

    def __init__(self, name, device_id=1, folder=".", **params):
        params.setdefault("dpid", "%016x" % device_id)
        params["inNamespace"] = False
        Switch.__init__(self, name, **params)
        self.device_id = device_id
        self.numbers = {}
        self.log = os.path.join(folder, f"{name}.log")
        self.server = f"127.0.0.1:{free_port()}"
        self.process = None

    def number_port(self, interface, number):
        """Say which port number an interface has."""
        self.numbers[interface] = number

    def port_words(self):
        """Return the ports as both kinds of switch take them on the command line."""
        return [word for name, number in sorted(self.numbers.items()) for word in ("-i", f"{number}@{name}")]

    def command_line(self):
        """Return the command that runs it."""
        raise NotImplementedError

    def start(self, controllers=()):
        """Start the process and wait until its P4Runtime server answers."""
        began = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready(began):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"{self.name} did not start: {last_lines(self.log)}")
            time.sleep(0.05)

    def is_ready(self, began):
        """Tell whether its server takes connections."""
        host, _, port = self.server.rpartition(":")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex((host, int(port))) == 0

    def kill(self):
        """End the process without a word to it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self, deleteIntfs=True):
        """End the process, by its id, and remove the interfaces."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(6)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None
        Switch.stop(self, deleteIntfs)


class EmbeddedSwitch(P4Switch):
    """The switch that comes with mcoa. `python` is the interpreter of mcoa's environment."""

    def __init__(self, name, python="python3", **params):
        P4Switch.__init__(self, name, **params)
        self.python = python

    def command_line(self):
        """Return the command that runs it."""
        words = [self.python, "-m", "controller.cli", "switch", *self.port_words()]
        return [*words, "--grpc", self.server, "--device-id", str(self.device_id)]

    def is_ready(self, began):
        """Tell whether it said so since it was started."""
        with open(self.log, "rb") as log:
            log.seek(began)
            return any(line.startswith(b"ready") for line in log)


class Bmv2Switch(P4Switch):
    """BMv2's simple_switch_grpc, which has to be on PATH. It gets its program from the controller."""

    @classmethod
    def setup(cls):
        """See that there is one."""
        if shutil.which("simple_switch_grpc") is None:
            raise StartError("simple_switch_grpc is not on PATH: install BMv2 (p4lang's packages), or use --switch embedded")

    def command_line(self):
        """Return the command that runs it."""
        words = ["simple_switch_grpc", "--no-p4", *self.port_words(), "--device-id", str(self.device_id)]
        about = subprocess.run(["simple_switch_grpc", "--help"], capture_output=True, text=True)
        if "--thrift-port" in about.stdout + about.stderr:  # by default each listens on one and the same port
            words += ["--thrift-port", str(free_port())]
        return [*words, "--", "--grpc-server-addr", self.server, "--cpu-port", str(CPU_PORT)]


class Held(Switch):
    """Holds interfaces that a process of mcoa serves: those of the air (links with delay, rate or loss, and of mobile nodes), which
    it joins, or of an OpenFlow switch, whose bridge it makes.
    """

    def __init__(self, name, **params):
        params.setdefault("dpid", "%016x" % 0xA1)
        params["inNamespace"] = False
        Switch.__init__(self, name, **params)

    def start(self, controllers=()):
        """Do nothing: its process belongs to the scenario."""

    def stop(self, deleteIntfs=True):
        """Remove the interfaces."""
        Switch.stop(self, deleteIntfs)


class NodeHost(Host):
    """A host, router or mobile node. The script of its plan gives it bridge, addresses and routes."""

    def apply(self, script):
        """Run a shell script in its namespace; raise `StartError` at the first command that fails."""
        command = ["nsenter", "--net", "--target", str(self.pid), "--", "sh", "-e"]
        done = subprocess.run(command, input=script, text=True, capture_output=True)
        if done.returncode:
            raise StartError(f"{self.name} could not be set up: {done.stderr.strip() or done.stdout.strip()}")


SWITCHES = {"embedded": EmbeddedSwitch, "bmv2": Bmv2Switch}
