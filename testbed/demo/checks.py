"""What the demonstration claims, with a figure for each claim."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

Figure = float | int | str


@dataclass(frozen=True, slots=True)
class Check:
    """One claim and what was found."""

    step: str
    """The step it belongs to: a letter."""
    name: str
    ok: bool
    figure: Figure
    unit: str
    target: str
    """What the figure must be, for people."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demonstration."""

    letter: str
    title: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, to be marked in the timeline."""

    at: float
    """Seconds of the lab's clock."""
    text: str


@dataclass(slots=True)
class Report:
    """What happened so far; whoever shows it live listens."""

    checks: list[Check] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    step: Step | None = None
    seconds: float = 0.0
    """Duration of the steps after set-up."""
    starting: float = 0.0
    """Seconds of it in which the controller was started again."""
    listener: Callable[[], None] | None = None
    """Called after each change."""

    @property
    def ok(self) -> bool:
        """Whether there were checks and none failed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def begin(self, letter: str, title: str) -> None:
        """Start a step."""
        self.step = Step(letter, title)
        self._changed()

    def check(self, name: str, *, ok: bool, figure: Figure, unit: str = "", target: str = "") -> None:
        """Note a claim of the current step and what was found."""
        letter = self.step.letter if self.step else "-"
        self.checks.append(Check(letter, name, ok, figure, unit, target))
        self._changed()

    def equal(self, name: str, figure: Figure, target: Figure, unit: str = "") -> None:
        """Check that a figure is what it must be."""
        self.check(name, ok=figure == target, figure=figure, unit=unit, target=str(target))

    def at_most(self, name: str, figure: float, limit: float, unit: str = "") -> None:
        """Check that a figure is not above a limit."""
        self.check(name, ok=figure <= limit, figure=figure, unit=unit, target=f"<= {limit:g}")

    def at_least(self, name: str, figure: float, limit: float, unit: str = "") -> None:
        """Check that a figure is not below a limit."""
        self.check(name, ok=figure >= limit, figure=figure, unit=unit, target=f">= {limit:g}")

    def event(self, at: float, text: str) -> None:
        """Note something that happened."""
        self.events.append(Event(at, text))
        self._changed()

    def to_dict(self, since: float = 0.0) -> dict[str, object]:
        """Return the report in the form of report.json; times of events are seconds after `since`."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "checks": [asdict(check) for check in self.checks],
            "events": [{"at": round(event.at - since, 3), "text": event.text} for event in self.events],
        }

    def write(self, path: Path, since: float = 0.0) -> None:
        """Write report.json."""
        path.write_text(json.dumps(self.to_dict(since), indent=2) + "\n", encoding="utf-8")

    def _changed(self) -> None:
        if self.listener is not None:
            self.listener()
