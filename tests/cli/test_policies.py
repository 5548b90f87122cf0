import json
from collections.abc import Callable
from typing import Any

import pytest

from controller.mobility.address import Prefix
from controller.mobility.flows import FlowPolicy, PortRange, Steer, TrafficSelector
from fake_control import NODE as ADDRESS
from fake_control import FakeControl

NODE = "2001:db8:0:1::100"
SET = ("policies", "set", NODE, "video", "--bid", "2", "--priority", "10")


def test_set_list_delete(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    flow = ("--source", "2001:db8:c::/64", "--protocol", "udp", "--destination-ports", "5000-5999")
    result = mcoa(*SET, *flow, "--url", url)
    words = "source 2001:db8:c::/64, protocol udp, destination ports 5000-5999"
    assert (result.exit_code, result.stdout) == (0, f"video: {words} to BID 2, active\n")
    lines = mcoa("policies", "list", "--url", url).stdout.splitlines()
    assert lines[1].split() == [NODE, "10", "video", *words.split(), "to", "BID", "2", "always", "active"]
    result = mcoa("policies", "delete", NODE, "video", "--url", url)
    assert (result.exit_code, result.stdout) == (0, "video: deleted\n")
    assert not control.kept
    assert mcoa("policies", "list", "--url", url).stdout == "no policies\n"


def test_every_selector(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    result = mcoa(
        *SET,
        *("--source", "2001:db8:c::/64", "--destination", "2001:db8:0:1::100/128", "--protocol", "6"),
        *("--source-ports", "1-2", "--destination-ports", "443", "--dscp", "46", "--flow-label", "7"),
        *("--url", url, "--json"),
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout)["selector"]["protocol"] == "tcp"
    selector = TrafficSelector(
        source=Prefix.parse("2001:db8:c::/64"),
        destination=Prefix.parse("2001:db8:0:1::100/128"),
        protocol=6,
        source_ports=PortRange(1, 2),
        destination_ports=PortRange(443, 443),
        dscp=46,
        flow_label=7,
    )
    assert control.kept == {(ADDRESS, "video"): FlowPolicy("video", ADDRESS, 10, selector, Steer(2))}
    assert mcoa(*SET, "--protocol", "esp", "--spi", "4294967295", "--url", url).exit_code == 0


def test_all_packets(mcoa: Callable[..., Any], url: str) -> None:
    assert mcoa(*SET, "--url", url).stdout == "video: all packets to BID 2, active\n"
    deleted = mcoa("policies", "delete", NODE, "video", "--url", url, "--json")
    assert json.loads(deleted.stdout) == {"home_address": NODE, "name": "video", "deleted": True}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--protocol", "quic"], "selector.protocol"),
        (["--source", "10.0.0.0/8"], "selector.source"),
        (["--source-ports", "9-1"], "selector.source_ports"),
        (["--protocol", "icmpv6", "--source-ports", "1"], "icmpv6 has no ports"),
    ],
)
def test_wrong_input_ends_with_2_and_one_line(
    mcoa: Callable[..., Any], url: str, arguments: list[str], text: str
) -> None:
    result = mcoa(*SET, *arguments, "--url", url)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert text in result.stderr


@pytest.mark.parametrize("arguments", [["--bid", "0"], ["--priority", "70000"], ["--dscp", "x"], ["--colour", "red"]])
def test_wrong_arguments_never_reach_the_controller(mcoa: Callable[..., Any], arguments: list[str]) -> None:
    assert mcoa(*SET, *arguments, "--url", "http://127.0.0.1:1").exit_code == 2


@pytest.mark.parametrize(("status", "code"), [(404, 5), (409, 1), (422, 2), (500, 1), (503, 1)])
def test_a_refusal_of_the_service(
    mcoa: Callable[..., Any], url: str, control: FakeControl, status: int, code: int
) -> None:
    control.fail_with(status)
    result = mcoa(*SET, "--url", url)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert result.stderr.startswith("mcoa: the controller refused: ")


def test_a_taken_priority(mcoa: Callable[..., Any], url: str) -> None:
    mcoa(*SET, "--url", url)
    result = mcoa("policies", "set", NODE, "other", "--bid", "1", "--priority", "10", "--url", url)
    assert result.exit_code == 1
    assert "priority 10 belongs to the policy 'video'" in result.stderr


def test_a_preference_is_set_shown_and_removed(mcoa: Callable[..., Any], url: str) -> None:
    assert mcoa("preferences", NODE, "--url", url).exit_code == 5
    checked = mcoa("preferences", "set", NODE, "2", "1", "--check", "--url", url)
    assert "default_binding" in checked.stdout
    line = f"{NODE}: BID 2, then BID 1; now BID 1\n"
    assert mcoa("preferences", "set", NODE, "2", "1", "--url", url).stdout == line
    assert mcoa("preferences", NODE, "--url", url).stdout == line
    assert mcoa("preferences", "set", NODE, "2", "2", "--url", url).exit_code == 2
    assert mcoa("preferences", "remove", NODE, "--url", url).stdout == f"{NODE}: its own order counts\n"
    assert mcoa("preferences", "remove", NODE, "--url", url).exit_code == 5
