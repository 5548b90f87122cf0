"""Draws what arrived at the mobile node: packets a second for each BID, with the events marked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from testbed.demo.checks import Event
from testbed.traffic import Arrival

_BIN = 0.2
"""Seconds that are counted together."""

INSTALL_HINT = "install the extra 'plots' (pip install 'mcoa[plots]'): it brings matplotlib"


class PlotError(RuntimeError):
    """matplotlib is not installed; the text says how to install it."""


def rates(arrivals: Iterable[Arrival], since: float, until: float) -> dict[int, list[float]]:
    """Return packets a second for each path, one figure for each bin of `_BIN` seconds from `since` to `until`."""
    bins = max(1, int((until - since) / _BIN))
    counts: dict[int, Counter[int]] = {}
    for arrival in arrivals:
        position = int((arrival.at - since) / _BIN)
        if 0 <= position < bins:
            counts.setdefault(arrival.path, Counter())[position] += 1
    return {path: [counter[position] / _BIN for position in range(bins)] for path, counter in sorted(counts.items())}


def draw(
    path: Path,
    arrivals: Iterable[Arrival],
    events: Sequence[Event],
    labels: Mapping[int, str],
    span: tuple[float, float],
) -> None:
    """Write the picture.

    Args:
        path: a .png file.
        arrivals: at the mobile node, with BIDs as paths.
        events: what to mark.
        labels: names for BIDs.
        span: from when to when, seconds of the lab's clock.

    Raises:
        PlotError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra, and slow to import
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise PlotError(f"no timeline without matplotlib: {INSTALL_HINT}") from error
    since, until = span
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for bid, series in rates(arrivals, since, until).items():
        times = [(position + 0.5) * _BIN for position in range(len(series))]
        axes.plot(times, series, label=labels.get(bid, f"BID {bid}"), linewidth=1.8)
    axes.set_xlim(0, until - since)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.15)
    last = float("-inf")
    level = 0
    for number, event in enumerate(events, 1):
        at = event.at - since
        # Numbers that would lie on each other go below each other.
        level = level + 1 if at - last < (until - since) / 40 else 0
        last = at
        axes.axvline(at, color="0.5", linewidth=0.8, linestyle="--")
        axes.text(at, 0.985 - 0.05 * level, f" {number}", transform=axes.get_xaxis_transform(), va="top", weight="bold")
    listed = "\n".join(f"{number}  {event.text} ({event.at - since:.1f} s)" for number, event in enumerate(events, 1))
    axes.text(1.02, 1.0, listed, transform=axes.transAxes, va="top", linespacing=1.7, fontsize=9)
    axes.set_xlabel("seconds")
    axes.set_ylabel("packets per second at the mobile node")
    axes.set_title("Traffic towards the mobile node by binding identifier")
    axes.legend(loc="lower left", bbox_to_anchor=(1.01, 0.0), frameon=False)
    axes.grid(visible=True, alpha=0.25)
    figure.savefig(path, dpi=110)
