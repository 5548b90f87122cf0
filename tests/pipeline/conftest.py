"""The packet tests run on every target that there is."""

import shutil
from collections.abc import Iterator

import pytest

import rig as rigs


@pytest.fixture(
    scope="session",
    params=[
        "embedded",
        pytest.param("bmv2", marks=[pytest.mark.bmv2, pytest.mark.root]),
        pytest.param("chip", marks=pytest.mark.p4c),
    ],
)
def target_rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[rigs.Rig]:
    if request.param == "bmv2" and (missing := rigs.bmv2_missing()) is not None:
        pytest.skip(missing)
    if request.param == "chip" and shutil.which("p4c-bm2-ss") is None:
        pytest.skip("p4c-bm2-ss is not on PATH")
    with rigs.running(request.param, tmp_path_factory.mktemp("rig")) as running:
        yield running


@pytest.fixture
def rig(target_rig: rigs.Rig) -> rigs.Rig:
    target_rig.reset()
    return target_rig
