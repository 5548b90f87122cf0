from pathlib import Path

from controller.config import load_settings
from controller.fabric.loader import load_topology, sample_topologies
from controller.mobility.address import format_address
from controller.mobility.security.policy import AuthPolicy, EspPolicy
from testbed.settings import ControllerSettings, free_port, make_credentials, write_settings


def test_the_controller_reads_what_the_lab_writes(tmp_path: Path) -> None:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    given = ControllerSettings(max_lifetime=400, grace_period=0.5, open_networks=True, extra={"batch_limit": 7})
    config = write_settings(tmp_path, topology, {"s1": "127.0.0.1:4242"}, "127.0.0.1:0", given)
    found = load_settings(config)
    assert [(switch.name, switch.address.port) for switch in found.switches] == [("s1", 4242)]
    assert found.home_agent.max_lifetime == 400
    assert found.home_agent.networks[0].open
    assert (found.controller.grace_period_s, found.controller.batch_limit) == (0.5, 7)
    assert [format_address(node.home_address) for node in found.nodes] == ["2001:db8:0:1::100", "2001:db8:0:1::200"]
    assert [(node.mobile_router, list(map(str, node.prefixes))) for node in found.nodes] == [
        (False, []),
        (True, ["2001:db8:f00::/56"]),
    ]
    assert found.topology.links == topology.links
    assert found.state.parent == tmp_path


def test_credentials_reach_the_controller_in_private_files(tmp_path: Path) -> None:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    credentials = make_credentials(topology)
    settings = ControllerSettings(credentials=credentials)
    config = write_settings(tmp_path, topology, {"s1": "127.0.0.1:4242"}, "127.0.0.1:0", settings)
    found = load_settings(config)
    for name, node in topology.mobile_nodes.items():
        assert found.security[node.home_address] == credentials[name]
    assert [type(policy) for policy in credentials.values()] == [AuthPolicy, EspPolicy]
    files = sorted(tmp_path.glob("*.key"))
    assert [file.name for file in files] == ["mn.key", "mr.key", "mr.reply.key"]
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    keys = {file.read_text().strip() for file in files}
    assert len(keys) == 3
    assert not any(key in config.read_text() for key in keys)


def test_a_free_port_is_a_port() -> None:
    assert 1024 <= free_port() <= 65535
