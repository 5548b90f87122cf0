import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from testbed.demo.checks import Event, Report
from testbed.demo.timeline import PlotError, draw, rates
from testbed.demo.view import View
from testbed.traffic import Arrival


def _arrivals() -> list[Arrival]:
    return [Arrival(number, number / 100, number / 100, 1 + number // 100) for number in range(300)]


def test_a_report_is_ok_when_something_was_checked_and_all_of_it_holds() -> None:
    report = Report()
    verdicts = [report.ok]
    report.begin("a", "register")
    report.equal("status", 0, 0)
    report.at_most("outage", 3.5, 50, "ms")
    report.at_least("packets", 7, 7)
    verdicts.append(report.ok)
    report.at_most("lost", 1, 0, "packets")
    verdicts.append(report.ok)
    assert verdicts == [False, True, False]
    assert [check.ok for check in report.checks] == [True, True, True, False]


def test_the_written_report_names_check_figure_unit_and_target(tmp_path: Path) -> None:
    report = Report()
    report.begin("d", "handover")
    report.event(112.5, "killed")
    report.at_most("outage", 3.5, 50, "ms")
    report.seconds = 12.34567
    report.write(tmp_path / "report.json", since=100)
    found = json.loads((tmp_path / "report.json").read_text())
    assert found == {
        "ok": True,
        "seconds": 12.346,
        "checks": [{"step": "d", "name": "outage", "ok": True, "figure": 3.5, "unit": "ms", "target": "<= 50"}],
        "events": [{"at": 12.5, "text": "killed"}],
    }


@pytest.mark.parametrize("terminal", [True, False])
def test_the_view_shows_steps_figures_and_failures(*, terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    report = Report()
    with View(console, report) as view:
        report.begin("a", "register three care-of addresses")
        view.rates({"wifi": 199.6})
        report.equal("status of the acknowledgement", 0, 0)
        report.begin("b", "steer")
        report.at_least("packets by BID 2", 3, 100, "packets")
        report.event(1.0, "something")
    shown = out.getvalue()
    for text in ("register three care-of addresses", "status of the acknowledgement", ">= 100 packets", "FAILED"):
        assert text in shown


def test_rates_are_packets_a_second_for_each_path() -> None:
    found = rates(_arrivals(), 0, 3)
    assert list(found) == [1, 2, 3]
    assert all(abs(value - 100) < 11 for value in found[1][:5])
    assert found[1][6:] == [0] * 9
    assert abs(sum(found[2]) * 0.2 - 100) < 1e-6


def test_a_span_without_arrivals_has_no_lines() -> None:
    assert rates([], 0, 1) == {}


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    events = [Event(1.0, "handover"), Event(2.0, "killed")]
    draw(tmp_path / "timeline.png", _arrivals(), events, {1: "BID 1 wifi"}, (0, 3))
    data = (tmp_path / "timeline.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    assert len(data) > 10_000


def test_without_matplotlib_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(PlotError, match=r"mcoa\[plots\]"):
        draw(tmp_path / "timeline.png", _arrivals(), [], {}, (0, 3))
    assert not (tmp_path / "timeline.png").exists()
