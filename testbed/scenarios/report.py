"""The result of a scenario: checks, verdict, a JSON report and a picture."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from testbed.demo.timeline import INSTALL_HINT, PlotError
from testbed.scenarios.model import Scenario
from testbed.scenarios.run import Outcome

_BINS: Final = 200


def report(scenario: Scenario, outcome: Outcome, switch: str) -> dict[str, Any]:
    """Return the report: metrics, each check with its figure, and whether all hold."""
    checks: list[dict[str, Any]] = []
    for check in scenario.checks:
        value = outcome.metrics.get(check.metric)
        ok = value is not None and check.holds(value)
        checks.append({"metric": check.metric, "value": value, "bound": check.bound, "ok": ok})
    return {
        "scenario": scenario.name,
        "description": " ".join(scenario.description.split()),
        "switch": switch,
        "seconds": round(outcome.seconds, 2),
        "verdict": "passed" if outcome.error is None and all(check["ok"] for check in checks) else "failed",
        "error": outcome.error,
        "checks": checks,
        "metrics": dict(sorted(outcome.metrics.items())),
        "handovers": outcome.handovers,
        "events": [asdict(event) for event in outcome.events],
    }


def write_report(folder: Path, document: dict[str, Any]) -> Path:
    """Write ``report.json`` into a folder; return its path."""
    path = folder / "report.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def draw(path: Path, scenario: Scenario, outcome: Outcome) -> None:
    """Draw what arrived of each stream over time, with what was done.

    Raises:
        PlotError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra, and slow to import
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise PlotError(f"no picture without matplotlib: {INSTALL_HINT}") from error
    figure = Figure(figsize=(13, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    span = max(outcome.seconds, 0.1)
    width = span / _BINS
    for name, arrivals in outcome.arrivals.items():
        counts = [0] * _BINS
        for arrival in arrivals:
            position = int((arrival.at - outcome.began) / width)
            if 0 <= position < _BINS:
                counts[position] += 1
        times = [(position + 0.5) * width for position in range(_BINS)]
        axes.plot(times, [count / width for count in counts], label=f"{name} (received)", linewidth=1.2)
        axes.axhline(scenario.streams[name].rate, color="0.7", linewidth=0.8)
    for event in outcome.events:
        axes.axvspan(event.at, event.at + max(event.seconds, width / 4), color="tab:orange", alpha=0.25, linewidth=0)
    if len(outcome.events) <= 12:
        for event in outcome.events:
            axes.text(
                event.at,
                0.98,
                f" {event.text}",
                transform=axes.get_xaxis_transform(),
                va="top",
                rotation=90,
                fontsize=8,
            )
    axes.set_xlim(0, span)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("packets per second")
    axes.set_title(f"{scenario.name}: {' '.join(scenario.description.split())[:110]}")
    if outcome.arrivals:
        axes.legend(loc="lower right", frameon=False)
    axes.grid(visible=True, alpha=0.25)
    figure.savefig(path, dpi=110)
