"""A picture of a topology: who is who, links with what they do to frames, paths, and tunnels by BID."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controller.fabric.paths import groups
from controller.fabric.topology import Kind, Link, MobileNode, OpenFlowSwitch, Role, Station, Switch, Topology
from controller.mobility.address import Address, format_address, parse_address
from testbed.demo.timeline import INSTALL_HINT, PlotError

_COLOURS: Final = {
    "anchor": "#4c78a8",
    "transit": "#9ecae9",
    Kind.OPENFLOW: "#c7e9c0",
    Kind.HOME_LINK: "#e8d174",
    Kind.CORRESPONDENT: "#b3b3b3",
    Kind.ACCESS_ROUTER: "#88d27a",
    Kind.ROUTER: "#54a24b",
    Kind.HOST: "#dddddd",
    Kind.MOBILE_NODE: "#f58518",
}
_BIDS: Final = ("#d62728", "#9467bd", "#17becf", "#8c564b", "#e377c2")


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A binding to draw."""

    node: str
    bid: int
    access: str | None
    """The access router that it goes through, if that is known."""


def foreseen(topology: Topology) -> list[Tunnel]:
    """Return a tunnel for each interface that the file gives a BID."""
    return [
        Tunnel(interface.node, interface.settings.bid, interface.peer.node)
        for interface in topology.interfaces
        if interface.settings is not None and interface.settings.bid is not None
    ]


def registered(topology: Topology, document: object) -> list[Tunnel]:
    """Return a tunnel for each binding of a node of the file that the controller's REST server knows.

    Raises:
        ValueError: the document is none of bindings.
    """
    items = document.get("items") if isinstance(document, dict) else document
    if not isinstance(items, list):
        raise ValueError("no list of bindings: give what `mcoa bindings --json` prints")  # noqa: TRY004  a wrong file
    homes = {format_address(node.home_address): name for name, node in topology.mobile_nodes.items()}
    found: list[Tunnel] = []
    for item in items:
        try:
            name, care_of = homes.get(item["home_address"]), parse_address(item["care_of_address"])
            if name is not None:
                found.append(Tunnel(name, int(item["bid"]), _access_of(topology, care_of)))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a binding without {error}: give what `mcoa bindings --json` prints") from error
    return found


def _access_of(topology: Topology, care_of: Address) -> str | None:
    for name, station in topology.stations.items():
        if any(care_of in prefix for prefix in station.prefixes if prefix.length):
            return name
    return None


def _layer(topology: Topology, name: str) -> int:
    """Return how far down in the picture a node stands."""
    match topology.nodes[name]:
        case Switch(role=Role.ANCHOR):
            return 2
        case Switch() | OpenFlowSwitch() | Station(kind=Kind.ROUTER):
            return 1
        case Station(kind=Kind.ACCESS_ROUTER):
            return 3
        case MobileNode():
            return 4
        case Station(kind=Kind.HOST):
            return 5
        case _:
            return 0


def places(topology: Topology) -> dict[str, tuple[float, float]]:
    """Return where each node stands: in layers, ordered so that links cross little."""
    layers: dict[int, list[str]] = {}
    for name in topology.nodes:
        layers.setdefault(_layer(topology, name), []).append(name)
    linked: dict[str, list[str]] = {name: [] for name in topology.nodes}
    for link in topology.links:
        linked[link.a.node].append(link.b.node)
        linked[link.b.node].append(link.a.node)
    where: dict[str, tuple[float, float]] = {}
    for depth, layer in enumerate(sorted(layers)):
        placed = {name: [where[peer][0] for peer in linked[name] if peer in where] for name in layers[layer]}
        ordered = sorted(layers[layer], key=lambda name: sum(placed[name]) / len(placed[name]) if placed[name] else 0.5)
        for position, name in enumerate(ordered):
            where[name] = ((position + 1) / (len(ordered) + 1), -float(depth))
    return where


def used_links(topology: Topology) -> dict[int, int]:
    """Return how many routes of switches take each link, by its position in the file."""
    by_port = {
        (end.node, end.interface): position
        for position, link in enumerate(topology.links)
        for end in (link.a, link.b)
        if end.node in topology.switches or end.node in topology.openflow
    }
    counts: dict[int, int] = {}
    for switch in (*topology.switches, *topology.openflow):
        for group in groups(topology, switch).values():
            for hop in group:
                position = by_port[switch, str(hop.port)]
                counts[position] = counts.get(position, 0) + 1
    return counts


def _label(link: Link) -> str:
    parts = [f"{link.delay_ms:g} ms"] if link.delay_ms else []
    parts += [f"{link.rate_mbps:g} Mbit/s"] if link.rate_mbps is not None else []
    parts += [f"{link.loss:.1%} loss"] if link.loss else []
    parts += [f"cost {link.cost}"] if link.cost != 1 else []
    return ", ".join(parts)


def draw(path: Path, topology: Topology, tunnels: Sequence[Tunnel]) -> None:
    """Write the picture; the suffix of the path says of which kind.

    Raises:
        PlotError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - an extra, and slow to import
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise PlotError(f"no picture without matplotlib: {INSTALL_HINT}") from error
    where = places(topology)
    figure = Figure(figsize=(12, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    used = used_links(topology)
    for position, link in enumerate(topology.links):
        (ax, ay), (bx, by) = where[link.a.node], where[link.b.node]
        width = 0.8 + min(4.0, 0.5 * used.get(position, 0))
        axes.plot([ax, bx], [ay, by], color="0.55", linewidth=width, zorder=1, solid_capstyle="round")
        text = _label(link)
        if text:
            axes.text((ax + bx) / 2, (ay + by) / 2, text, fontsize=7, color="0.25", ha="center", zorder=3)
    _draw_tunnels(axes, topology, tunnels, where)
    for name, node in topology.nodes.items():
        role = str(node.role) if isinstance(node, Switch) else node.kind
        x, y = where[name]
        axes.scatter([x], [y], s=1100, color=_COLOURS[role], edgecolors="0.2", zorder=4)
        axes.text(x, y, name, ha="center", va="center", fontsize=8, weight="bold", zorder=5)
        axes.text(x, y - 0.17, str(role), ha="center", va="top", fontsize=7, color="0.3", zorder=5)
    axes.set_title(f"{topology.name}: {topology.description}", fontsize=10)
    axes.margins(0.08, 0.1)
    axes.axis("off")
    figure.savefig(path, dpi=120)


def _draw_tunnels(
    axes: Any,  # noqa: ANN401  matplotlib is an extra: its types are not there without it
    topology: Topology,
    tunnels: Sequence[Tunnel],
    where: Mapping[str, tuple[float, float]],
) -> None:
    anchor = next(iter(topology.anchors), None)
    if anchor is None:
        return
    bids: set[int] = set()
    for tunnel in tunnels:
        stops = [where[name] for name in (anchor, tunnel.access, tunnel.node) if name is not None]
        colour = _BIDS[(tunnel.bid - 1) % len(_BIDS)]
        label = None if tunnel.bid in bids else f"BID {tunnel.bid}"
        bids.add(tunnel.bid)
        shift = 0.004 * tunnel.bid
        xs, ys = [x + shift for x, _ in stops], [y for _, y in stops]
        axes.plot(xs, ys, color=colour, linewidth=1.6, linestyle="--", label=label, zorder=2)
    if bids:
        axes.legend(loc="lower left", frameon=False, fontsize=8)
