"""Drawings as SVG: the network with the paths of bindings, sparklines, bars. Text in them is escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from controller.northbound.views import TopologyNode, TopologyView

COLOURS: Final = ("#0b6fbf", "#c2571a", "#1b8a5a", "#9b3fa5", "#a07d00", "#c0344f", "#00828a", "#5a62d6")
"""Of BIDs, in their order; each has 4.5:1 against white and, lightened by the style sheet, against the dark ground."""

_COLUMN: Final = 190
_ROW: Final = 74
_WIDTH: Final = 128
_HEIGHT: Final = 46
_LEVELS: Final = {
    "correspondent": 0,
    "host": 0,
    "home-link": 0,
    "switch": 1,
    "router": 1,
    "access-router": 2,
    "mobile-node": 3,
}


def colour(bid: int) -> str:
    """Return the colour of a BID."""
    return COLOURS[(bid - 1) % len(COLOURS)]


def sparkline(values: Sequence[float], tint: str, width: int = 120, height: int = 28) -> str:
    """Return a line of values, the newest at the right; flat at the bottom when there are none."""
    top = max([*values, 1.0])
    step = width / 59
    start = width - step * max(0, len(values) - 1)
    points = [
        f"{start + step * at:.1f},{height - 2 - (height - 4) * value / top:.1f}" for at, value in enumerate(values)
    ]
    line = " ".join(points) or f"0,{height - 2} {width},{height - 2}"
    area = f"{start:.1f},{height} {line} {width},{height}" if values else ""
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<polygon points="{area}" fill="{tint}" opacity=".18"/>'
        f'<polyline points="{line}" fill="none" stroke="{tint}" stroke-width="1.6" stroke-linejoin="round"/></svg>'
    )


def network(view: TopologyView) -> str:
    """Return the network: columns by kind of node, wires between them, a coloured line for the path of each binding."""
    places = _places(view)
    if not places:
        return '<p class="quiet">The topology has no nodes.</p>'
    width = max(x for x, _ in places.values()) + _WIDTH + 20
    height = max(y for _, y in places.values()) + _HEIGHT + 20
    label = f"Network {escape(view.name)} with the paths of {len(view.paths)} bindings"
    parts = [f'<svg class="network" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">']
    for link in view.links:
        a, b = link.a.partition(":")[0], link.b.partition(":")[0]
        if a in places and b in places:
            kind = "wire" if link.up else "wire down"
            parts.append(_line(places, (a, b), f'class="{kind}"', 0))
    parts += _paths(view, places)
    parts += [_box(name, places[name], node.kind, node.state) for name, node in _by_name(view).items()]
    parts.append("</svg>")
    return "".join(parts)


def _by_name(view: TopologyView) -> dict[str, TopologyNode]:
    return {node.name: node for node in view.nodes}


def _places(view: TopologyView) -> dict[str, tuple[int, int]]:
    columns: dict[int, list[str]] = {}
    for node in view.nodes:
        columns.setdefault(_LEVELS.get(node.kind, 0), []).append(node.name)
    tallest = max(map(len, columns.values()), default=0)
    places: dict[str, tuple[int, int]] = {}
    for at, level in enumerate(sorted(columns)):
        names = columns[level]
        offset = (tallest - len(names)) * _ROW // 2
        for row, name in enumerate(names):
            places[name] = (10 + at * _COLUMN, 10 + offset + row * _ROW)
    return places


def _paths(view: TopologyView, places: Mapping[str, tuple[int, int]]) -> list[str]:
    drawn: list[str] = []
    used: dict[tuple[str, str], int] = {}
    for path in view.paths:
        for pair in zip(path.nodes, path.nodes[1:], strict=False):
            if pair[0] in places and pair[1] in places:
                lane = used[pair] = used.get(pair, -1) + 1
                shift = (lane + 1) // 2 * 5 * (1 if lane % 2 else -1)
                drawn.append(_line(places, pair, f'class="path" stroke="{colour(path.bid)}"', shift))
    return drawn


def _line(places: Mapping[str, tuple[int, int]], pair: tuple[str, str], attributes: str, shift: int) -> str:
    (ax, ay), (bx, by) = places[pair[0]], places[pair[1]]
    (ax, ay), (bx, by) = sorted([(ax, ay), (bx, by)])
    x1, x2 = ax + (_WIDTH if bx > ax else _WIDTH // 2), bx + (0 if bx > ax else _WIDTH // 2)
    y1, y2 = ay + _HEIGHT // 2 + shift, by + _HEIGHT // 2 + shift
    middle = (x1 + x2) // 2
    return f'<path d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}" {attributes}/>'


def _box(name: str, place: tuple[int, int], kind: str, state: str | None) -> str:
    x, y = place
    shown = kind.replace("-", " ") if state is None else f"{kind}: {state}"
    ready = "" if state in {None, "ready"} else " bad"
    return (
        f'<g class="box {escape(kind)}{ready}"><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="10"/>'
        f'<text x="{x + _WIDTH // 2}" y="{y + 20}" class="name">{escape(name)}</text>'
        f'<text x="{x + _WIDTH // 2}" y="{y + 36}" class="kind">{escape(shown)}</text></g>'
    )
