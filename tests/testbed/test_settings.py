from pathlib import Path

from controller.config import load_settings
from controller.fabric.loader import load_topology, sample_topologies
from controller.mobility.address import format_address
from testbed.settings import ControllerSettings, free_port, write_settings


def test_the_controller_reads_what_the_lab_writes(tmp_path: Path) -> None:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    given = ControllerSettings(max_lifetime=400, grace_period=0.5, open_networks=True, extra={"batch_limit": 7})
    config = write_settings(tmp_path, topology, {"s1": "127.0.0.1:4242"}, "127.0.0.1:0", given)
    found = load_settings(config)
    assert [(switch.name, switch.address.port) for switch in found.switches] == [("s1", 4242)]
    assert found.home_agent.max_lifetime == 400
    assert found.home_agent.networks[0].open
    assert (found.controller.grace_period_s, found.controller.batch_limit) == (0.5, 7)
    assert [format_address(node.home_address) for node in found.nodes] == ["2001:db8:0:1::100"]
    assert found.topology.links == topology.links
    assert found.state.parent == tmp_path


def test_a_free_port_is_a_port() -> None:
    assert 1024 <= free_port() <= 65535
