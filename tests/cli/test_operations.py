"""What operators do and watch, against a live northbound."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.cli import drill as drill_module
from controller.mobility.flows import FlowEntry, FlowSelector, Replicate, Span
from controller.northbound.control import BindingTraffic
from controller.northbound.events import Kind
from controller.northbound.switch_views import Traffic
from controller.northbound.views import FlowView
from fake_control import NODE as ADDRESS
from fake_control import FakeControl

ROOT = Path(__file__).parent.parent.parent
NODE = "2001:db8:0:1::100"
ROUTER = "2001:db8:0:1::200"
NEW = "2001:db8:0:1::300"


def ok(result: Any) -> str:
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    text: str = result.stdout
    return text


def test_a_node_is_provisioned_shown_and_removed(
    mcoa: Callable[..., Any], url: str, control: FakeControl, tmp_path: Path
) -> None:
    security = tmp_path / "key.json"
    security.write_text(json.dumps({"kind": "auth", "spi": 300, "key": "ab" * 20}))
    more = ("--home-ipv4", "192.0.2.7", "--security", str(security), "--url", url)
    arguments = ("nodes", "provision", NEW, "--prefix", "2001:db8:f01::/56", *more)
    assert "insert  home_addresses" in ok(mcoa(*arguments, "--check"))
    assert NEW not in ok(mcoa("nodes", "--url", url))
    assert ok(mcoa(*arguments)) == f"{NEW}: provisioned\n"
    shown = ok(mcoa("nodes", "show", NEW, "--url", url))
    assert "2001:db8:f01::/56" in shown
    assert "kind auth, spi 300" in shown
    assert "192.0.2.7" in shown
    assert "abab" not in shown
    assert json.loads(ok(mcoa("nodes", "show", NEW, "--url", url, "--json")))["mobile_router"]
    assert NEW in ok(mcoa("nodes", "--state", "provisioned", "--url", url))
    assert ok(mcoa("nodes", "remove", NEW, "--url", url)) == f"{NEW}: removed\n"
    assert mcoa("nodes", "remove", NEW, "--url", url).exit_code == 5
    security.write_text("{")
    assert mcoa(*arguments).exit_code == 2


def test_flows_of_a_node(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    control.signalled = [FlowView(FlowEntry(7, 10, FlowSelector(destination_ports=Span(1, 9)), (1, 3)), ())]
    lines = ok(mcoa("nodes", "flows", NODE, "--url", url)).splitlines()
    assert lines[1].split() == ["7", "10", "1,", "3", "none", "ip", "version", "6,", "destination", "ports", "1-9"]
    assert ok(mcoa("nodes", "flows", ROUTER, "--url", url)) == "no flow bindings\n"


def test_bindings_are_revoked(mcoa: Callable[..., Any], url: str) -> None:
    assert ok(mcoa("bindings", "revoke", NODE, "--bid", "2", "--url", url)) == f"{NODE}: BID 2 revoked\n"
    assert mcoa("bindings", "revoke", NODE, "--bid", "2", "--url", url).exit_code == 5
    assert ok(mcoa("bindings", "revoke", NODE, "--url", url)) == f"{NODE}: all bindings revoked\n"
    assert json.loads(ok(mcoa("bindings", "revoke", "--all", "--url", url, "--json"))) == {"nodes": 0}
    for wrong in ([], [NODE, "--all"], ["--bid", "1"], ["--all", "--bid", "1"]):
        assert mcoa("bindings", "revoke", *wrong, "--url", url).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--balance", "1:3,2:1"], "all packets to one of BIDs 1:3, 2:1, active"),
        (["--balance", "1:3", "--balance", "2:1"], "all packets to one of BIDs 1:3, 2:1, active"),
        (["--replicate", "1,2"], "all packets copied to BIDs 1, 2, active"),
        (["--replicate", "1", "--replicate", "2,3"], "all packets copied to BIDs 1, 2, 3, active"),
        (["--drop"], "all packets nowhere, active"),
        (["--bid", "2", "--fallback"], "what nothing else takes to BID 2, active"),
    ],
)
def test_every_treatment(mcoa: Callable[..., Any], url: str, arguments: list[str], words: str) -> None:
    assert ok(mcoa("policies", "set", NODE, "x", "--priority", "1", *arguments, "--url", url)) == f"x: {words}\n"


def test_a_policy_needs_one_treatment(mcoa: Callable[..., Any], url: str) -> None:
    twice = ["--balance", "1:1", "--balance", "1:2"]
    for wrong in ([], ["--bid", "1", "--drop"], ["--balance", "1:x"], ["--replicate", "a"], ["--balance", ""], twice):
        assert mcoa("policies", "set", NODE, "x", "--priority", "1", *wrong, "--url", url).exit_code == 2


def test_a_policy_is_checked_without_change(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    dates = ("--not-before", "2016-11-24T08:00:00Z", "--not-after", "2016-12-01T00:00:00+01:00")
    hours = ("--hours", "08:00-18:00", "--days", "mon", "--days", "tue", *dates)
    always = ("policies", "set", NODE, "x", "--priority", "1", "--replicate", "1,2", "--url", url)
    assert "flow_bindings" in ok(mcoa(*always, "--check"))
    set_it = (*always, *hours)
    assert "nothing would be written" in ok(mcoa(*set_it, "--check")), "its time is over"
    assert not control.kept
    ok(mcoa(*set_it))
    assert control.kept[ADDRESS, "x"].treatment == Replicate((1, 2))
    schedule = control.schedules[ADDRESS, "x"]
    assert schedule is not None
    assert (schedule.begins, schedule.ends, schedule.days) == (480, 1080, (0, 1))
    assert (schedule.not_before, schedule.not_after) == (1479974400.0, 1480546800.0)
    dates_shown = "from 2016-11-24T08:00:00Z, until 2016-11-30T23:00:00Z"
    assert f"{dates_shown}, on mon tue, after 08:00, before 18:00" in ok(mcoa("policies", "--url", url))
    assert "delete  flow_bindings" in ok(mcoa("policies", "delete", NODE, "x", "--url", url, "--check"))
    assert (ADDRESS, "x") in control.kept


def test_draining(mcoa: Callable[..., Any], url: str) -> None:
    assert mcoa("drain", "--url", url).exit_code == 5
    begun = ok(mcoa("drain", "begin", "2001:db8:0:2::1", "--seconds-left", "60", "--url", url))
    assert begun == "nodes are sent to 2001:db8:0:2::1; 1 still have bindings, 60 s left\n"
    assert ok(mcoa("drain", "--url", url)) == begun
    assert ok(mcoa("drain", "end", "--url", url)) == "nodes may stay\n"


def test_a_switch_is_drained_and_put_back(mcoa: Callable[..., Any], url: str) -> None:
    assert ok(mcoa("switches", "drain", "s1", "--url", url)) == "s1: out of service; paths lead around it\n"
    assert "ready, drained" in ok(mcoa("switches", "--url", url))
    assert json.loads(ok(mcoa("switches", "s1", "--json", "--url", url)))["drained"]
    assert ok(mcoa("switches", "undrain", "s1", "--url", url)) == "s1: in service\n"
    assert mcoa("switches", "undrain", "s1", "--url", url).exit_code == 5


def test_the_audit_log_and_the_topology(mcoa: Callable[..., Any], url: str) -> None:
    for bid in ("1", "2"):
        ok(mcoa("policies", "set", NODE, "x", "--priority", "1", "--bid", bid, "--url", url))
    lines = ok(mcoa("audit-log", "--url", url)).splitlines()
    assert lines[1].split()[:2] == ["2", "2001-09-09T01:46:40"]
    assert lines[1].endswith("bid: 1 -> 2")
    shown = ok(mcoa("topology", "--url", url))
    assert "s1 > wifi" in shown
    assert ok(mcoa("topology", "live", "--url", url)) == shown
    assert json.loads(ok(mcoa("topology", "--url", url, "--json")))["name"] == "three-access"
    assert mcoa("network", "--url", url).exit_code == 2, "it has one name"
    reloaded = ok(mcoa("reload", "--url", url))
    assert reloaded.splitlines()[1] == "northbound.listen: takes effect at the next start"


def test_top_measures(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    stop = threading.Event()

    def flow() -> None:
        packets = 0
        while not stop.wait(0.01):
            packets += 100
            control.counted[ADDRESS, 2] = BindingTraffic(Traffic(packets, 1000 * packets), Traffic(0, 0))

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        found = json.loads(ok(mcoa("top", "--once", "--url", url, "--json")))["items"]
        assert [item["bid"] for item in found] == [2, 1]
        assert found[0]["downstream_packets_per_second"] > 100
        assert "bit/s" in ok(mcoa("top", NODE, "--once", "--url", url))
    finally:
        stop.set()
        thread.join()


def test_events_are_listed(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    for number in range(3):
        control.feed.publish(Kind.DRILL, partial(dict, number=number, bindings=[{"bid": 1, "care_of_address": "x"}]))
    lines = ok(mcoa("events", "-n", "2", "--url", url)).splitlines()
    assert [line.split()[1:] for line in lines] == [
        ["drill", "number", str(n) + ",", "bindings", "1=x"] for n in (1, 2)
    ]
    assert ok(mcoa("events", "--kind", "policy", "--url", url)) == ""
    assert mcoa("events", "--kind", "weather", "--url", url).exit_code == 2


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "controller.cli", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        assert started.stdout is not None
        started.stdout.close()


def test_events_are_followed(url: str, control: FakeControl) -> None:
    stop = threading.Event()

    def happen() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            control.feed.publish(Kind.NODE, partial(dict, number=number))

    thread = threading.Thread(target=happen)
    thread.start()
    try:
        with process("events", "--follow", "--json", "-n", "1", "--url", url) as reader:
            assert reader.stdout is not None
            numbers = [json.loads(reader.stdout.readline())["details"]["number"] for _ in range(5)]
            assert numbers == list(range(numbers[0], numbers[0] + 5))
    finally:
        stop.set()
        thread.join()


def test_watching_goes_on_until_ctrl_c(url: str) -> None:
    with process("nodes", "--watch", "--json", "--url", url) as watcher:
        assert watcher.stdout is not None
        for _ in range(2):
            assert json.loads(watcher.stdout.readline())["total"] == 2
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(30) == 0


@contextmanager
def probe_agent(lose: range) -> Iterator[str]:
    """Send each probe back, but for some."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.2)
        stop = threading.Event()

        def serve() -> None:
            number = 0
            while not stop.is_set():
                try:
                    datagram, peer = listener.recvfrom(256)
                except TimeoutError:
                    continue
                if number not in lose:
                    listener.sendto(datagram, peer)
                number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize(("lose", "code"), [(range(0), 0), (range(30, 37), 1)])
