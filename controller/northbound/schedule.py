"""When a policy is in force: between two dates, and within hours of some days of the week. All times are UTC."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHOLE_DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of one policy."""

    not_before: float | None = None
    """Wall time, seconds since 1970."""
    not_after: float | None = None
    days: tuple[int, ...] = tuple(range(7))
    """0 is Monday; the day on which its hours begin."""
    begins: int = 0
    """Minutes after midnight, 0 to 1439."""
    ends: int = _WHOLE_DAY
    """The same, 1 to 1440; not after `begins`: on the next day."""

    def is_open(self, now: float) -> bool:
        """Tell whether the policy is in force at a wall time."""
        if (self.not_before is not None and now < self.not_before) or (
            self.not_after is not None and now >= self.not_after
        ):
            return False
        moment = datetime.fromtimestamp(now, UTC)
        day, minute = moment.weekday(), moment.hour * 60 + moment.minute
        if self.begins < self.ends:
            return day in self.days and self.begins <= minute < self.ends
        return (day in self.days and minute >= self.begins) or ((day - 1) % 7 in self.days and minute < self.ends)
