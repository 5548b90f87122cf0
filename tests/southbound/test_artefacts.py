import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.southbound.artefacts import CONFIG_FILE, MANIFEST_FILE, P4INFO_FILE, ArtefactError, load, packaged
from controller.southbound.targets import TARGETS, target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (P4INFO_FILE, CONFIG_FILE, MANIFEST_FILE):
        shutil.copy(packaged() / name, tmp_path / name)
    return tmp_path


def seal(folder: Path) -> None:
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (P4INFO_FILE, CONFIG_FILE)}
    (folder / MANIFEST_FILE).write_text(json.dumps({"artefacts": digests}))


def edit_info(folder: Path, old: str, new: str) -> None:
    path = folder / P4INFO_FILE
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    seal(folder)


def edit_program(folder: Path, change: Callable[[Any], None]) -> None:
    path = folder / CONFIG_FILE
    program = json.loads(path.read_text())
    change(program)
    path.write_text(json.dumps(program))
    seal(folder)


def table(program: Any, name: str) -> Any:
    return next(t for one in program["pipelines"] for t in one["tables"] if t["name"].endswith(f".{name}"))


def test_the_packaged_program_is_good_and_its_cookie_is_stable(folder: Path) -> None:
    program = load()
    assert 0 < program.cookie < 2**64
    assert load(folder).cookie == program.cookie
    edit_program(folder, lambda program: program.update(extra=1))
    assert load(folder).cookie != program.cookie


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('alias: "tunnels"', 'alias: "pipes"', "the controller does not know table pipes; table tunnels is missing"),
        ('steering.flow_bindings"', 'steering.flows"', "is in P4Info but not in the JSON"),
        ('name: "spi"', 'name: "index"', r"table ShellIngress.home_agent.steering.flow_bindings is .* in P4Info but"),
        (
            'name: "path_id"\n    bitwidth: 24',
            'name: "path_id"\n    bitwidth: 16',
            r"action .*terminate is .* in P4Info but",
        ),
        (
            'name: "ShellIngress.drops"',
            'name: "ShellIngress.losses"',
            "counter ShellIngress.drops is in the JSON but not in P4Info",
        ),
        ('alias: "drops"', 'alias: "losses"', "counter drops is missing"),
        ('name: "routed"', 'name: "via"', "packet header packet_out is"),
        ("size: 131072", "size: 131071", "table ShellIngress.home_agent.source_check.source_bindings is"),
        ("signalling_meter", "signal_meter", "meter .*signal_meter is in P4Info but not in the JSON"),
    ],
)
def test_a_p4info_of_another_program_is_refused(folder: Path, old: str, new: str, expected: str) -> None:
    edit_info(folder, old, new)
    with pytest.raises(ArtefactError, match=expected):
        load(folder)


def test_a_json_of_another_program_is_refused(folder: Path) -> None:
    edit_program(folder, lambda program: table(program, "tunnels").update(name="ShellIngress.pipes"))
    with pytest.raises(ArtefactError, match=r"table ShellIngress\.pipes is in the JSON but not in P4Info"):
        load(folder)


def test_a_json_that_is_no_program_is_refused(folder: Path) -> None:
    edit_program(folder, lambda program: program.pop("pipelines"))
    with pytest.raises(ArtefactError, match="no compiled v1model program: KeyError"):
        load(folder)


@pytest.mark.parametrize("name", [P4INFO_FILE, CONFIG_FILE])
def test_a_changed_file_is_noticed_by_the_manifest(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
    with pytest.raises(ArtefactError, match=f"{name}: not what was compiled"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [(P4INFO_FILE, "tables {", "is no P4Info"), (CONFIG_FILE, "{", "is no JSON")],
)
def test_a_broken_file_is_named(folder: Path, name: str, content: str, expected: str) -> None:
    (folder / name).write_text(content)
    seal(folder)
    with pytest.raises(ArtefactError, match=f"{name} {expected}"):
        load(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"artefacts": 5}'])
def test_a_broken_manifest_is_named(folder: Path, content: str) -> None:
    (folder / MANIFEST_FILE).write_text(content)
    with pytest.raises(ArtefactError, match=f"{MANIFEST_FILE} is no manifest"):
        load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / CONFIG_FILE).unlink()
    with pytest.raises(ArtefactError, match=f"{CONFIG_FILE} cannot be read"):
        load(folder)


def test_targets_are_found_by_name() -> None:
    assert target("bmv2") is TARGETS["bmv2"]
    with pytest.raises(ValueError, match="no target 'toaster': the targets are embedded, bmv2, tofino, tofino2"):
        target("toaster")