def test_a_drill_measures_the_outage(
    mcoa: Callable[..., Any],
    url: str,
    control: FakeControl,
    monkeypatch: pytest.MonkeyPatch,
    lose: range,
    code: int,
) -> None:
    monkeypatch.setattr(drill_module, "_BEFORE", 0.5)
    with probe_agent(lose) as agent:
        arguments = ("--node", NODE, "--bid", "2", "--agent", agent, "--interval-ms", "10", "--url", url)
        result = mcoa("drill", "failover", *arguments, "--json")
    assert result.exit_code == code, result.stderr
    found = json.loads(result.stdout)
    assert (found["taken_over_by"], found["failover_ms"]) == (1, 2.5)
    assert (found["probes"]["lost"], found["probes"]["outage_ms"]) == (len(lose), 10.0 * len(lose))
    assert found["probes"]["sent"] > 50
    assert found["probes"]["answered_before"] > 0
    # While it lasted, a policy steered the probes to the path.
    (steered, gone) = (one for one in control.log if one.resource.endswith("/drill-probes"))
    assert steered.after is not None
    assert steered.after["bid"] == 2
    assert "'destination_ports': '7'" in str(steered.after["selector"])
    assert (gone.action, control.kept) == ("delete", {})


def test_a_drill_that_nobody_answers(mcoa: Callable[..., Any], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_module, "_BEFORE", 0.1)
    with probe_agent(range(10_000)) as agent:
        result = mcoa("drill", "failover", "--node", NODE, "--bid", "2", "--agent", agent, "--url", url)
    assert (result.exit_code, "nothing was measured" in result.stderr) == (1, True)
    assert mcoa("drill", "failover", "--node", NODE, "--bid", "9", "--no-probe", "--url", url).exit_code == 5
    assert mcoa("drill", "failover", "--node", NODE, "--bid", "2", "--agent", "x", "--url", url).exit_code == 2
    began = time.monotonic()
    assert "taken over by" in ok(
        mcoa("drill", "failover", "--node", NODE, "--bid", "2", "--seconds", "0.1", "--no-probe", "--url", url)
    )
    assert time.monotonic() >= began


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "alice", "--role", "king"],
        ["create", "a b"],
        ["create", "alice", "--expires", "soon"],
        ["revoke", "bob"],
    ],
)
def test_tokens_that_cannot_be(mcoa: Callable[..., Any], config: Path, arguments: list[str]) -> None:
    assert mcoa("token", *arguments, "--config", str(config)).exit_code in {1, 2}


def test_tokens(mcoa: Callable[..., Any], config: Path) -> None:
    secret = ok(mcoa("token", "create", "alice", "--role", "operator", "--expires", "90d", "--config", str(config)))
    assert secret.startswith("mcoa_")
    listed = ok(mcoa("token", "list", "--config", str(config)))
    assert "alice" in listed
    assert secret.strip() not in listed
    assert json.loads(ok(mcoa("token", "list", "--config", str(config), "--json")))["items"][0]["role"] == "operator"
    assert ok(mcoa("token", "revoke", "alice", "--config", str(config))) == "alice: revoked\n"
    assert ok(mcoa("token", "list", "--config", str(config))) == "no tokens\n"
