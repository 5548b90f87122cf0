import re
import shutil
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.config import ConfigError, Endpoint, Settings, Switch, load_settings, parse_endpoint, parse_settings
from controller.mobility.address import Prefix, parse_address, parse_ipv4
from controller.mobility.provision import HomeAgentConfig, HomeNetwork

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "three-access.yaml"

MINIMAL = """
[home_agent]
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"

[topology]
file = "net.yaml"
"""

FULL = """
[controller]
state = "var/state.sqlite3"
grace_period_s = 2
batch_window_s = 0.002
batch_limit = 100

[home_agent]
max_lifetime = 600
max_bindings = 1000
ipv4 = "198.51.100.1"
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"
open = true

[[node]]
home_address = "2001:db8:0:1::100"
multiple_care_of = false
bulk = false
max_bindings = 2
home_ipv4 = "198.51.100.7"

[[node]]
home_address = "2001:db8:0:1::200"
mobile_router = true
prefixes = ["2001:db8:f00::/56", "2001:db8:f80::/56"]

[[switch]]
name = "s1"
address = "[::1]:9560"
target = "bmv2"
device_id = 7

[topology]
file = "net.yaml"

[northbound]
listen = "[::1]:0"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    shutil.copy(TOPOLOGY, tmp_path / "net.yaml")
    return tmp_path / "mcoa.toml"


def parse(path: Path, text: str) -> Settings:
    path.write_text(text)
    return load_settings(path)


def faults(path: Path, text: str) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse(path, text)
    assert all(problem.file == str(path) for problem in caught.value.problems)
    assert str(caught.value).splitlines()[0].startswith(f"{path}: ")
    return [(problem.field, problem.reason) for problem in caught.value.problems]


def test_what_is_left_out_has_a_default(path: Path) -> None:
    settings = parse(path, MINIMAL)
    assert settings.state == path.with_name("mcoa.sqlite3")
    assert settings.controller.grace_period_s == 1.0
    assert settings.northbound.listen == Endpoint("127.0.0.1", 8181)
    assert settings.switches == (Switch("s1", Endpoint("127.0.0.1", 9559), 1, "embedded"),)
    assert settings.topology.name == "three-access"
    assert settings.topology_file == path.with_name("net.yaml")
    assert settings.home_agent_config().nodes == {}


def test_everything_that_can_be_said(path: Path) -> None:
    settings = parse(path, FULL)
    assert settings.state == path.parent / "var" / "state.sqlite3"
    assert settings.controller.batch_window_s == 0.002
    assert settings.switches == (Switch("s1", Endpoint("::1", 9560), 7, "bmv2"),)
    assert str(settings.northbound.listen) == "[::1]:0"
    engine = settings.home_agent_config()
    assert (engine.max_lifetime, engine.max_bindings) == (600, 1000)
    assert engine.networks[0].prefix == Prefix.parse("2001:db8:0:1::/64")
    assert engine.networks[0].open
    node = engine.nodes[parse_address("2001:db8:0:1::100")]
    assert (node.multiple_care_of, node.bulk, node.max_bindings) == (False, False, 2)
    assert (engine.ipv4, node.home_ipv4) == (parse_ipv4("198.51.100.1"), parse_ipv4("198.51.100.7"))
    router = engine.nodes[parse_address("2001:db8:0:1::200")]
    assert router.mobile_router
    assert router.home_ipv4 is None
    assert router.prefixes == (Prefix.parse("2001:db8:f00::/56"), Prefix.parse("2001:db8:f80::/56"))


def test_a_topology_may_stand_anywhere(path: Path) -> None:
    settings = parse(path, MINIMAL.replace("net.yaml", str(TOPOLOGY)))
    assert settings.topology_file == TOPOLOGY


NODE = '[[node]]\nhome_address = "2001:db8:0:1::100"\n'

SINGLE = [
    ("[controller]\nstat = 'x'", "controller.stat", "unknown key"),
    ("[colour]\nred = 1", "colour", "unknown key"),
    ("[controller]\ngrace_period_s = -1", "controller.grace_period_s", "greater than or equal to 0"),
    ("[controller]\ngrace_period_s = nan", "controller.grace_period_s", ""),
    ("[controller]\ngrace_period_s = '1'", "controller.grace_period_s", "number"),
    ("[controller]\nbatch_limit = 0", "controller.batch_limit", "greater than or equal to 1"),
    ("[controller]\nbatch_limit = true", "controller.batch_limit", "integer"),
    ("[[node]]\nbulk = true", "node[0].home_address", "required"),
    ("[[node]]\nhome_address = '10.0.0.1'", "node[0].home_address", "10.0.0.1"),
    ("[[node]]\nhome_address = 'ff02::1'", "node[0].home_address", "unicast"),
    ("[[node]]\nhome_address = 'fe80::1'", "node[0].home_address", "unicast"),
    ("[[node]]\nhome_address = '::'", "node[0].home_address", "unicast"),
    ("[[node]]\nhome_address = 5", "node[0].home_address", "not an IPv6 address"),
    ("[[node]]\nhome_address = '2001:db8:0:2::1'", "node[0].home_address", "outside of every home network"),
    ("[[node]]\nhome_address = '2001:db8:0:1::1'", "node[0].home_address", "address of the home agent"),
    (NODE + NODE, "node[1].home_address", "already node[0]"),
    (NODE + "home_ipv4 = '2001:db8::1'", "node[0].home_ipv4", "2001:db8::1"),
    (NODE + "home_ipv4 = '224.0.0.1'", "node[0].home_ipv4", "not a unicast address"),
    (NODE + "home_ipv4 = 5", "node[0].home_ipv4", "write it as text"),
    (
        NODE + "home_ipv4 = '10.0.0.1'\n" + NODE.replace("100", "101") + "home_ipv4 = '10.0.0.1'",
        "node[1].home_ipv4",
        "already that of node[0]",
    ),
    (NODE + "bulk = 1", "node[0].bulk", "boolean"),
    (NODE + "max_bindings = 256", "node[0].max_bindings", "255"),
    (NODE + "prefixes = ['2001:db8:f00::/56']", "node[0].prefixes", "mobile_router = true"),
    (NODE + "mobile_router = true\nprefixes = ['2001:db8:f00::1/56']", "node[0].prefixes[0]", "host bits"),
    (NODE + "mobile_router = true\nprefixes = ['2001:db8:f00::']", "node[0].prefixes[0]", "not an IPv6 prefix"),
    (
        NODE + "mobile_router = true\nprefixes = ['2001:db8:f00::/56', '2001:db8:f00:1::/64']",
        "node[0].prefixes[1]",
        "overlaps 2001:db8:f00::/56 of node[0].prefixes[0]",
    ),
    (NODE + "mobile_router = true\nprefixes = ['2001:db8::/32']", "node[0].prefixes[0]", "home agent address"),
    ("[[switch]]\naddress = '127.0.0.1:1'", "switch[0].name", "required"),
    ("[[switch]]\nname = 's2'", "switch[0].name", "no switch 's2': s1"),
    ("[[switch]]\nname = 's1'\n[[switch]]\nname = 's1'\naddress = '[::1]:9'", "switch[1].name", "already switch[0]"),
    ("[[switch]]\nname = 's1'\naddress = 's1'", "switch[0].address", "not host:port"),
    ("[[switch]]\nname = 's1'\naddress = '::1:9559'", "switch[0].address", "not host:port"),
    ("[[switch]]\nname = 's1'\naddress = '127.0.0.1:65536'", "switch[0].address", "not host:port"),
    ("[[switch]]\nname = 's1'\naddress = '127.0.0.1:0'", "switch[0].address", "port 0"),
    ("[[switch]]\nname = 's1'\ntarget = 'asic'", "switch[0].target", "'embedded', 'bmv2', 'tofino' or 'tofino2'"),
    ("[[switch]]\nname = 's1'\ntarget = 'tofino'", "switch[0].target", "for which no program comes with this package"),
    ("[[switch]]\nname = 's1'\np4info = 'x'", "switch[0].p4info", "pipeline is needed too"),
    ("[[switch]]\nname = 's1'\npipeline = 'x'", "switch[0].pipeline", "p4info is needed too"),
    ("[[switch]]\nname = 's1'\nprogram = 'x'\np4info = 'y'", "switch[0].p4info", "leave one of them out"),
    ("[[switch]]\nname = 's1'\nprogram = 'none'", "program of switch s1", "home_agent.p4info.txtpb cannot be read"),
    ("[[switch]]\nname = 's1'\ntarget = 'tofino2'\nprogram = 'none'", "program of switch s1", "has to have one"),
    ("[[switch]]\nname = 's1'\ncopy_port = 512", "switch[0].copy_port", "less than or equal to 511"),
    ("[[switch]]\nname = 's1'\ndevice_id = 0", "switch[0].device_id", "greater than or equal to 1"),
    ("[northbound]\nlisten = '0.0.0.0:80'", "northbound.listen", "allow_remote = true"),
    ("[northbound]\nlisten = '[::]:80'", "northbound.listen", "allow_remote = true"),
    ("[northbound]\nlisten = 'example.net:80'", "northbound.listen", "allow_remote = true"),
    ("[northbound]\nlisten = 8181", "northbound.listen", "not host:port"),
]


@pytest.mark.parametrize(("text", "field", "reason"), SINGLE)
def test_what_is_wrong_is_named(path: Path, text: str, field: str, reason: str) -> None:
    found = faults(path, MINIMAL + text)
    assert [place for place, _ in found] == [field]
    assert reason in found[0][1]


IN_PLACE = [
    ('home_agent = "2001:db8:0:1::1"', 'home_agent = "2001:db8:0:2::1"', "home_agent.networks[0].home_agent", "not inside"),
    ('home_agent = "2001:db8:0:1::1"', 'home_agent = "2001:db8:0:1::9"', "home_agent.networks[0].home_agent", "has 2001:db8:0:1::1 for"),
    ("0:1::/64", "0:1::/63", "home_agent.networks[0].prefix", "host bits set"),
    ("[home_agent]", "[home_agent]\nmax_lifetime = 61", "home_agent.max_lifetime", "multiple of 4"),
    ("[home_agent]", "[home_agent]\nmax_lifetime = 262144", "home_agent.max_lifetime", "262140"),
    (
        "[home_agent]",
        '[[node]]\nhome_address = "2001:db8:0:1::100"\nhome_ipv4 = "10.0.0.1"\n[home_agent]\nipv4 = "10.0.0.1"',
        "node[0].home_ipv4",
        "address of the home agent",
    ),
    ('file = "net.yaml"', "", "topology.file", "required"),
    ('file = "net.yaml"', 'file = "none.yaml"', "topology.file", "none.yaml: cannot be read"),
    ('file = "net.yaml"', 'file = "mcoa.toml"', "topology.file", "mcoa.toml"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "field", "reason"), IN_PLACE)
def test_what_is_wrong_in_a_section_is_named(path: Path, old: str, new: str, field: str, reason: str) -> None:
    found = faults(path, MINIMAL.replace(old, new))
    assert found[0][0] == field
    assert reason in found[0][1]


def test_an_ipv4_home_address_is_where_the_topology_has_them(path: Path) -> None:
    text = (path.parent / "net.yaml").read_text()
    assert "home_agent: " in text
    (path.parent / "net.yaml").write_text(
        text.replace("    home_agent: ", "    ipv4_prefix: 192.0.2.0/24\n    home_agent: ", 1)
    )
    node = MINIMAL + '[[node]]\nhome_address = "2001:db8:0:1::100"\nhome_ipv4 = "{}"\n'
    assert parse(path, node.format("192.0.2.9")).nodes[0].home_ipv4
    ((field, reason),) = faults(path, node.format("192.0.3.9"))
    assert field == "node[0].home_ipv4"
    assert "192.0.3.9 is outside of 192.0.2.0/24" in reason


def test_home_networks_do_not_overlap(path: Path) -> None:
    second = '[[home_agent.networks]]\nprefix = "2001:db8:0:1:8000::/65"\nhome_agent = "2001:db8:0:1:8000::1"\n'
    found = faults(path, MINIMAL.replace("[topology]", second + "[topology]"))
    assert found == [
        (
            "home_agent.networks[1].prefix",
            "2001:db8:0:1:8000::/65 overlaps 2001:db8:0:1::/64 of home_agent.networks[0]",
        ),
        ("home_agent.networks[1].prefix", "the topology 'three-access' has no home network 2001:db8:0:1:8000::/65"),
    ]


def test_a_mobile_network_may_be_part_of_the_home_network_and_not_contain_it(path: Path) -> None:
    network = MINIMAL + '[[node]]\nhome_address = "2001:db8:0:1::100"\nmobile_router = true\nprefixes = ["{}"]\n'
    assert parse(path, network.format("2001:db8:0:1:8000::/65")).nodes[0].prefixes
    # The lower half of a network whose agent is in the upper half; the topology then does not fit, and that is all.
    moved = network.replace("0:1::1", "0:1:8000::1").format("2001:db8:0:1::/65")
    assert [field for field, _ in faults(path, moved)] == ["home_agent.networks[0].home_agent"]
    whole = faults(path, network.format("2001:db8:0:1::/64"))
    assert whole == [("node[0].prefixes[0]", "2001:db8:0:1::/64 contains the home agent address 2001:db8:0:1::1")]


def test_all_problems_are_told_at_once(path: Path) -> None:
    text = MINIMAL + "[controller]\nx = 1\n[[node]]\nhome_address = 'x'\n[northbound]\nlisten = 'y'\n"
    assert {field for field, _ in faults(path, text)} == {"controller.x", "node[0].home_address", "northbound.listen"}


def test_a_remote_address_when_it_is_allowed(path: Path) -> None:
    settings = parse(path, MINIMAL + '[northbound]\nlisten = "0.0.0.0:8181"\nallow_remote = true\n')
    assert not settings.northbound.listen.loopback


@pytest.mark.parametrize(
    "text", ["[controller", "a = 1\na = 2", "\x00", "[" * 20_000], ids=["cut", "twice", "nul", "deep"]
)
def test_a_file_that_is_no_toml(path: Path, text: str) -> None:
    assert faults(path, text)[0][1].startswith("no valid TOML")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'none.toml'}: cannot be read: No such file")):
        load_settings(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_settings(tmp_path / "latin.toml")


def test_text_may_come_from_elsewhere(path: Path) -> None:
    assert parse_settings(MINIMAL, path).file == path


@pytest.mark.parametrize(
    ("text", "loopback"),
    [("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("10.0.0.1:1", False), ("h:1", False)],
)  # fmt: skip
def test_loopback_is_recognised(text: str, loopback: bool) -> None:  # noqa: FBT001  a column of the table
    endpoint = parse_endpoint(text)
    assert endpoint.loopback is loopback
    assert str(endpoint) == text


ENGINE = """
[home_agent]
max_sources = 17
max_in_flight = 18
error_rate = 2.5
error_burst = 3
refresh_requests = true
refresh_advice = 0.5
prefix_discovery = false
home_care_of_removes = true
any_update_ends_home = true
heartbeat = true
correspondent = true
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"
link = "real"
home_binding = "static"
duplicate_detection = false
valid_until = 2027-02-01T00:00:00Z
preferred_until = 2027-01-31T23:00:00-01:00
preference = -5

