"""What the conformance tests share: a home agent with two provisioned nodes, and a switch."""

from collections.abc import Iterator

import pytest

import rig as rigs
from conformance.harness import Bed


@pytest.fixture
def bed() -> Bed:
    return Bed()


@pytest.fixture(scope="session")
def _embedded_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rigs.Rig]:
    with rigs.running("embedded", tmp_path_factory.mktemp("rig")) as running:
        yield running


@pytest.fixture
def rig(_embedded_rig: rigs.Rig) -> rigs.Rig:
    """Return the embedded switch with our program and empty tables."""
    _embedded_rig.reset()
    return _embedded_rig
