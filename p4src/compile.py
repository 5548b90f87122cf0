"""Compile the P4 program and record which sources the committed artefacts were made from.

`make p4` runs this. It needs p4c on PATH (p4lang's packages or container images); everything else of the project works from
the committed artefacts in `build/`.
"""

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
    """Compile into build/ and write the manifest; return the exit status."""
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
