"""The committed P4 artefacts are those of the committed sources."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from finsy.proto import p4i
from google.protobuf import text_format

from controller.southbound.programs import ProgramFiles, load_program
from controller.southbound.requirements import unmet
from controller.southbound.targets import TARGETS

P4SRC = Path(__file__).parent.parent / "p4src"


@pytest.fixture(scope="module")
def compiler() -> ModuleType:
    spec = importlib.util.spec_from_file_location("p4src_compile", P4SRC / "compile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_p4info(path: Path) -> p4i.P4Info:
    return text_format.Parse(path.read_text(), p4i.P4Info())


def test_manifest_names_the_sources_as_they_are(compiler: ModuleType) -> None:
    manifest = json.loads((P4SRC / "build" / "manifest.json").read_text())
    assert manifest["sources"] == compiler.source_digests(), "P4 sources changed: run `make p4` and commit p4src/build"
    assert manifest["artefacts"] == compiler.artefact_digests(), "p4src/build was changed by hand: run `make p4`"


@pytest.mark.p4c
@pytest.mark.skipif(shutil.which("p4c-bm2-ss") is None, reason="p4c-bm2-ss is not on PATH")
def test_compiling_again_gives_the_same(compiler: ModuleType, tmp_path: Path) -> None:
    compiler.compile_into(tmp_path)
    committed = P4SRC / "build"
    assert json.loads((tmp_path / compiler.JSON_NAME).read_text()) == json.loads(
        (committed / compiler.JSON_NAME).read_text()
    )
    assert read_p4info(tmp_path / compiler.P4INFO_NAME) == read_p4info(committed / compiler.P4INFO_NAME)


CHIPS = ("tofino", "tofino2")


@pytest.mark.parametrize("chip", CHIPS)
def test_the_program_for_a_chip_has_what_the_controller_needs(chip: str) -> None:
    assert list(unmet(read_p4info(P4SRC / "build" / chip / "home_agent.p4info.txtpb"))) == []


def test_the_chips_differ_in_sizes_alone() -> None:
    infos = [read_p4info(P4SRC / "build" / chip / "home_agent.p4info.txtpb") for chip in CHIPS]
    for info in infos:
        info.pkg_info.arch = ""
        for table in info.tables:
            table.size = 0
    assert infos[0] == infos[1]


@pytest.mark.p4c
@pytest.mark.skipif(shutil.which("p4c-barefoot") is None, reason="p4c-barefoot, p4c's Tofino back end, is not on PATH")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("chip", CHIPS)
def test_the_program_fits_into_the_chip(compiler: ModuleType, tmp_path: Path, chip: str) -> None:
    compiler.compile_chip_into(tmp_path, chip)
    committed = P4SRC / "build" / chip / "home_agent.p4info.txtpb"
    assert read_p4info(tmp_path / compiler.P4INFO_NAME) == read_p4info(committed)
    load_program(ProgramFiles(folder=tmp_path), TARGETS[chip].config_format)


def test_every_table_and_action_has_an_id_of_its_own_choice() -> None:
    p4info = read_p4info(P4SRC / "build" / "home_agent.p4info.txtpb")
    # Ids that p4c makes up are hashes: they would change with a name, and the API with them.
    assert all(table.preamble.id & 0xFFFF00 == 0 for table in p4info.tables)
    assert all(action.preamble.id & 0xFFFF00 == 0 for action in p4info.actions if action.preamble.alias != "NoAction")
