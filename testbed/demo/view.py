"""Shows the demonstration while it runs: a table of checks that grows, and what is going on below it."""

from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from testbed.demo.checks import Check, Figure, Report, Step


def shown(figure: Figure, unit: str) -> str:
    """Return a figure with its unit as people read it."""
    text = f"{figure:.2f}".rstrip("0").rstrip(".") if isinstance(figure, float) else str(figure)
    return f"{text} {unit}".strip()


def table(report: Report, steps: dict[str, str]) -> Table:
    """Return the checks so far as a table; `steps` are titles by letter."""
    grid = Table(title="mcoa demo", title_justify="left", expand=False)
    grid.add_column("step", style="bold")
    grid.add_column("check")
    grid.add_column("found", justify="right")
    grid.add_column("wanted", justify="right", style="dim")
    grid.add_column("", justify="center")
    last = ""
    for check in report.checks:
        if check.step != last:
            if last:
                grid.add_section()
            grid.add_row(check.step, Text(steps.get(check.step, ""), style="bold cyan"), "", "", "")
            last = check.step
        mark = Text("ok", style="green") if check.ok else Text("FAILED", style="bold red")
        grid.add_row("", check.name, shown(check.figure, check.unit), shown_target(check), mark)
    return grid


def shown_target(check: Check) -> str:
    """Return a check's target with its unit."""
    return f"{check.target} {check.unit}".strip() if check.target else ""


class View:
    """Shows a report: live in a terminal, line by line elsewhere.

    Args:
        console: where to.
        report: what; the view listens to it.
    """

    def __init__(self, console: Console, report: Report) -> None:
        self._console = console
        self._report = report
        self._steps: dict[str, str] = {}
        self._rates: dict[str, float] = {}
        self._printed = 0
        self._last: Step | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        report.listener = self.refresh

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._report.listener = None
        if self._live is not None:
            self._live.update(table(self._report, self._steps), refresh=True)
            self._live.stop()

    def rates(self, rates: dict[str, float]) -> None:
        """Show how many packets a second each path carries."""
        self._rates = rates
        self.refresh()

    def refresh(self) -> None:
        """Show what is new."""
        step = self._report.step
        if step is not None:
            self._steps[step.letter] = step.title
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)
        else:
            self._print_new(step)

    def _picture(self) -> RenderableType:
        parts: list[RenderableType] = [table(self._report, self._steps)]
        if self._report.step is not None:
            parts.append(Text(f"{self._report.step.letter}: {self._report.step.title} ...", style="cyan"))
        if self._rates:
            text = "   ".join(f"{name} {rate:4.0f} packets/s" for name, rate in self._rates.items())
            parts.append(Text(text, style="dim"))
        if self._report.events:
            parts.append(Text(self._report.events[-1].text, style="dim"))
        return Group(*parts)

    def _print_new(self, step: Step | None) -> None:
        if step is not None and step != self._last:
            self._console.print(Text(f"{step.letter}. {step.title}", style="bold cyan"))
            self._last = step
        for check in self._report.checks[self._printed :]:
            mark = "ok    " if check.ok else "FAILED"
            wanted = f"  (wanted {shown_target(check)})" if check.target else ""
            self._console.print(Text(f"   {mark} {check.name}: {shown(check.figure, check.unit)}{wanted}"))
        self._printed = len(self._report.checks)
