"""Whether a scenario goes with a topology: each node, interface and port that it names is there and can do what it is to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import yaml

from controller.fabric.loader import line_of
from controller.fabric.topology import Kind, MobileNode, Station, Topology
from testbed.scenarios.model import Handover, Link, Reachable, Scenario, ScenarioError, Step, Wire

Finding: TypeAlias = tuple[tuple[str | int, ...], str]
"""Path to a field of the file, and what is wrong with it."""

_PLACES = (Kind.ACCESS_ROUTER, Kind.HOME_LINK)


def check_fits(path: Path, scenario: Scenario, topology: Topology) -> None:
    """See whether a scenario can be carried out in a topology.

    Args:
        path: the scenario's file, which has the lines.
        scenario: what it says.
        topology: where it is to be.

    Raises:
        ScenarioError: it cannot; one line for each reason, with the line of the file.
    """
    found = list(_Fit(topology).findings(scenario))
    if not found:
        return
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    assert root is not None, "it was read before"
    places = ((f"{path}:{line_of(root, place)}", ".".join(map(str, place)), reason) for place, reason in found)
    raise ScenarioError("\n".join(f"{line}: {field}: {reason}" for line, field, reason in places))


class _Fit:
    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._where = f"in the topology {topology.name!r}"

    def findings(self, scenario: Scenario) -> Iterator[Finding]:
        for name, stream in scenario.streams.items():
            yield from self._ends(("streams", name), stream.source, stream.destination)
        for name, download in scenario.downloads.items():
            yield from self._ends(("downloads", name), download.source, download.destination)
        for name in scenario.agents:
            yield from self._mobile(("agents", name), name)
        for position, step in enumerate(scenario.steps):
            yield from self._step(("steps", position, step.kind), step)

    def _step(self, place: tuple[str | int, ...], step: Step) -> Iterator[Finding]:
        match getattr(step, step.kind):
            case Handover() as wish:
                yield from self._interface(place, wish.node, wish.interface)
                yield from self._network((*place, "into"), wish.into)
            case Link() as wish:
                yield from self._interface(place, wish.node, wish.interface)
            case Wire() as wish:
                yield from self._port(place, wish)
            case Reachable() as wish:
                yield from self._ends(place, wish.source, wish.destination)
            case _:
                yield from self._rest(place, step)

    def _rest(self, place: tuple[str | int, ...], step: Step) -> Iterator[Finding]:
        if step.drive is not None:
            yield from self._interface(place, step.drive.node, step.drive.interface)
            for position, name in enumerate(step.drive.through):
                yield from self._network((*place, "through", position), name)
        elif step.crowd is not None:
            yield from self._network((*place, "through"), step.crowd.through)
        elif step.trace is not None:
            yield from self._ends(place, step.trace.source, step.trace.destination)
        elif step.iperf3 is not None:
            yield from self._ends(place, step.iperf3.source, step.iperf3.destination)
        elif step.policy is not None:
            yield from self._mobile((*place, "node"), step.policy.node)
        elif (process := step.kill or step.start) is not None:
            known = ("controller", *self._topology.switches, *self._topology.mobile_nodes)
            if process not in known:
                yield place, f"there is no process {process!r} {self._where}: {', '.join(known)}"

    def _ends(self, place: tuple[str | int, ...], source: str, destination: str | None) -> Iterator[Finding]:
        for key, name in (("source", source), ("destination", destination)):
            node = None if name is None else self._topology.nodes.get(name)
            if name is not None and not (
                isinstance(node, MobileNode) or (isinstance(node, Station) and node.addresses)
            ):
                yield (*place, key), f"{name!r} is no node with an address {self._where}"

    def _mobile(self, place: tuple[str | int, ...], name: str) -> Iterator[Finding]:
        if name not in self._topology.mobile_nodes:
            yield place, f"{name!r} is no mobile node {self._where}"

    def _interface(self, place: tuple[str | int, ...], node: str, name: str) -> Iterator[Finding]:
        known = [one.name for one in self._topology.interfaces_of(node) if node in self._topology.mobile_nodes]
        if not known:
            yield (*place, "node"), f"{node!r} is no mobile node {self._where}"
        elif name not in known:
            yield (*place, "interface"), f"{node} has no interface {name!r} {self._where}: {', '.join(known)}"

    def _network(self, place: tuple[str | int, ...], name: str) -> Iterator[Finding]:
        node = self._topology.nodes.get(name)
        if node is None or node.kind not in _PLACES:
            yield place, f"{name!r} is no access router or home link {self._where}"

    def _port(self, place: tuple[str | int, ...], wish: Wire) -> Iterator[Finding]:
        if not any(one.port == wish.port for one in self._topology.interfaces_of(wish.switch)):
            yield place, f"{wish.switch}:{wish.port} is no port of a switch {self._where}"
