import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.fabric.loader import load_topology, sample_topologies
from testbed.topology.cli import app
from testbed.topology.drawing import foreseen, places, registered, used_links

SAMPLES = sorted(path.stem for path in sample_topologies().glob("*.yaml"))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_good_for_controller_and_testbed(name: str) -> None:
    done = CliRunner().invoke(app, ["check", name])
    assert done.exit_code == 0, done.output
    assert "good:" in done.output


def test_a_fault_is_named_with_its_line(tmp_path: Path) -> None:
    text = (sample_topologies() / "three-access.yaml").read_text()
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace("kind: correspondent", "kind: correspondant"))
    line = next(number for number, one in enumerate(broken.read_text().splitlines(), 1) if "correspondant" in one)
    done = CliRunner().invoke(app, ["check", str(broken)])
    assert done.exit_code == 2
    assert f"{broken}:{line - 1}:" in done.output or f"{broken}:{line}:" in done.output
    assert CliRunner().invoke(app, ["check", str(tmp_path / "none.yaml")]).exit_code == 2


def test_paths_of_equal_cost_are_shown_together() -> None:
    done = CliRunner().invoke(app, ["show", "leaf-spine", "--json"])
    assert done.exit_code == 0
    found = json.loads(done.output)
    assert len(found["nodes"]) == len(load_topology(sample_topologies() / "leaf-spine.yaml").nodes)
    row = next(row for row in found["routes"] if row["switch"] == "leaf3" and row["destination"] == "2001:db8:a1::/64")
    assert row["ports"] == "1 2 3"
    assert row["next"] == "spine1 spine2 spine3"
    assert "spine1 spine2 spine3" in CliRunner().invoke(app, ["show", "leaf-spine"]).output


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_is_drawn(tmp_path: Path, suffix: str, magic: bytes) -> None:
    out = tmp_path / f"picture{suffix}"
    done = CliRunner().invoke(app, ["draw", "vehicle", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_bytes().startswith(magic)
    if suffix == ".svg":
        assert CliRunner().invoke(app, ["draw", "vehicle", "--out", "picture.gif"]).exit_code == 2


def test_tunnels_are_those_of_the_file_or_those_that_are_registered() -> None:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    assert {(one.node, one.bid, one.access) for one in foreseen(topology)} >= {
        ("mn", 3, "satellite"),
        ("mr", 1, "wifi"),
    }
    binding = {"home_address": "2001:db8:0:1::100", "bid": 7, "care_of_address": "2001:db8:a2::9"}
    (tunnel,) = registered(topology, {"items": [binding]})
    assert (tunnel.node, tunnel.bid, tunnel.access) == ("mn", 7, "cellular")
    wrongs: list[object] = [{}, 3, [{"bid": 1}], [7]]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="mcoa bindings"):
            registered(topology, wrong)


def test_no_two_nodes_stand_in_one_place_and_paths_use_links() -> None:
    for name in SAMPLES:
        topology = load_topology(sample_topologies() / f"{name}.yaml")
        assert len(set(places(topology).values())) == len(topology.nodes)
        assert used_links(topology).keys() <= set(range(len(topology.links)))
        assert used_links(topology)
