"""The engine's benches and the fuzzer at a fraction of their work."""

import json
from pathlib import Path

import pytest

from bench import fuzz
from bench.__main__ import main


def test_the_engine_gives_figures(tmp_path: Path) -> None:
    names = ["engine.updates", "engine.updates_bu3", "engine.scaling", "engine.bytes_per_binding"]
    words = [word for name in names if name != "engine.updates_bu3" for word in ("--only", name)]
    assert main(["--out", str(tmp_path), "--rounds", "1", "--scale", "0.01", *words]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found) == set(names)
    assert all(result["value"] > 0 for result in found.values())


def test_mutated_packets_neither_raise_nor_pile_up() -> None:
    figures = fuzz.fuzz(5000, 5648)
    assert figures["packets"] == 5000
    assert figures["accepted"] > 20
    assert figures["malformed"] > 1000


def test_growth_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "_BOUND", -(1 << 30))
    with pytest.raises(MemoryError, match="memory grew"):
        fuzz.main(["--packets", "50"])
