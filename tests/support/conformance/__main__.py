"""Runs the suite and writes docs/conformance.md: ``PYTHONPATH=tests/support python -m conformance``."""

import sys

import pytest

from conformance.report import REPORT, SUITE, outcomes, render


class Failures:
    """Notes which tests did not pass."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failed phase of a test (pytest calls it)."""
        if report.failed or report.skipped:
            path, _, name = report.nodeid.partition("::")
            self.names.add(f"{path.rpartition('/')[2]}::{name.partition('[')[0]}")


def main() -> int:
    """Run, write, and return the exit status: 0 only if every test passed."""
    failures = Failures()
    # The comparison of the page with the suite comes after the page is written.
    arguments = ["-q", str(SUITE), "--ignore", str(SUITE / "test_report.py")]
    status = pytest.main(arguments, plugins=[failures])
    REPORT.write_text(render(outcomes(frozenset(failures.names))), encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
