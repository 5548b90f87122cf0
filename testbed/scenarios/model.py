"""Scenario files: which traffic runs, what happens to the network meanwhile, and what has to hold in the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from controller.fabric.loader import line_of
from controller.fabric.topology import MAX_PORT, Name

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=10_000)]


class ScenarioError(ValueError):
    """A scenario file cannot be used: one line for each thing that is wrong."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stream(_Model):
    """Numbered datagrams at a steady rate for the whole scenario."""

    source: Name
    """A node with an address."""
    destination: Name
    """A node with an address; a mobile node is sent to at its home address."""
    rate: Annotated[float, Field(gt=0, le=5000)] = 100
    """Datagrams a second."""
    size: Annotated[int, Field(ge=24, le=1400)] = 100
    """Octets of payload."""


class Download(_Model):
    """A file that is fetched by HTTP while the scenario goes on; one TCP connection."""

    source: Name
    destination: Name
    octets: Annotated[int, Field(ge=1, le=10**9)]
    rate: str | None = None
    """As curl's ``--limit-rate`` takes it."""


class Handover(_Model):
    """An interface of a mobile node changes to another access network."""

    node: Name
    interface: Name
    into: Name
    """An access router."""
    make_before_break: bool = True
    """The node gives the old address up, and uses another BID, before the link goes; otherwise the link goes first."""
    overlap: Seconds = 0.3
    """With `make_before_break`: seconds from when the other BID is in use until the link goes. What is under way arrives."""
    blind: Seconds = 0.05
    """Seconds without link and address in between: what it takes to attach."""


class Drive(_Model):
    """An interface of a mobile node passes access networks one after the other, again and again."""

    node: Name
    interface: Name
    through: Annotated[tuple[Name, ...], Field(min_length=2)]
    handovers: Count
    dwell: Seconds = 1.0
    """Seconds in each."""
    make_before_break: bool = True
    overlap: Seconds = 0.3
    blind: Seconds = 0.05


class Crowd(_Model):
    """Many mobile nodes register at once, each an engine of its own, through one access network."""

    nodes: Annotated[int, Field(ge=1, le=5000)]
    through: Name
    bids: Annotated[int, Field(ge=1, le=8)] = 3


class Link(_Model):
    """A mobile node's link to its access network."""

    node: Name
    interface: Name


class Wire(_Model):
    """A link between two switches."""

    switch: Name
    port: Annotated[int, Field(ge=1, le=MAX_PORT)]
    """At either end of it."""


class Trace(_Model):
    """traceroute from one node to another, or to a home agent address."""

    source: Name
    destination: Name | None = None
    """None: the first home agent."""


class Reachable(_Model):
    """Echo requests from one node to another."""

    source: Name
    destination: Name
    count: Count = 5


class PolicyStep(_Model):
    """An operator's policy, set by REST."""

    node: Name
    name: str
    body: Mapping[str, Any]
    """As ``PUT /v1/nodes/{home address}/policies/{name}`` takes it."""


class Bandwidth(_Model):
    """iperf3 by TCP."""

    source: Name
    destination: Name
    seconds: Annotated[int, Field(ge=1, le=60)] = 2


class Step(_Model):
    """One thing to do; exactly one of the fields is given."""

    wait: Seconds | None = None
    handover: Handover | None = None
    drive: Drive | None = None
    crowd: Crowd | None = None
    carrier_off: Link | None = None
    """The link loses its carrier: the kernel tells the node."""
    carrier_on: Link | None = None
    silence: Link | None = None
    """The link loses every frame, and nobody is told."""
    cut: Wire | None = None
    """A link between switches is set down; the switches go on, and no controller hears of it from them."""
    mend: Wire | None = None
    kill: Name | None = None
    """A switch, or ``controller``: SIGKILL."""
    start: Name | None = None
    """The same, again; a controller is waited for until it is in sync."""
    go_home: Link | None = None
    """The interface is plugged into the home link."""
    leave_home: Handover | None = None
    ping: Reachable | None = None
    trace: Trace | None = None
    """Each time ``trace.arrived`` is one more if the destination answered, and ``trace.anchors`` if an anchor did on the way."""
    iperf3: Bandwidth | None = None
    policy: PolicyStep | None = None

    @model_validator(mode="after")
    def _one(self) -> "Step":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step is exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """What to do: the name of the field."""
        return next(iter(self.model_fields_set))


class Check(_Model):
    """What has to hold of a metric of the report."""

    metric: str
    """As in ``video.lost``."""
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "Check":
        if self.at_most is None and self.at_least is None:
            raise ValueError("a check needs at_most or at_least")
        return self

    def holds(self, value: float) -> bool:
        """Tell whether a value is inside of the bounds."""
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        """The bounds in words."""
        low = "" if self.at_least is None else f"at least {self.at_least:g}"
        high = "" if self.at_most is None else f"at most {self.at_most:g}"
        return " and ".join(filter(None, (low, high)))


class Scenario(_Model):
    """A whole scenario file."""

    name: Name
    description: str
    topology: str
    """The file in `topologies` that it is written for."""
    agents: Mapping[Name, Mapping[str, Any]] = Field(default_factory=dict)
    """More settings of node agents, by node (the ``[node]`` section)."""
    controller: Mapping[str, float] = Field(default_factory=dict)
    """More settings of the ``[controller]`` section."""
    open_networks: bool = False
    """Whether every home address may register."""
    real_home_link: bool = False
    """Whether the home agent answers on the home link for nodes that are away; otherwise nobody is ever there."""
    streams: Mapping[Name, Stream] = Field(default_factory=dict)
    downloads: Mapping[Name, Download] = Field(default_factory=dict)
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    checks: Annotated[tuple[Check, ...], Field(min_length=1)]


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: it cannot be read or used; each line names file, line and field.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root, document = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{path}:{line}: no valid YAML: {error.problem}") from error
    if root is None:
        raise ScenarioError(f"{path}:1: the file is empty")
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        lines = []
        for one in error.errors():
            place = tuple(one["loc"])
            reason = _REASONS.get(one["type"], one["msg"].removeprefix("Value error, "))
            lines.append(f"{path}:{line_of(root, place)}: {'.'.join(map(str, place))}: {reason}")
        raise ScenarioError("\n".join(lines)) from error


_REASONS: Final = {
    "extra_forbidden": "unknown field: remove it or correct its spelling",
    "missing": "required, but not there",
}
