"""Two-rate three-colour meters (RFC 2698, colour-blind), as P4Runtime configures them."""

from dataclasses import dataclass

GREEN, YELLOW, RED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """Rates in units (bytes or packets) a second, bursts in units."""

    cir: int
    cburst: int
    pir: int
    pburst: int


class Meter:
    """One meter. Without a configuration every packet is green."""

    __slots__ = ("_committed", "_last", "_peak", "config")

    def __init__(self) -> None:
        self.config: MeterConfig | None = None
        self._committed = 0.0
        self._peak = 0.0
        self._last = 0.0

    def configure(self, config: MeterConfig | None, now: float) -> None:
        """Set the rates; both buckets start full. None: back to always green."""
        self.config = config
        if config is not None:
            self._committed, self._peak, self._last = float(config.cburst), float(config.pburst), now

    def execute(self, units: int, now: float) -> int:
        """The colour of a packet of so many units at a time in seconds (RFC 2698 section 3)."""
        config = self.config
        if config is None:
            return GREEN
        elapsed = now - self._last
        if elapsed > 0:
            self._last = now
            self._peak = min(self._peak + elapsed * config.pir, config.pburst)
            self._committed = min(self._committed + elapsed * config.cir, config.cburst)
        if self._peak < units:
            return RED
        self._peak -= units
        if self._committed < units:
            return YELLOW
        self._committed -= units
        return GREEN


class MeterArray:
    """Indirect meters: made when first configured, because most cells of an array stay unused."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._cells: dict[int, Meter] = {}

    def config(self, index: int) -> MeterConfig | None:
        """The configuration of a cell, None when it has none."""
        cell = self._cells.get(index)
        return cell.config if cell else None

    def configure(self, index: int, config: MeterConfig | None, now: float) -> None:
        """Configure a cell; None makes it always green."""
        if config is None:
            self._cells.pop(index, None)
        else:
            self._cells.setdefault(index, Meter()).configure(config, now)

    def execute(self, index: int, units: int, now: float) -> int:
        """The colour of a packet in a cell."""
        cell = self._cells.get(index)
        return cell.execute(units, now) if cell else GREEN
