"""A scenario that does not go with a topology is refused before anything starts, with the line of the file."""

from pathlib import Path

import pytest

from controller.fabric.loader import load_topology, sample_topologies
from testbed.scenarios.cli import sample_scenarios
from testbed.scenarios.fit import check_fits
from testbed.scenarios.model import ScenarioError, load_scenario

SAMPLES = sorted(sample_scenarios().glob("*.yaml"))


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_each_sample_fits_its_topology(path: Path) -> None:
    scenario = load_scenario(path)
    check_fits(path, scenario, load_topology(sample_topologies() / scenario.topology))


TEXT = """\
name: wrong
description: names what is not there
topology: three-access.yaml
streams:
  down: {source: cn, destination: nobody}
downloads:
  page: {source: s1, destination: mn, octets: 1}
agents:
  cn: {}
steps:
  - handover: {node: mn, interface: eth7, into: wifi}
  - handover: {node: mn, interface: wlan0, into: cn}
  - carrier_off: {node: wifi, interface: air}
  - cut: {switch: s1, port: 77}
  - kill: s9
  - drive: {node: mn, interface: wlan0, through: [wifi, mars], handovers: 1}
  - crowd: {nodes: 1, through: s1}
  - trace: {source: home, destination: elsewhere}
  - policy: {node: cn, name: x, body: {}}
  - ping: {source: cn, destination: mn}
  - kill: controller
  - start: s1
checks:
  - {metric: down.lost, at_most: 0}
"""


def test_what_is_not_in_the_topology_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(TEXT)
    with pytest.raises(ScenarioError) as caught:
        check_fits(path, load_scenario(path), load_topology(sample_topologies() / "three-access.yaml"))
    where = "in the topology 'three-access'"
    assert str(caught.value).splitlines() == [
        f"{path}:5: streams.down.destination: 'nobody' is no node with an address {where}",
        f"{path}:7: downloads.page.source: 's1' is no node with an address {where}",
        f"{path}:9: agents.cn: 'cn' is no mobile node {where}",
        f"{path}:11: steps.0.handover.interface: mn has no interface 'eth7' {where}: wlan0, wwan0, sat0",
        f"{path}:12: steps.1.handover.into: 'cn' is no access router or home link {where}",
        f"{path}:13: steps.2.carrier_off.node: 'wifi' is no mobile node {where}",
        f"{path}:14: steps.3.cut: s1:77 is no port of a switch {where}",
        f"{path}:15: steps.4.kill: there is no process 's9' {where}: controller, s1, mn, mr",
        f"{path}:16: steps.5.drive.through.1: 'mars' is no access router or home link {where}",
        f"{path}:17: steps.6.crowd.through: 's1' is no access router or home link {where}",
        f"{path}:18: steps.7.trace.destination: 'elsewhere' is no node with an address {where}",
        f"{path}:19: steps.8.policy.node: 'cn' is no mobile node {where}",
    ]
