"""Single care-of address, break before make, against multiple care-of addresses, make before break: loss, gap and signalling.

``python -m testbed.experiment --out DIR`` as root: four runs of the vehicle topology, each with 30 handovers of its Wi-Fi. It
writes ``experiment.csv``, ``experiment.png``, and a table for docs/experiments.md. What it is compared with: K. Shima et al.,
Journal of Networks 1(3), 2006, where several care-of
addresses left one third to one tenth of the loss of a single one.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any, Final

from controller.fabric.loader import load_topology, sample_topologies
from controller.fabric.topology import Topology
from testbed.scenarios.cli import UnusableError, check_machine, clear, run_private
from testbed.scenarios.model import Scenario

RATES: Final = (100, 1000)
HANDOVERS: Final = 30
BLIND: Final = 0.1
"""Seconds that a radio takes to attach to the next access network and to have an address there, in both modes."""
OVERLAP: Final = 1.0
"""Seconds that both paths are there with several care-of addresses: how far cells overlap. A busy machine is late with packets."""
_TOPOLOGY: Final = "vehicle.yaml"
_PARTS: Final = ("rsu1", "rsu2", "rsu3")


@dataclass(frozen=True, slots=True)
class Row:
    """One run."""

    mode: str
    rate: int
    """Packets a second."""
    handovers: int
    sent: int
    lost: int
    lost_per_handover: float
    median_gap_ms: float
    """Of the longest gap in each handover."""
    longest_gap_ms: float
    signalling_octets_per_handover: float


def scenario(mode: str, rate: int) -> Scenario:
    """Return the scenario of one run; `mode` is ``single`` or ``multiple``."""
    single = mode == "single"
    silent = [{"carrier_off": {"node": "car", "interface": name}} for name in ("wwan0", "sat0")] if single else []
    drive = {
        "node": "car",
        "interface": "wlan0",
        "through": _PARTS,
        "handovers": HANDOVERS,
        "dwell": 0.4,
        "make_before_break": not single,
        "overlap": OVERLAP,
        "blind": BLIND,
    }
    return Scenario.model_validate(
        {
            "name": f"{mode}-{rate}",
            "description": f"{mode} care-of address, {rate} packets a second, {HANDOVERS} handovers",
            "topology": _TOPOLOGY,
            "agents": {"car": {"multiple_care_of": not single}},
            "streams": {"down": {"source": "cn", "destination": "car", "rate": rate}},
            "steps": [*silent, {"wait": 0.5}, {"drive": drive}],
            "checks": [{"metric": "handovers.count", "at_least": HANDOVERS}],
        }
    )


def row(mode: str, rate: int, document: dict[str, Any]) -> Row:
    """Return the figures of a run from its report."""
    metrics, handovers = document["metrics"], document["handovers"]
    gaps = [one["longest_gap_ms"]["down"] for one in handovers]
    lost = int(metrics["down.lost"])
    return Row(
        mode,
        rate,
        len(handovers),
        int(metrics["down.sent"]),
        lost,
        round(lost / len(handovers), 2),
        round(median(gaps), 1),
        round(max(gaps), 1),
        round(metrics["signalling.octets"] / len(handovers), 1),
    )


def run_all(out: Path) -> list[Row]:
    """Do the four runs, each in a process and a network of its own.

    Raises:
        UnusableError: a run failed.
    """
    rows: list[Row] = []
    for rate in RATES:
        for mode in ("single", "multiple"):
            folder = out / f"{mode}-{rate}"
            command = [
                sys.executable,
                "-m",
                "testbed.experiment",
                "--out",
                str(folder),
                "--one",
                mode,
                "--rate",
                str(rate),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own command
            if done.returncode:
                raise UnusableError(f"the run {mode} at {rate} packets a second failed: {done.stderr.strip()}")
            rows.append(row(mode, rate, json.loads((folder / "report.json").read_text(encoding="utf-8"))))
            sys.stdout.write(f"{rows[-1]}\n")
    return rows


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write the figures."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [one.name for one in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in rows)


def table(rows: list[Row]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| care-of addresses | packets/s | sent | lost | lost in a handover | gap, median | gap, longest | signalling in a handover |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        cells = (
            one.mode,
            one.rate,
            one.sent,
            one.lost,
            one.lost_per_handover,
            f"{one.median_gap_ms} ms",
            f"{one.longest_gap_ms} ms",
            f"{one.signalling_octets_per_handover} octets",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def draw(path: Path, rows: list[Row]) -> None:
    """Draw loss and gap of both modes side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra, and slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, value) in zip(
        figure.subplots(1, 2),
        (
            ("packets lost in a handover", "lost_per_handover"),
            ("longest gap in a handover, median, ms", "median_gap_ms"),
        ),
        strict=True,
    ):
        for offset, mode in ((-0.2, "single"), (0.2, "multiple")):
            of_mode = [one for one in rows if one.mode == mode]
            places = [RATES.index(one.rate) + offset for one in of_mode]
            bars = axes.bar(places, [getattr(one, value) for one in of_mode], 0.38, label=f"{mode} care-of address")
            axes.bar_label(bars, fmt="%g")
        axes.set_xticks(range(len(RATES)), [f"{rate} packets/s" for rate in RATES])
        axes.set_title(title)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> int:
    """Run it all, or one of the runs. Return the exit status: 2 when the machine is not fit for it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("experiment-out"))
    parser.add_argument("--one", choices=("single", "multiple"), help="this run only")
    parser.add_argument("--rate", type=int, default=100)
    options = parser.parse_args()
    try:
        network = load_topology(sample_topologies() / _TOPOLOGY)
        check_machine(None, "embedded", network)
        if options.one is not None:
            return _one(options.one, options.rate, options.out, network)
        options.out.mkdir(parents=True, exist_ok=True)
        rows = run_all(options.out)
    except (UnusableError, OSError) as error:
        sys.stderr.write(f"experiment: {error}\n")
        return 2
    except (RuntimeError, TimeoutError) as error:  # ProcessError among them: something did not start
        sys.stderr.write(f"experiment: {' '.join(str(error).split())}\n")
        return 1
    write_csv(options.out / "experiment.csv", rows)
    draw(options.out / "experiment.png", rows)
    (options.out / "table.md").write_text(table(rows), encoding="utf-8")
    sys.stdout.write(table(rows))
    return 0


def _one(mode: str, rate: int, out: Path, network: Topology) -> int:
    clear(out)
    document = run_private(scenario(mode, rate), network, "embedded", out)
    if document["verdict"] != "passed":
        sys.stderr.write(f"{document['error'] or document['checks']}\n")
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
