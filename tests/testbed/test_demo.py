"""The demonstration at a quicker pace, and what it leaves, read by tools that are not ours."""

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from controller.fabric.loader import load_topology, sample_topologies
from testbed.cli import demo
from testbed.demo.checks import Report
from testbed.demo.run import clear, run_demo

_HOME, _AGENT = "2001:db8:0:1::100", "2001:db8:0:1::1"
_ROUTER = "2001:db8:0:1::200"
_CARE_OF = {1: "2001:db8:a1::100", 2: "2001:db8:a2::100", 3: "2001:db8:a3::100"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    import asyncio

    out = tmp_path_factory.mktemp("demo")
    clear(out)
    topology = load_topology(sample_topologies() / "three-access.yaml")
    console = Console(file=io.StringIO(), width=150)
    return asyncio.run(run_demo(topology, out, console, pace=0.3)), out


@pytest.fixture(scope="module")
def packets(ran: tuple[Report, Path]) -> list[bytes]:
    from scapy.utils import RawPcapNgReader

    with RawPcapNgReader(str(ran[1] / "home-agent.pcap")) as reader:
        return [bytes(data) for data, _ in reader]


@pytest.mark.timeout(90)
def test_every_check_holds(ran: tuple[Report, Path]) -> None:
    report, _ = ran
    assert [check for check in report.checks if not check.ok] == []
    assert list(dict.fromkeys(check.step for check in report.checks)) == list("abcdefghij")
    assert report.seconds - report.starting < 40


def test_the_report_has_a_figure_for_each_check(ran: tuple[Report, Path]) -> None:
    found = json.loads((ran[1] / "report.json").read_text())
    assert found["ok"] is True
    assert len(found["checks"]) == len(ran[0].checks) > 30
    assert all({"name", "ok", "figure", "unit", "target"} <= set(check) for check in found["checks"])
    by_name = {check["name"]: check for check in found["checks"]}
    assert by_name["video to the node: lost"]["figure"] == 0
    assert by_name["dropped: forged inner source"]["figure"] == 10
    assert by_name["authenticator under a wrong key: refused with status 146"]["figure"] == 5
    assert by_name["telemetry, bound: counted for BID 2"]["figure"] > 0
    assert by_name["counted for the router's BID 1"]["figure"] > 0


def test_the_picture_and_the_log_are_there(ran: tuple[Report, Path]) -> None:
    assert (ran[1] / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert "REST" in (ran[1] / "controller.log").read_text()


def test_mobility_checksums_are_right_by_scapys_computation(packets: list[bytes]) -> None:
    from scapy.layers.inet6 import IPv6, in6_chksum

    seen = 0
    for frame in packets:
        source, destination = frame[22:38], frame[38:54]
        protocol, offset = frame[20], 54
        while protocol in {43, 60}:
            if protocol == 43:
                destination = frame[offset + 8 : offset + 24]
            elif b"\xc9\x10" in frame[offset : offset + 8]:
                source = frame[offset + 8 : offset + 24]
            protocol, offset = frame[offset], offset + 8 * (frame[offset + 1] + 1)
        if protocol == 135:
            seen += 1
            header = IPv6(src=source_text(source), dst=source_text(destination), nh=135)
            message = frame[offset:]
            assert in6_chksum(135, header, message[:4] + b"\0\0" + message[6:]) == int.from_bytes(message[4:6])
    assert seen >= 10


def source_text(address: bytes) -> str:
    import ipaddress

    return str(ipaddress.IPv6Address(address))


def test_every_datagram_has_a_right_checksum(packets: list[bytes]) -> None:
    datagrams = [udp for frame in packets if (udp := _datagram(frame)) is not None]
    assert len(datagrams) > 1000
    for pseudo in datagrams:
        words = memoryview(pseudo + b"\0" * (len(pseudo) % 2)).cast("H")
        assert sum(words) % 0xFFFF == 0


def _datagram(frame: bytes) -> bytes | None:
    """Return pseudo-header and UDP datagram of a frame, through at most one tunnel."""
    packet = frame[14:]
    if packet[6] == 41:
        packet = packet[40:]
    if packet[6] != 17:
        return None
    return packet[8:40] + len(packet[40:]).to_bytes(4) + b"\0\0\0\x11" + packet[40:]


def test_packets_are_tunnelled_to_each_care_of_address(packets: list[bytes]) -> None:
    import ipaddress

    agent = ipaddress.IPv6Address(_AGENT).packed
    outer = {frame[38:54] for frame in packets if frame[20] == 41 and frame[22:38] == agent}
    assert {ipaddress.IPv6Address(address).packed for address in _CARE_OF.values()} <= outer
    assert ipaddress.IPv6Address("2001:db8:a2::200").packed in outer


def test_the_mobile_routers_updates_travel_in_esp_and_the_nodes_are_signed(packets: list[bytes]) -> None:
    import ipaddress

    agent = ipaddress.IPv6Address(_AGENT).packed
    # Behind the Home Address option, 24 octets.
    signalling = [frame for frame in packets if frame[20] == 60 and frame[38:54] == agent]
    router = [frame for frame in signalling if frame[60:80].find(ipaddress.IPv6Address(_ROUTER).packed) >= 0]
    assert len(router) >= 2
    assert {frame[54] for frame in router} == {50}
    node = [frame for frame in signalling if frame[54] == 135]
    assert sum(b"mn@mcoa.example" in frame for frame in node) >= 5


def test_without_a_mobile_router_the_rest_is_shown(tmp_path: Path) -> None:
    import asyncio

    document = yaml.safe_load((sample_topologies() / "three-access.yaml").read_text())
    for name in ("mr", "camera"):
        del document["nodes"][name]
    document["links"] = document["links"][:-3]
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(document))
    topology = load_topology(tmp_path / "plain.yaml")
    report = asyncio.run(run_demo(topology, tmp_path, Console(file=io.StringIO()), pace=0.1))
    assert [check for check in report.checks if not check.ok] == []
    assert list(dict.fromkeys(check.step for check in report.checks)) == list("abcdfghij")


@pytest.mark.tshark
@pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not on PATH: install wireshark's command line tools"
)
@pytest.mark.timeout(60)
def test_tshark_shows_the_bulk_update_and_its_acknowledgement(ran: tuple[Report, Path]) -> None:
    # tshark's name for the protocol is mipv6; its fields begin with mip6.
    command = ["tshark", "-r", str(ran[1] / "home-agent.pcap"), "-Y", "mipv6", "-T", "fields"]
    for field in ("mip6.mhtype", "mip6.bi.bid", "mip6.bi.coa_ipv6", "mip6.ba.status", "frame.interface_name"):
        command += ["-e", field]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    update, answer = (line.split("\t") for line in lines[:2])
    assert update[:3] == ["5", "1,2,3", ",".join(_CARE_OF.values())]
    assert answer[:4] == ["6", "1,2,3", "", "0"]
    assert update[4] == answer[4] == "port 3: wifi:core"


@pytest.fixture(scope="module")
def runner() -> Any:
    app = Typer()
    app.command("demo")(demo)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_topology_that_is_not_there_is_wrong_input(runner: Any, tmp_path: Path) -> None:
    result = runner("--topology", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "none.yaml" in result.output


def test_a_topology_without_a_mobile_node_is_wrong_input(runner: Any, tmp_path: Path) -> None:
    document = yaml.safe_load((sample_topologies() / "three-access.yaml").read_text())
    for name in ("mn", "mr", "camera"):
        del document["nodes"][name]
    document["links"] = document["links"][:5]
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(document))
    result = runner("--topology", str(tmp_path / "bad.yaml"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "three interfaces" in result.output
    assert "setting up" not in result.output


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_demonstration_that_is_stopped_leaves_no_controller(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    code = "import typer; from testbed.cli import demo; typer.run(demo)"
    # What runs the tests may ignore SIGINT, and a child would inherit that.
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {code}"
    command = [sys.executable, "-c", code, "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "active bindings by REST" in line:
                break
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == status
    assert "Finished server process" in (tmp_path / "controller.log").read_text()
