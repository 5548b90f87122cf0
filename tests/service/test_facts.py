"""What the planner is told of a node beside its record."""

from pathlib import Path

from controller.config import load_settings
from controller.dataplane.entries import Rate
from controller.fabric.loader import sample_topologies
from controller.mobility.address import parse_address, parse_ipv4
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import Binding, NodeRecord
from controller.service.facts import node_facts

HOME, HA = parse_address("2001:db8:0:1::100"), parse_address("2001:db8:0:1::1")
TEXT = f"""
[topology]
file = "{sample_topologies() / "three-access.yaml"}"
[home_agent]
tunnel_mtu = 1400
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"
link = "real"
open = true
[[node]]
home_address = "2001:db8:0:1::100"
home_ipv4 = "192.0.2.100"
rates_kbps = {{ 2 = 1000, 3 = 8 }}
"""


def test_facts_come_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "home-agent.toml"
    path.write_text(TEXT)
    settings = load_settings(path)
    facts = node_facts(settings, HomeAgent(settings.home_agent_config()))
    away = Binding(1, parse_address("2001:db8:a1::1"), 60, 60.0)
    known = facts(NodeRecord(HOME, HA, 1, (away,), link_local=True))
    assert known.proxied == (HOME, parse_address("fe80::100"))
    assert known.home_ipv4 == parse_ipv4("192.0.2.100")
    assert known.rates == {2: Rate(125_000, 12_500), 3: Rate(1000, 3036)}
    assert known.tunnel_mtu == 1400
    other = facts(NodeRecord(parse_address("2001:db8:0:1::200"), HA, 1, (away,)))
    assert (other.proxied, other.home_ipv4, other.rates) == ((parse_address("2001:db8:0:1::200"),), None, {})
    assert facts(NodeRecord(HOME, HA, 1)).proxied == ()
