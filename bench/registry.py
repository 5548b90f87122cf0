"""What a bench is: a name, and a function that measures one figure and a peer's figure for the same work.

A new bench is a function with the decorator `bench`; `bench.suite` imports its module.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Settings:
    """What all benches are given."""

    rounds: int = 7
    """How many times subject and peer take turns; the median counts."""
    scale: float = 1.0
    """Share of the usual amount of work: a test runs with little."""

    def amount(self, usual: int) -> int:
        """Return an amount of work, at least 1."""
        return max(1, int(usual * self.scale))


@dataclass(frozen=True, slots=True)
class Result:
    """A figure beside its peer's."""

    value: float
    unit: str
    peer: str | None
    """What it is compared with, in words; None: there was nothing to compare with, and `note` says why."""
    peer_value: float | None = None
    """In the same unit."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """`value` divided by `peer_value`."""
        return self.value / self.peer_value if self.peer_value else None

    def to_dict(self) -> dict[str, object]:
        """Return the form of results.json."""
        ratio = self.ratio
        found: dict[str, object] = {
            "value": _rounded(self.value),
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": None if self.peer_value is None else _rounded(self.peer_value),
            "ratio": None if ratio is None else _rounded(ratio),
        }
        return found | ({"note": self.note} if self.note else {})


Results = dict[str, Result]
Bench = Callable[[Settings], Results]

BENCHES: dict[str, Bench] = {}
"""By the name that `--only` takes."""


def bench(name: str) -> Callable[[Bench], Bench]:
    """Register a bench. It returns one or several results by name."""

    def register(function: Bench) -> Bench:
        if name in BENCHES:
            raise ValueError(f"there are two benches called {name!r}")
        BENCHES[name] = function
        return function

    return register


def in_turns(subject: Callable[[], float], peer: Callable[[], float], rounds: int) -> tuple[float, float]:
    """Measure both in turns and return the median of each: what disturbs the machine disturbs both."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        # Who goes first changes too.
        for run, found in ((subject, ours), (peer, theirs)) if number % 2 else ((peer, theirs), (subject, ours)):
            found.append(run())
    return median(ours), median(theirs)


def rate(function: Callable[[], object], times: int) -> float:
    """Return how many times a second a function runs."""
    began = time.perf_counter()
    for _ in range(times):
        function()
    return times / (time.perf_counter() - began)


def _rounded(value: float) -> float:
    """Four digits that count are more than a shared machine gives."""
    return float(f"{value:.4g}")