[topology]
file = "net.yaml"
"""


def test_all_that_the_engine_can_be_told(path: Path) -> None:
    engine = parse(path, ENGINE).home_agent_config(clock_offset=1_000_000_000.0, restarts=2**32 + 6)
    (network,) = engine.networks
    ends = datetime(2027, 2, 1, tzinfo=UTC).timestamp() - 1_000_000_000
    assert (network.valid_until, network.preferred_until) == (ends, ends)
    assert (network.home_binding, network.link, network.duplicate_detection) == ("static", "real", False)
    assert network.preference == -5
    assert network.mac is not None
    assert (engine.max_sources, engine.max_in_flight, engine.error_rate, engine.error_burst) == (17, 18, 2.5, 3)
    assert (engine.refresh_requests, engine.refresh_advice, engine.prefix_discovery) == (True, 0.5, False)
    assert (engine.home_care_of_removes, engine.any_update_ends_home) == (True, True)
    assert engine.restart_counter == 6


def test_no_setting_of_the_engine_is_forgotten(path: Path) -> None:
    """Each differs from its default in the engine, or another test sets it, or it is not for a file."""
    engine = parse(path, ENGINE).home_agent_config(0.0, 1)
    elsewhere = {"nodes", "max_lifetime", "max_bindings", "max_flows", "source_rate", "source_burst", "ipv4"}
    elsewhere |= {"flow_keys"}  # which switches say by their program
    same = {
        field.name
        for field in fields(HomeAgentConfig)
        if field.default is not MISSING and getattr(engine, field.name) == field.default
    }
    assert same <= elsewhere
    same = {
        field.name
        for field in fields(HomeNetwork)
        if field.default is not MISSING and getattr(engine.networks[0], field.name) == field.default
    }
    assert same <= {"open"}


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ('link = "real"\n', "", "home_binding", 'on a virtual link nobody is at home: set link = "real"'),
        ('"static"', '"both"', "home_binding", "'refuse', 'ndp' or 'static'"),
        ("2027-01-31T23:00:00-01:00", "2027-03-01T00:00:00Z", "preferred_until", "later than the end of the prefix"),
        ("2027-02-01T00:00:00Z", "2027-02-01T00:00:00", "valid_until", "has no offset from UTC"),
        ("2027-02-01T00:00:00Z", "2027-02-01", "valid_until", "valid datetime"),
        ("2027-02-01T00:00:00Z", '"soon"', "valid_until", "valid datetime"),
        ("preference = -5", "preference = 32768", "preference", "less than or equal to 32767"),
    ],
)
def test_what_is_wrong_with_a_network_is_said_there(path: Path, old: str, new: str, field: str, reason: str) -> None:
    (found,) = faults(path, ENGINE.replace(old, new))
    assert found[0] == f"home_agent.networks[0].{field}"
    assert reason in found[1]


@pytest.mark.parametrize(
    ("text", "field"),
    [("refresh_advice = 1.0", "refresh_advice"), ("error_rate = 0", "error_rate"), ("error_burst = 0", "error_burst")],
)
def test_limits_of_the_engine_have_bounds(path: Path, text: str, field: str) -> None:
    (found,) = faults(path, MINIMAL.replace("[home_agent]\n", f"[home_agent]\n{text}\n"))
    assert found[0] == f"home_agent.{field}"
