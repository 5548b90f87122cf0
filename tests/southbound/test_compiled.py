"""What the Tofino compiler wrote, packed for Stratum."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli.app import app
from controller.southbound.artefacts import ArtefactError
from controller.southbound.compiled import pack_folder
from controller.southbound.targets import BF_RUNTIME, BINARY, CONTEXT, pack

CONTENTS = {"bfrt.json": {"tables": []}, "context": {"target": "tofino", "program_name": "home_agent"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder as the compiler leaves it, its files small."""
    manifest = {
        "target": "tofino",
        "compilation_succeeded": True,
        "programs": [{"program_name": "home_agent.p4", "pipes": [{"pipe_id": 0, "pipe_name": "pipe"}]}],
    }
    (tmp_path / "pipe").mkdir()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "bfrt.json").write_text(json.dumps(CONTENTS["bfrt.json"]))
    (tmp_path / "pipe" / "context.json").write_text(json.dumps(CONTENTS["context"]))
    (tmp_path / "pipe" / "tofino.bin").write_bytes(b"\x00binary")
    return tmp_path


def expected(folder: Path) -> bytes:
    files = {
        BF_RUNTIME: (folder / "bfrt.json").read_bytes(),
        CONTEXT: (folder / "pipe" / "context.json").read_bytes(),
        BINARY: (folder / "pipe" / "tofino.bin").read_bytes(),
    }
    return pack("tofino", "home_agent", files)


def test_the_folder_becomes_one_file(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "packed"
    done = CliRunner().invoke(app, ["p4", "pack", str(folder), "--output", str(output)])
    assert done.exit_code == 0, done.output
    assert output.read_bytes() == expected(folder)


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        path.write_text(change(path.read_text()))

    return apply


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json cannot be read: No such file"),
        (lambda folder: (folder / "bfrt.json").unlink(), "has no bfrt.json or bf-rt.json"),
        (lambda folder: (folder / "pipe" / "tofino.bin").unlink(), "tofino.bin cannot be read"),
        (lambda folder: (folder / "pipe" / "tofino.bin").write_bytes(b""), "tofino.bin is empty: the assembler failed"),
        (edit("manifest.json", lambda text: text.replace('"tofino"', '"bmv2"')), "is of a program for bmv2"),
        (edit("manifest.json", lambda text: text.replace("true", "false")), "says that the program did not compile"),
        (edit("manifest.json", lambda text: text.replace('"pipe"', '"../x"')), "no name of a folder"),
        (edit("manifest.json", lambda text: text.replace('"pipes"', '"pies"')), "no manifest of p4c's"),
        (edit("manifest.json", lambda _: "{"), "manifest.json is no JSON"),
        (edit("manifest.json", lambda _: "[]"), "is not what p4c writes"),
        (edit("bfrt.json", lambda _: "{}"), "does not describe tables"),
        (
            edit("pipe/context.json", lambda text: text.replace("tofino", "tofino2")),
            "no context of a program for tofino",
        ),
    ],
)
def test_what_is_missing_or_foreign_is_named(folder: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(folder)
    with pytest.raises(ArtefactError, match=message):
        pack_folder(folder)
    done = CliRunner().invoke(app, ["p4", "pack", str(folder), "--output", str(folder / "packed")])
    assert done.exit_code != 0
    assert "mcoa: " in done.output
    assert not (folder / "packed").exists()
