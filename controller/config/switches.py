"""The switches to control: what the configuration says of them, completed from the topology."""

from dataclasses import dataclass
from pathlib import Path

from controller.config.endpoint import Endpoint, parse_endpoint
from controller.config.model import ConfigFile, SwitchSection
from controller.fabric.topology import Topology


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch to control, with what the topology file knows of it filled in."""

    name: str
    address: Endpoint
    device_id: int
    target: str
    role: str = ""
    takeover: bool = True
    foreign: str = "remove"
    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None


def controlled_switches(config: ConfigFile, topology: Topology, folder: Path = Path()) -> tuple[Switch, ...]:
    """Return the switches to control: those of the file, else all of the topology.

    Args:
        config: the file.
        topology: what it names.
        folder: where relative paths start.
    """

    def path(name: str | None) -> Path | None:
        return None if name is None else folder / name

    sections = config.switch or [SwitchSection(name=name) for name in topology.switches]
    found: list[Switch] = []
    for section in sections:
        known = topology.switches.get(section.name)
        if known is not None:
            address = parse_endpoint(known.grpc) if section.address is None else section.address
            device_id = known.device_id if section.device_id is None else section.device_id
            found.append(
                Switch(
                    section.name,
                    address,
                    device_id,
                    section.target or known.target,
                    section.role,
                    section.takeover,
                    section.foreign,
                    path(section.ca),
                    path(section.certificate),
                    path(section.private_key),
                )
            )
    return tuple(found)
