"""What kinds of switch can do, as data: the session asks this table, so no code elsewhere asks for a switch's name."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Target:
    """The capabilities of one kind of switch."""

    name: str
    config_format: str
    """What it takes as device configuration: "bmv2-json", or "tofino" for Stratum's package of P4 name, context and binary."""
    batch: int = 1000
    """Updates in one Write."""
    in_flight: int = 4
    """Writes of one stage that may be under way at once."""


TARGETS: Final = MappingProxyType(
    {
        target.name: target
        for target in (
            Target("embedded", "bmv2-json", in_flight=1),
            Target("bmv2", "bmv2-json"),
            Target("stratum-tofino", "tofino", batch=500),
        )
    }
)
"""Every known kind of switch by name."""


def target(name: str) -> Target:
    """Return the capabilities of a kind of switch.

    Raises:
        ValueError: the name is unknown; the message has the known ones.
    """
    try:
        return TARGETS[name]
    except KeyError:
        raise ValueError(f"there is no target {name!r}: the targets are {', '.join(TARGETS)}") from None
