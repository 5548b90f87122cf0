"""Shows the demonstration while it runs: a table of checks that grows, and what is going on below it."""

from collections.abc import Iterable
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from testbed.demo.checks import Check, Figure, Report, Step

_FIGURE_WIDTH = 18


def shown(figure: Figure, unit: str) -> str:
    """Return a figure with its unit as people read it."""
    text = f"{figure:.2f}".rstrip("0").rstrip(".") if isinstance(figure, float) else str(figure)
    return f"{text} {unit}".strip()


def table(step: Step, checks: Iterable[Check], console: Console) -> Table:
    """Return the checks of one step as a table; columns are as wide in every step, so the tables line up."""
    room = min(console.width, 120) - 2 * _FIGURE_WIDTH - 18
    grid = Table(
        title=f"{step.letter}. {step.title}",
        title_justify="left",
        title_style="bold cyan",
        show_header=step.letter == "a",
        box=box.SIMPLE,
        pad_edge=False,
    )
    grid.add_column("check", width=max(30, room))
    grid.add_column("found", justify="right", width=_FIGURE_WIDTH)
    grid.add_column("wanted", justify="right", width=_FIGURE_WIDTH, style="dim")
    grid.add_column("", width=6)
    for check in checks:
        mark = Text("ok", style="green") if check.ok else Text("FAILED", style="bold red")
        grid.add_row(check.name, shown(check.figure, check.unit), shown_target(check), mark)
    return grid


def shown_target(check: Check) -> str:
    """Return a check's target with its unit."""
    return f"{check.target} {check.unit}".strip() if check.target else ""


class View:
    """Shows a report: in a terminal the step under way as a table that grows, elsewhere line by line.

    Args:
        console: where to.
        report: what; the view listens to it.
    """

    def __init__(self, console: Console, report: Report) -> None:
        self._console = console
        self._report = report
        self._rates: dict[str, float] = {}
        self._printed = 0
        self._step: Step | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        report.listener = self.refresh

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._report.listener = None
        if self._live is not None:
            self._finish_step()
            self._live.update(Text(), refresh=True)
            self._live.stop()

    def rates(self, rates: dict[str, float]) -> None:
        """Show how many packets a second each path carries."""
        self._rates = rates
        self.refresh()

    def refresh(self) -> None:
        """Show what is new."""
        step = self._report.step
        if step is None:
            return
        if step != self._step:
            self._finish_step()
            self._step = step
            if self._live is None:
                self._line(f"{step.letter}. {step.title}", style="bold cyan")
        if self._live is not None:
            self._live.update(self._picture(step), refresh=True)
        else:
            self._print_new()

    def _picture(self, step: Step) -> RenderableType:
        parts: list[RenderableType] = [table(step, self._report.checks[self._printed :], self._console)]
        if self._rates:
            text = "   ".join(f"{name} {rate:4.0f} packets/s" for name, rate in self._rates.items())
            parts.append(Text(f"to the node now: {text}", style="dim"))
        if self._report.events:
            parts.append(Text(f"last event: {self._report.events[-1].text}", style="dim"))
        return Group(*parts)

    def _finish_step(self) -> None:
        """Leave the table of a finished step above the live part: a table of all steps would not fit a screen."""
        checks = self._report.checks[self._printed :]
        if self._live is not None and self._step is not None and checks:
            self._live.console.print(table(self._step, checks, self._console))
            self._printed = len(self._report.checks)

    def _print_new(self) -> None:
        for check in self._report.checks[self._printed :]:
            wanted = f"  (wanted {shown_target(check)})" if check.target else ""
            mark = "ok    " if check.ok else "FAILED"
            self._line(f"   {mark} {check.name}: {shown(check.figure, check.unit)}{wanted}")
        self._printed = len(self._report.checks)

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)
