"""What holds for all tests."""

import os
import signal

import pytest
from hypothesis import settings

from rig import bmv2_missing

# How long an example takes says more about the machine than about the code. In CI the examples are the same at every run: what a
# random one finds is found, and mended, at a developer's desk.
settings.register_profile("mcoa", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("mcoa")


# A suite that a shell starts in the background ignores Ctrl-C, and so would the programs that it starts and stops that way.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--target",
        choices=("embedded", "bmv2", "all"),
        help="run only the tests of one target, or demand both; without it: the embedded switch, and BMv2 where it is",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("target") in {"bmv2", "all"} and (missing := bmv2_missing()) is not None:
        raise pytest.UsageError(
            f"--target {config.getoption('target')}: {missing}; without the option runs what can run here"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    target = config.getoption("target")
    if target in {"embedded", "bmv2"}:
        chosen: list[pytest.Item] = []
        others: list[pytest.Item] = []
        for item in items:
            fits = (item.get_closest_marker("bmv2") is not None) == (target == "bmv2")
            (chosen if fits else others).append(item)
        items[:] = chosen
        config.hook.pytest_deselected(items=others)
