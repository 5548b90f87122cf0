"""The benches at a fraction of their work: they run, and say what they are asked for. No figure is judged here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.namespace import BMV2, missing

_ROOT = Path(__file__).parents[2]


def _bench(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "--out", str(out), *words]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=_ROOT, env=environment, timeout=100)


@pytest.mark.timeout(110)
def test_the_switch_gives_figures(tmp_path: Path) -> None:
    names = ("switch.decap_pps", "switch.route_pps", "switch.table_scaling")
    words = [word for name in names for word in ("--only", name)]
    done = _bench(tmp_path, *words, "--rounds", "1", "--scale", "0.01")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert {"switch.decap_pps", "switch.route_pps", "switch.table_scaling"} <= found.keys()
    assert all(result["value"] > 0 for result in found.values())
    assert found["switch.table_scaling"]["peer_value"] > 0


@pytest.mark.timeout(110)
def test_codec_and_registrations_give_figures_beside_their_peers(tmp_path: Path) -> None:
    only = ("codec.decode_bu3", "registration.latency", "registration.rate", "switch.encap_pps")
    words = [word for name in only for word in ("--only", name)]
    done = _bench(tmp_path, *words, "--rounds", "1", "--scale", "0.02")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    registrations = {
        "registration.latency_p50",
        "registration.latency_p50_crash",
        "registration.latency_p50_modify",
        "registration.latency_p99",
        "registration.rate",
    }
    through_bmv2 = {f"{name}_bmv2" for name in registrations if shutil.which(BMV2) and not missing()}
    others = {"codec.decode_bu3", "switch.encap_pps", "switch.encap_pps_in_process"}
    assert set(found) == registrations | through_bmv2 | others
    for result in found.values():
        assert {"value", "unit", "peer", "peer_value", "ratio"} <= set(result)
        assert result["value"] > 0
        if result["peer"] is None:
            assert result["note"]  # why there is nothing to compare with
        else:
            assert result["ratio"] == pytest.approx(result["value"] / result["peer_value"], rel=0.01)
    assert "registration.rate" in done.stdout


@pytest.mark.parametrize("words", [("--only", "nonsense"), ("--rounds", "0"), ("--scale", "0")])
def test_wrong_arguments_are_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    done = _bench(tmp_path, *words)
    assert done.returncode == 2
    assert words[0] in done.stderr
    assert not (tmp_path / "results.json").exists()
