"""The switches to control: what the configuration says of them, completed from the topology."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.config.endpoint import Endpoint, parse_endpoint
from controller.config.model import ConfigFile, SwitchSection
from controller.fabric.topology import Topology
from controller.southbound.artefacts import ArtefactError, Artefacts
from controller.southbound.programs import ProgramFiles, load_program
from controller.southbound.targets import TARGETS


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
    program: ProgramFiles | None = None
    """The program that it is to run; None: that of this package."""
    copy_port: int | None = None


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
                    _program(path(section.program), path(section.p4info), path(section.pipeline)),
                    section.copy_port,
                )
            )
    return tuple(found)


def _program(folder: Path | None, p4info: Path | None, pipeline: Path | None) -> ProgramFiles | None:
    return None if folder is p4info is pipeline is None else ProgramFiles(folder, p4info, pipeline)


def read_programs(switches: Iterable[Switch]) -> tuple[dict[str, Artefacts], list[tuple[str, str]]]:
    """Return the programs of those switches that have one of their own, by name, and of which switches it cannot be used, and why."""
    programs: dict[str, Artefacts] = {}
    problems: list[tuple[str, str]] = []
    for switch in switches:
        if switch.program is not None and switch.program.sensible and switch.target in TARGETS:
            try:
                programs[switch.name] = load_program(switch.program, TARGETS[switch.target].config_format)
            except ArtefactError as error:
                problems.append((switch.name, str(error)))
    return programs, problems
