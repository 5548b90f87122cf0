#!/usr/bin/python3
"""Builds a topology in Mininet, starts mcoa in it, and runs a scenario or Mininet's command line.

    sudo mininet/run.py --topology topologies/vehicle.yaml --switch embedded --scenario drive-through
    sudo mininet/run.py --topology topologies/three-access.yaml --cli

Exit status: 0 done, or every check of the scenario holds; 1 one failed; 2 wrong input, or something is missing.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 20
"""Seconds for which names of interfaces and the port may be taken: what a killed run has left goes by itself."""
PACKAGES = {"ip": "iproute2", "tc": "iproute2", "ethtool": "ethtool", "nsenter": "util-linux", "mnexec": "mininet"}


class Unusable(Exception):
    """The run cannot begin: one line that says why, and what to do."""


class Failed(Exception):
    """The run cannot go on."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topology", type=pathlib.Path, required=True, metavar="FILE")
    parser.add_argument("--switch", choices=("embedded", "bmv2"), default="embedded", help="kind of the P4 switches")
    parser.add_argument("--scenario", metavar="NAME", help="one that comes with mcoa (scenarios/), or a file")
    parser.add_argument("--cli", action="store_true", help="Mininet's command line, after the scenario if there is one")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("mininet-out"), metavar="DIR",
                        help="folder of the run: logs, captures, report, picture")
    parser.add_argument("--rest-port", type=int, default=8181, metavar="PORT", help="of the controller's REST server")
    parser.add_argument("--no-capture", action="store_true", help="write no captures")
    options = parser.parse_args()
    if options.scenario is None:
        options.cli = True
    return options


def interpreter():
    """Return the Python that has mcoa installed."""
    for place in (os.environ.get("MCOA_PYTHON"), ROOT / ".venv" / "bin" / "python"):
        if place and pathlib.Path(place).exists():
            return str(place)
    raise Unusable(f"mcoa's own environment is missing: run `make setup` in {ROOT}, or set MCOA_PYTHON to its interpreter")


def check(options):
    """See whether the machine has what a run takes."""
    if os.geteuid() != 0:
        raise Unusable("needs root: run it with sudo")
    try:
        import mininet.net  # noqa: F401
    except ImportError:
        raise Unusable(f"Mininet is missing for {sys.executable}: apt-get install mininet, and run with /usr/bin/python3") from None
    packages = dict(PACKAGES)
    if not options.no_capture:
        packages["tcpdump"] = "tcpdump"
    missing = sorted({package for tool, package in packages.items() if shutil.which(tool) is None})
    if missing:
        raise Unusable(f"missing: apt-get install {' '.join(missing)}")
    if not 1 <= options.rest_port <= 65535:
        raise Unusable(f"port {options.rest_port} is out of range: give --rest-port from 1 to 65535")


def scenario_file(options):
    if options.scenario is None:
        return None
    path = pathlib.Path(options.scenario)
    if path.suffix not in {".yaml", ".yml"}:
        path = ROOT / "scenarios" / f"{options.scenario}.yaml"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in (ROOT / "scenarios").glob("*.yaml")))
        raise Unusable(f"there is no scenario {options.scenario!r}: {known}")
    return str(path.resolve())


def export(python, options, scenario):
    """Return the plan of the topology, as mcoa makes it once it has seen that the machine has all that is needed."""
    words = [python, "-m", "testbed.scenarios.export", str(options.topology.resolve()), "--switch", options.switch]
    words += [] if scenario is None else ["--scenario", scenario]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise Unusable(done.stderr.strip() or "the topology cannot be read")
    return json.loads(done.stdout)


