"""Reads topology files: YAML in, a checked `Topology` out, or an error that says which file, line and field, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import ValidationError

from controller.fabric.checks import check
from controller.fabric.topology import Topology

Location: TypeAlias = tuple[str | int, ...]
"""Where in a document: the keys and positions that lead there."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a topology file."""

    file: str
    line: int | None
    """From 1; None if the document has no lines (it was not read from YAML)."""
    field: str
    """Path to the field with dots, as in ``nodes.s1.grpc``; empty for the whole document."""
    reason: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.field}: {self.reason}" if self.field else f"{place}: {self.reason}"


class TopologyError(ValueError):
    """A topology file cannot be used.

    Attributes:
        problems: everything that is wrong, in the order found; at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def sample_topologies() -> Path:
    """Return the folder of the topologies that come with this package, installed or in a source tree.

    Raises:
        FileNotFoundError: neither place has it.
    """
    package = Path(str(files("controller")))
    places = (package / "_data" / "topologies", package.parent / "topologies")
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"the sample topologies are in none of {', '.join(map(str, places))}: reinstall mcoa")


def load_topology(path: Path) -> Topology:
    """Read and check a topology file.

    Raises:
        TopologyError: the file cannot be read, is no YAML, or does not describe a usable network.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyError([Problem(str(path), None, "", f"cannot be read: {error}")]) from error
    return parse_topology(text, str(path))


def parse_topology(text: str, file: str = "<text>") -> Topology:
    """Return the topology that a YAML text describes; `file` is the name for error messages.

    Raises:
        TopologyError: as for `load_topology`.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        repeated = [] if root is None else _repeated_keys(root, ())
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise TopologyError([Problem(file, line, "", f"no valid YAML: {error.problem}")]) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # ValueError: something that looks like a date and is none.
        raise TopologyError([Problem(file, None, "", f"no valid YAML: {error}")]) from error
    if root is None:
        raise TopologyError([Problem(file, 1, "", "the file is empty: a topology needs name, nodes and links")])
    if repeated:
        raise TopologyError([Problem(file, line, _dotted(place), reason) for place, line, reason in repeated])
    try:
        topology = Topology.model_validate(data)
    except ValidationError as error:
        raise TopologyError([_problem(file, root, details) for details in error.errors()]) from error
    found = [Problem(file, line_of(root, place), _dotted(place), reason) for place, reason in check(topology)]
    if found:
        raise TopologyError(found)
    return topology


def _problem(file: str, root: yaml.Node, details: Any) -> Problem:  # noqa: ANN401  pydantic's error details are loosely typed
    place = tuple(details["loc"])
    if place[:1] == ("nodes",):  # pydantic adds the kind that it chose: nodes, name, kind, field...
        place = (*place[:2], *place[3:])
    place = tuple(part for part in place if part != "[key]")
    reason = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        reason = "unknown field: remove it or correct its spelling"
    elif details["type"] == "missing":
        reason = "required, but not there"
    return Problem(file, line_of(root, place), _dotted(place), reason)


def _dotted(place: Location) -> str:
    return ".".join(map(str, place))


def line_of(root: yaml.Node, place: Location) -> int:
    """Return the line of the deepest part of `place` that the document has, from 1."""
    node, line = root, root.start_mark.line
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return int(line) + 1


def _repeated_keys(node: yaml.Node, place: Location) -> list[tuple[Location, int, str]]:
    """Find keys that a mapping has twice: YAML readers keep the last one and say nothing."""
    found: list[tuple[Location, int, str]] = []
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                found.append(((*place, name), line, f"named twice: the first is in line {seen[name]}"))
            seen.setdefault(name, line)
            found += _repeated_keys(value, (*place, name))
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            found += _repeated_keys(item, (*place, position))
    return found
