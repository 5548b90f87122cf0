"""`--target`: which tests it leaves, and what it says when the target is not there."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_pytest(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", "--collect-only", "-q", *arguments]
    environment = os.environ | {"PATH": path}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)


def test_a_target_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for target in ("bmv2", "all"):
        done = run_pytest(str(tmp_path), "--target", target, "tests/pipeline")
        assert done.returncode == 4  # pytest's own for wrong use
        assert f"--target {target}: simple_switch_grpc is not on PATH" in done.stderr


def test_embedded_leaves_out_what_needs_bmv2(tmp_path: Path) -> None:
    done = run_pytest(str(tmp_path), "--target", "embedded", "tests/pipeline")
    assert done.returncode == 0
    assert "test_case[embedded-" in done.stdout
    assert "bmv2-" not in done.stdout
    assert "test_differential" not in done.stdout