def clear(out):
    """Make the folder of the run, or empty it of an earlier run's files."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / "world.json").exists():
            raise Unusable(f"{out} holds other things than an earlier run: choose another folder with --out")
        for entry in out.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except OSError as error:
        raise Unusable(f"{out} cannot be used: {error.strerror}") from None


def core_interfaces(plan):
    """Return the names that the run takes in the root namespace."""
    return [name for device in plan["devices"] for _, name, _ in device["ports"]] + [
        port["interface"] for port in plan["air_ports"]
    ] + [device["name"] for device in plan["devices"] if device["kind"] == "openflow"]


def in_the_way(plan, port):
    """Return what keeps a run from beginning, in one line; None: nothing."""
    there = {name for _, name in socket.if_nameindex()}
    taken = [name for name in core_interfaces(plan) if name in there]
    if taken:
        return (
            f"interfaces of these names exist already ({', '.join(taken[:4])}): another run is under way, or one has crashed;"
            f" remove them with: for i in {' '.join(taken)}; do ip link del $i; done"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return f"port {port} of 127.0.0.1: {error.strerror}: choose another with --rest-port"
    return None


def check_way(plan, port):
    """Wait until nothing is in the way, for as long as that may be by itself."""
    deadline = time.monotonic() + PATIENCE
    while fault := in_the_way(plan, port):
        if time.monotonic() > deadline:
            raise Unusable(fault)
        time.sleep(0.2)


def build(options, python, document):
    """Return a Mininet with everything of the plan, started."""
    from mcoa_mininet import SWITCHES, Held, NodeHost
    from mininet.net import Mininet

    plan = document["plan"]
    kind = SWITCHES[options.switch]
    net = Mininet(controller=None, switch=kind, host=NodeHost, build=False, autoSetMacs=False)
    try:
        nodes = {host["name"]: net.addHost(host["name"], ip=None) for host in plan["hosts"]}
        owners = {}
        extra = {"python": python} if options.switch == "embedded" else {}
        for device in plan["devices"]:
            if device["kind"] == "openflow":
                switch = net.addSwitch(device["name"], cls=Held)
            else:
                switch = net.addSwitch(device["name"], device_id=device["device_id"], folder=str(options.out), **extra)
            for number, interface, _ in device["ports"]:
                owners[interface] = switch
                if device["kind"] != "openflow":
                    switch.number_port(interface, number)
        if plan["air_ports"]:
            air = net.addSwitch("air", cls=Held)
            owners.update((port["interface"], air) for port in plan["air_ports"])
        for cable in plan["cables"]:
            (a_node, a), (b_node, b) = cable["a"], cable["b"]
            one, other = nodes.get(a_node) or owners[a], nodes.get(b_node) or owners[b]
            net.addLink(one, other, intfName1=a, intfName2=b)
        net.build()
        for host in plan["hosts"]:
            nodes[host["name"]].apply(document["host_scripts"][host["name"]])
        done = subprocess.run(["sh", "-e"], input=document["core_script"], text=True, capture_output=True)
        if done.returncode:
            raise Failed(f"the core could not be set up: {done.stderr.strip()}")
        net.start()
    except BaseException:
        net.stop()
        raise
    return net


class World:
    """The process of mcoa that runs controller, air, agents and scenario."""

    def __init__(self, options, python, net, document, scenario):
        from mcoa_mininet import die_with_parent

        self.net = net
        self.out = options.out
        switches = {one["name"] for one in document["plan"]["devices"] if one["kind"] != "openflow"}
        file = options.out / "world.json"
        file.write_text(json.dumps({
            "folder": str(options.out),
            "topology": str(options.topology.resolve()),
            "scenario": scenario,
            "switch": options.switch,
            "rest_port": options.rest_port,
            "capture": not options.no_capture,
            "stay": options.cli,
            "pids": {host.name: host.pid for host in net.hosts},
            "switches": {one.name: {"server": one.server, "log": one.log} for one in net.switches if one.name in switches},
        }, indent=1))
        self.log = options.out / "world.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "testbed.scenarios.attached", str(file)], cwd=ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, preexec_fn=die_with_parent,
            )

    def listen(self, until):
        """Serve what the world asks for, until it says `until`; return the rest of that line."""
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == until:
                return rest
            if word == "error":
                raise Failed(rest)
            if word == "do":
                what, _, name = rest.partition(" ")
                switch = self.net.get(name)
                switch.kill() if what == "kill" else switch.start()
                self.process.stdin.write("done\n")
                self.process.stdin.flush()
        text = self.log.read_text(errors="replace").strip().splitlines()
        raise Failed(f"the world ended too early: {text[-1] if text else 'it said nothing'} (see {self.log})")

    def stop(self):
        """End it, by its id, and wait: it stops all that it has started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def show(document, out):
    for one in document["checks"]:
        value = "not measured" if one["value"] is None else f"{one['value']:g}"
        print(f"{'ok  ' if one['ok'] else 'FAIL'} {one['metric']}: {value} ({one['bound']})")
    if document["error"]:
        print(f"ended early: {document['error']}")
    print(f"{document['scenario']} on {document['switch']}: {document['verdict']} in {document['seconds']:.1f} s. See {out}")


def run(options):
    check(options)
    python = interpreter()
    scenario = scenario_file(options)
    document = export(python, options, scenario)
    check_way(document["plan"], options.rest_port)
    options.out = options.out.resolve()
    clear(options.out)
    from mininet.log import setLogLevel

    setLogLevel("warning")
    began = time.monotonic()
    net = build(options, python, document)
    world = None
    try:
        world = World(options, python, net, document, scenario)
        world.listen("ready")
        kinds = [device["kind"] for device in document["plan"]["devices"]]
        switches = f"{kinds.count('switch')} switches ({options.switch})"
        switches += f", {kinds.count('openflow')} OpenFlow bridges" if "openflow" in kinds else ""
        print(f"ready after {time.monotonic() - began:.1f} s: {len(net.hosts)} nodes, {switches}")
        status = 0
        if scenario is not None:
            report = json.loads(world.listen("report"))
            show(report, options.out)
            status = 0 if report["verdict"] == "passed" else 1
        if options.cli:
            from mininet.cli import CLI

            print(f"for mcoa's commands: export MCOA_URL=http://127.0.0.1:{options.rest_port} MCOA_TOKEN=$(cat {options.out}/token)")
            setLogLevel("output")  # what commands print is of that level
            CLI(net)
        return status
    finally:
        if world is not None:
            world.stop()
        net.stop()


def interrupt(_number, _frame):
    raise KeyboardInterrupt


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    try:
        return run(options)
    except Unusable as error:
        print("\n".join(f"run.py: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("run.py: stopped", file=sys.stderr)
        return 130
    except Exception as error:  # Mininet raises nothing more special
        print(f"run.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
