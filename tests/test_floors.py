"""Who may import whom: the floors of docs/architecture.md, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "controller.garbage": 0,
    "controller.values": 0,
    "controller.mobility": 1,
    "controller.dataplane": 2,
    "controller.store": 2,
    "controller.northbound": 2,
    "controller.client": 2,
    "controller.southbound": 3,
    "controller.fabric": 3,
    "controller.config": 4,
    "controller.service": 5,
    "controller.cli": 6,
    "testbed": 6,
}
OUTSIDE_WORLD = {"asyncio", "fastapi", "grpc", "logging", "random", "socket", "sqlite3", "threading", "time"}
PURE = ("controller.mobility", "controller.dataplane")


def modules() -> dict[str, Path]:
    found = {}
    for package in ("controller", "testbed"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def room(module: str) -> str:
    return next((name for name in FLOORS if module == name or module.startswith(name + ".")), "")


@pytest.mark.parametrize("module", [name for name in MODULES if name != "controller"])
def test_a_module_imports_from_lower_floors_only(module: str) -> None:
    home = room(module)
    assert home, f"{module} stands in no room of docs/architecture.md"
    for target in imports(module):
        if target in MODULES and room(target) not in {home, ""}:
            assert FLOORS[room(target)] < FLOORS[home], f"{module} imports {target}"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith(PURE)])
def test_pure_layers_do_not_know_the_outside_world(module: str) -> None:
    assert not {target.partition(".")[0] for target in imports(module)} & OUTSIDE_WORLD


def test_imports_do_not_go_in_a_circle() -> None:
    graph: nx.DiGraph[str] = nx.DiGraph()
    for module in MODULES:
        graph.add_edges_from((module, target) for target in imports(module) if target in MODULES and target != module)
    # A package's __init__ gathers what its modules define: a module may not import the package that it stands in.
    assert nx.is_directed_acyclic_graph(graph), nx.find_cycle(graph)
