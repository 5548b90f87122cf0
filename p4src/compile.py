"""Compile the P4 program and record which sources the committed artefacts were made from.

`make p4` runs this. It needs p4c on PATH (p4lang's packages or container images); everything else of the project works from
the committed artefacts in `build/`.

With a folder as argument it compiles for Tofino 2 instead, into that folder, with p4c's Tofino back end; with `--chip tofino` for
Tofino.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent
BUILD = ROOT / "build"
PROGRAM = Path("v1model/home_agent.p4")
JSON_NAME = "home_agent.json"
P4INFO_NAME = "home_agent.p4info.txtpb"
MANIFEST_NAME = "manifest.json"
COMPILER = "p4c-bm2-ss"
TOFINO_PROGRAM = Path("tna/home_agent.p4")
TOFINO_COMPILER = "p4c"
TOFINO_BACK_END = "p4c-barefoot"
ARCHITECTURES = {"tofino": "tna", "tofino2": "t2na"}


class CompileError(Exception):
    """The compiler is missing or refused the program; the text says what to do."""


def source_digests() -> dict[str, str]:
    """Return the SHA-256 of every P4 source by its path below p4src."""
    return {
        source.relative_to(ROOT).as_posix(): hashlib.sha256(source.read_bytes()).hexdigest()
        for source in sorted(ROOT.rglob("*.p4"))
    }


def artefact_digests() -> dict[str, str]:
    """Return the SHA-256 of every compiled artefact by its name in build/."""
    return {name: hashlib.sha256((BUILD / name).read_bytes()).hexdigest() for name in (JSON_NAME, P4INFO_NAME)}


def compile_into(folder: Path) -> None:
    """Compile the v1model program; write its JSON and P4Info into `folder`.

    Raises:
        CompileError: no compiler on PATH, or it refused the program.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise CompileError(
            f"{COMPILER} is not on PATH: install p4c from p4lang's packages or run inside its container image. "
            "The committed artefacts in p4src/build work without it."
        )
    command = [compiler, "--p4v", "16", "--Werror", "--p4runtime-files", str(folder / P4INFO_NAME)]
    command += ["-o", str(folder / JSON_NAME), PROGRAM.as_posix()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    if done.returncode != 0:
        raise CompileError(f"{COMPILER} refused {PROGRAM}:\n{done.stderr}")
    tidy(folder / JSON_NAME)


def compile_chip_into(folder: Path, chip: str) -> None:
    """Compile the program for a switch chip; `folder` gets what `mcoa p4 pack` and `[[switch]] program` take. Minutes.

    Args:
        folder: where to write, made if it is not there.
        chip: `tofino` or `tofino2`.

    Raises:
        CompileError: no such compiler on PATH, or it refused the program.
    """
    missing = [name for name in (TOFINO_COMPILER, TOFINO_BACK_END) if shutil.which(name) is None]
    if missing:
        raise CompileError(f"{', '.join(missing)} is not on PATH: build p4c with its Tofino back end (ENABLE_TOFINO)")
    command = [TOFINO_COMPILER, "--target", chip, "--arch", ARCHITECTURES[chip]]
    # The assembler refuses what the compiler puts into containers for payload ("clots"); they are not needed.
    command += ["-Xp4c=--no-clot", "--p4runtime-force-std-externs", "--p4runtime-files", str(folder / P4INFO_NAME)]
    command += ["--verbose", "2", "-o", str(folder), TOFINO_PROGRAM.as_posix()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    if done.returncode != 0 or not (folder / "pipe" / f"{chip}.bin").is_file():
        raise CompileError(f"{TOFINO_BACK_END} refused {TOFINO_PROGRAM}:\n{done.stdout}\n{done.stderr}")


def tidy(path: Path) -> None:
    """Rewrite the compiler's JSON without what only says where and with which compiler it was made."""
    data = json.loads(path.read_text())
    data.pop("program", None)
    data["__meta__"] = {"version": data["__meta__"]["version"]}  # of the format: BMv2 checks it
    path.write_text(json.dumps(without_source_info(data), indent=1) + "\n")


def without_source_info(value: object) -> object:
    """Return a JSON value without its source positions."""
    if isinstance(value, dict):
        return {name: without_source_info(item) for name, item in value.items() if name != "source_info"}
    if isinstance(value, list):
        return [without_source_info(item) for item in value]
    return value


def main() -> int:
    """Compile into build/ and write the manifest, or for a chip into a folder; return the exit status."""
    options = argparse.ArgumentParser(description="Compile the P4 program.")
    options.add_argument("folder", nargs="?", type=Path, help="compile for a switch chip, into this folder")
    options.add_argument("--chip", choices=ARCHITECTURES, default="tofino2", help="which one (default: %(default)s)")
    given = options.parse_args()
    if given.folder is not None:
        try:
            compile_chip_into(given.folder.resolve(), given.chip)
        except CompileError as error:
            print(f"p4src/compile.py: {error}", file=sys.stderr)  # noqa: T201 - a script's only way to say it
            return 2
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        try:
            compile_into(Path(scratch))
        except CompileError as error:
            print(f"make p4: {error}", file=sys.stderr)  # noqa: T201 - a script's only way to say it
            return 2
        BUILD.mkdir(exist_ok=True)
        for name in (JSON_NAME, P4INFO_NAME):
            shutil.copyfile(Path(scratch) / name, BUILD / name)
    manifest = {"program": PROGRAM.as_posix(), "sources": source_digests(), "artefacts": artefact_digests()}
    (BUILD / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
