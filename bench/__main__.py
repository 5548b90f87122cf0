"""`python -m bench`: runs the benches, prints a table and writes results.json."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.registry import BENCHES, Results, Settings
from bench.suite import load


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say; return the exit status."""
    load()
    parser = argparse.ArgumentParser(prog="bench", description="Measure ours beside a peer, in turns.")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for results.json")
    parser.add_argument("--only", action="append", choices=sorted(BENCHES), help="run only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=Settings().rounds, help="turns for each; the median counts")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual amount of work")
    given = parser.parse_args(arguments)
    if given.rounds < 1 or given.scale <= 0:
        parser.error("--rounds must be at least 1 and --scale more than 0")
    console, errors = Console(), Console(stderr=True)
    settings = Settings(given.rounds, given.scale)
    results: Results = {}
    failed = False
    for name in given.only or BENCHES:
        errors.print(f"{name} ...", style="dim")
        try:
            results |= BENCHES[name](settings)
        except Exception:  # noqa: BLE001 - one bench that fails must not take the others' figures with it
            errors.print_exception()
            failed = True
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: result.to_dict() for name, result in results.items()}, indent=2)
    (given.out / "results.json").write_text(text + "\n", encoding="utf-8")
    _show(console, results)
    console.print(f"written to {given.out / 'results.json'}", soft_wrap=True)
    return int(failed)


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _show(console: Console, results: Results) -> None:
    table = Table(title="mcoa bench", title_justify="left")
    for title in ("bench", "ours", "peer's", "ratio", "unit"):
        table.add_column(title, justify="right" if title in {"ours", "peer's", "ratio"} else "left", no_wrap=True)
    for name, result in results.items():
        peer_value = "-" if result.peer_value is None else f"{_text(result.peer_value)}"
        ratio = "-" if result.ratio is None else f"{result.ratio:.3g}"
        table.add_row(name, f"{_text(result.value)}", peer_value, ratio, result.unit)
    console.print(table)
    for name, result in results.items():
        told = "; ".join(text for text in (f"peer: {result.peer}" if result.peer else "", result.note) if text)
        console.print(f"{name}: {told}", style="dim", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
