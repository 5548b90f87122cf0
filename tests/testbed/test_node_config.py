from pathlib import Path

import pytest

from controller.mobility.address import parse_address
from controller.mobility.flows import Span
from controller.mobility.security.policy import AuthPolicy
from testbed.node.config import NodeConfigError, load_node

GOOD = """
[node]
home_address = "2001:db8:0:1::100"
home_agent = "2001:db8:0:1::1"
security = "auth"
spi = 256
key = "000102030405060708090a0b0c0d0e0f"

[[interface]]
name = "wlan0"
bid = 1
priority = 1

[[interface]]
name = "wwan0"
bid = 2

[[flow]]
fid = 1
priority = 10
protocol = "udp"
destination_ports = "5000-5010"
source = "2001:db8:c::/64"
bids = [2]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_a_complete_file_gives_engine_settings_and_flows(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    found = load_node(path)
    engine = found.engine_config(tmp_path)
    assert engine.home_agent == parse_address("2001:db8:0:1::1")
    assert isinstance(engine.security, AuthPolicy)
    assert engine.security.spi == 256
    (flow,) = found.flow
    entry = flow.entry()
    assert entry.bids == (2,)
    assert entry.selector.protocol == Span(17, 17)
    assert entry.selector.destination_ports == Span(5000, 5010)
    first = int.from_bytes(parse_address("2001:db8:c::"))
    assert entry.selector.source == Span(first, first + 2**64 - 1)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("bid = 2", "bid = 1"), "interface[1].bid"),
        (('name = "wwan0"', 'name = "wlan0"'), "interface[1].name"),
        (('name = "wwan0"', 'name = "mip0"'), "interface[1].name"),
        (("bids = [2]", "bids = [2, 7]"), "flow[0].bids"),
        (('protocol = "udp"', 'protocol = "carrier pigeon"'), "flow[0].protocol"),
        (('"5000-5010"', '"5010-5000"'), "flow[0].destination_ports"),
        (("spi = 256", "max_bindings = 3\nspi = 256"), "node.max_bindings"),
        (("spi = 256", 'prefixes = ["2001:db8:f00::/56"]\nspi = 256'), "node.prefixes"),
        (("spi = 256", ""), "node.spi"),
        (('home_agent = "2001:db8:0:1::1"', ""), "node.home_agent"),
        (("spi = 256", "colour = 3\nspi = 256"), "node.colour"),
        (('key = "000102030405060708090a0b0c0d0e0f"', 'key_file = "away.key"'), "node.key_file"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(tmp_path: Path, change: tuple[str, str], place: str) -> None:
    path = written(tmp_path, GOOD.replace(*change))
    with pytest.raises(NodeConfigError) as caught:
        load_node(path)
    assert all(line.startswith(str(path)) for line in str(caught.value).splitlines())
    assert place in str(caught.value)


def test_a_file_that_is_not_there_or_no_toml_says_so(tmp_path: Path) -> None:
    with pytest.raises(NodeConfigError, match="cannot be read"):
        load_node(tmp_path / "none.toml")
    with pytest.raises(NodeConfigError, match="no valid TOML"):
        load_node(written(tmp_path, "[node"))
