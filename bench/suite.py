"""The benches there are: importing a module registers its own."""

from importlib import import_module

MODULES = (
    "bench.codec",
    "bench.registration",
    "bench.switch",
    "bench.engine",
    "bench.southbound",
    "bench.memory",
    "bench.northbound",
    "bench.handover",
)


def load() -> None:
    """Import every module of benches."""
    for module in MODULES:
        import_module(module)
