import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from fake_control import FakeControl

NODE = "2001:db8:0:1::100"
ROUTER = "2001:db8:0:1::200"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["bindings"], "/v1/bindings"),
        (["bindings", NODE], f"/v1/nodes/{NODE}/bindings"),
        (["nodes"], "/v1/nodes"),
        (["nodes", NODE], f"/v1/nodes/{NODE}"),
        (["switches"], "/v1/switches"),
        (["switches", "s1"], "/v1/switches/s1"),
        (["policies", "list"], "/v1/policies"),
        (["policies", "list", NODE], f"/v1/nodes/{NODE}/policies"),
    ],
)
def test_json_is_what_rest_says(mcoa: Callable[..., Any], url: str, arguments: list[str], path: str) -> None:
    result = mcoa(*arguments, "--url", url, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == httpx.get(url + path, trust_env=False).json()


def test_bindings_as_a_table(mcoa: Callable[..., Any], url: str) -> None:
    lines = mcoa("bindings", "--url", url).stdout.splitlines()
    assert lines[0].split()[:6] == ["home", "address", "BID", "care-of", "address", "priority"]
    first = [NODE, "1", "2001:db8:a1::100", "1", "600", "s", "580", "s", "active"]
    assert lines[1].split() == [*first, "10", "packets,", "1000", "bytes", "7", "packets,", "700", "bytes"]
    assert lines[2].split() == [NODE, "2", "2001:db8:a2::100", "-", "600", "s", "580", "s", "active", "-", "-"]
    assert mcoa("bindings", ROUTER, "--url", url).stdout == "no bindings\n"


def test_nodes_as_a_table(mcoa: Callable[..., Any], url: str) -> None:
    lines = mcoa("nodes", "--url", url).stdout.splitlines()
    assert lines[1].split() == [NODE, "registered", "1,", "2", "1", "host", "-", "2001:db8:0:1::1"]
    assert "2001:db8:f00::/56" in lines[2]
    one = mcoa("nodes", NODE, "--url", url).stdout.splitlines()
    assert [line.split() for line in one] == [line.split() for line in lines[:2]]


def test_switches_as_a_table(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    lines = mcoa("switches", "--url", url).stdout.splitlines()
    assert lines[1].split() == ["s1", "ready", "yes", "embedded", "127.0.0.1:9559", "1", "2", "3", "0", "-"]
    details = mcoa("switches", "s1", "--url", url).stdout
    assert "forged_inner_source" in details
    assert "1024" in details
    control.lose_switch()
    lost = mcoa("switches", "s1", "--url", url).stdout
    assert "connection refused" in lost
    assert "cannot be read now" in lost


def test_health(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    assert mcoa("health", "--url", url).stdout.startswith("ok, version ")
    control.lose_switch()
    control.problems = ("the state database is full",)
    shown = mcoa("health", "--url", url)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("degraded, ")
    assert shown.stdout.endswith("the state database is full\n")
    assert json.loads(mcoa("health", "--url", url, "--json").stdout)["switches"] == {"s1": "connecting"}


def test_text_from_the_controller_is_no_markup(mcoa: Callable[..., Any], url: str, control: FakeControl) -> None:
    switch = control.known_switches[0]
    control.known_switches[0] = type(switch)(
        switch.name, switch.address, 1, "bmv2", switch.state, in_sync=False, last_error="[bold]x[/]"
    )
    assert "[bold]x[/]" in mcoa("switches", "--url", url).stdout


def test_the_url_may_come_from_the_environment(
    mcoa: Callable[..., Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCOA_URL", url + "/")
    assert mcoa("nodes").exit_code == 0


def one_line(result: Any, code: int, text: str) -> None:
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("mcoa: ")
    assert text in result.stderr


def test_no_controller_there(mcoa: Callable[..., Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        one_line(mcoa("bindings", "--url", url), 3, f"no controller can be reached at {url}")
        one_line(mcoa("bindings", "--url", url, "--json"), 3, url)


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://[::1", "http://x:99999999"])
def test_a_url_that_is_none(mcoa: Callable[..., Any], url: str) -> None:
    one_line(mcoa("nodes", "--url", url), 2, "URL")


def test_unknown_things(mcoa: Callable[..., Any], url: str) -> None:
    one_line(mcoa("bindings", "2001:db8:0:1::9", "--url", url), 5, "2001:db8:0:1::9")
    one_line(mcoa("switches", "s9", "--url", url), 5, "'s9'")
    one_line(mcoa("nodes", "x", "--url", url), 2, "'x'")
    one_line(mcoa("nodes", "a/b?c", "--url", url), 5, "refused")


@pytest.fixture
def other_server() -> Iterator[str]:
    """Something that speaks HTTP and is no controller."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
    listener.close()


def test_something_else_answers(mcoa: Callable[..., Any], other_server: str) -> None:
    one_line(mcoa("nodes", "--url", other_server), 3, "is not a controller")
