"""What kinds of switch can do, as data: the session asks this table, so no code elsewhere asks for a switch's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from controller.dataplane import pipeline as p
from controller.southbound.wire import framed, tag

BMV2: Final = "bmv2-json"
"""The format of the program that comes with this package."""


@dataclass(frozen=True, slots=True)
class Target:
    """The capabilities of one kind of switch, and where it differs from the specification."""

    name: str
    config_format: str
    """What it takes as device configuration: a key of `PACKINGS`."""
    batch: int = 1000
    """Updates in one Write."""
    in_flight: int = 4
    """Writes of one stage that may be under way at once."""
    roles: bool = True
    """It knows arbitration roles; False: every client competes with every other, so a session asks for none."""
    promotes: bool = False
    """When the primary leaves, it makes the next highest id primary by itself: a standby has to be without an id."""
    copy_port: int = p.COPY_PORT
    """By which copies of a packet begin their second pass through the switch."""
    gnmi: bool = False
    """It tells by gNMI, at the address of its P4Runtime server, which ports are up; False: the fabric has to find out."""


TARGETS: Final = MappingProxyType(
    {
        target.name: target
        for target in (
            Target("embedded", BMV2, in_flight=2),
            # Roles are ignored; without sysrepo, which hardly anybody builds in, there is no gNMI.
            Target("bmv2", BMV2, roles=False, promotes=True),
            # Both with Stratum. The first pipe's recirculation port, as the chip numbers it.
            Target("tofino", "tofino", batch=500, copy_port=68, gnmi=True),
            Target("tofino2", "tofino2", batch=500, copy_port=6, gnmi=True),
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


# Packing: from what a compiler wrote to what a switch takes as device configuration.

BMV2_JSON: Final = "home_agent.json"
BF_RUNTIME: Final = "bf-rt.json"
CONTEXT: Final = "context.json"
BINARY: Final = "tofino.bin"


def _bmv2(_name: str, files: Mapping[str, bytes]) -> bytes:
    return files[BMV2_JSON]


_PROFILE: Final = b"pipe"
"""The name of the one pipeline of `p4src/tna`."""


def _stratum(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return Stratum's BfPipelineConfig for a program with one profile on every pipe (stratum/hal/lib/barefoot/bf.proto)."""

    def member(number: int, content: bytes) -> bytes:
        return framed(tag(number), content)

    profile = member(1, _PROFILE) + member(2, files[CONTEXT]) + member(3, files[BINARY])
    return member(1, name.encode()) + member(2, files[BF_RUNTIME]) + member(3, profile)


PACKINGS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[str, Mapping[str, bytes]], bytes]]]] = MappingProxyType(
    {
        BMV2: ((BMV2_JSON,), _bmv2),
        "tofino": ((BF_RUNTIME, CONTEXT, BINARY), _stratum),
        "tofino2": ((BF_RUNTIME, CONTEXT, BINARY), _stratum),
    }
)
"""By format: the compiler's files that are needed, and the function that makes one device configuration of them."""


def pack(config_format: str, name: str, files: Mapping[str, bytes]) -> bytes:
    """Return a device configuration.

    Args:
        config_format: a key of `PACKINGS`.
        name: the P4 program's name.
        files: the compiler's files by name.

    Raises:
        ValueError: the format is unknown, or a file is missing.
    """
    if config_format not in PACKINGS:
        raise ValueError(f"there is no format {config_format!r}: the formats are {', '.join(PACKINGS)}")
    needed, function = PACKINGS[config_format]
    missing = [file for file in needed if file not in files]
    if missing:
        raise ValueError(f"a program for {config_format} needs {', '.join(missing)} too")
    return function(name, files)
