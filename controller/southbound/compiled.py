"""What the Tofino back end of p4c wrote: found by its manifest, checked, and packed as Stratum takes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controller.southbound.artefacts import ArtefactError
from controller.southbound.targets import BF_RUNTIME, BINARY, CONTEXT, pack
from controller.southbound.wire import LENGTH_DELIMITED, varint_at

MANIFEST: Final = "manifest.json"
_BF_RUNTIME_NAMES: Final = ("bfrt.json", "bf-rt.json")
"""Of the open compiler, and of the vendor's."""
_DESCRIPTION, _PROFILE, _CONTEXT = 2, 3, 2
"""Field numbers of BF Runtime description and profile in a BfPipelineConfig, and of the context in a profile."""
_CHIPS: Final = ("tofino", "tofino2")


def pack_folder(folder: Path) -> bytes:
    """Return the device configuration for Stratum from a compiler's output folder.

    Args:
        folder: what `p4c --target tofino` (or tofino2) was given with `-o`.

    Raises:
        ArtefactError: a file is missing, broken or of another compiler or target; the text says which and what to do.
    """
    manifest = _json(folder / MANIFEST)
    chip, pipe = _described(folder / MANIFEST, manifest)
    context_path = folder / pipe / "context.json"
    context = _json(context_path)
    if context.get("target") != chip or not isinstance(context.get("program_name"), str):
        raise ArtefactError(f"{context_path} is no context of a program for {chip}: compile again")
    runtime = next((folder / name for name in _BF_RUNTIME_NAMES if (folder / name).is_file()), None)
    if runtime is None:
        raise ArtefactError(f"{folder} has no {' or '.join(_BF_RUNTIME_NAMES)}: compile again")
    if not isinstance(_json(runtime).get("tables"), list):
        raise ArtefactError(f"{runtime} does not describe tables: compile again")
    binary_path = folder / pipe / f"{chip}.bin"
    binary = _read(binary_path)
    if not binary:
        raise ArtefactError(f"{binary_path} is empty: the assembler failed, compile again and read what it says")
    files = {BF_RUNTIME: _read(runtime), CONTEXT: _read(context_path), BINARY: binary}
    return pack(chip, context["program_name"], files)


@dataclass(frozen=True, slots=True)
class Packed:
    """What a device configuration for Stratum says of the program in it."""

    chip: str
    sizes: Mapping[int, int]
    """How many entries its tables take, by their P4Runtime id."""


def unpack(config: bytes) -> Packed:
    """Look into a device configuration for Stratum.

    Raises:
        ValueError: it is none.
    """
    try:
        whole = _fields(config)
        tables = json.loads(whole[_DESCRIPTION])["tables"]
        context = json.loads(_fields(whole[_PROFILE])[_CONTEXT])
        return Packed(context["target"], {table["id"]: table.get("size", 0) for table in tables})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no device configuration for Stratum: {error!r}") from error


def _fields(message: bytes) -> dict[int, bytes]:
    """Return the fields of a message that has strings, bytes and messages only, the last of each number."""
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(message):
        tag, position = varint_at(message, position)
        size, position = varint_at(message, position)
        if tag & 7 != LENGTH_DELIMITED or position + size > len(message):
            raise ValueError(f"there is no string at octet {position}")
        fields[tag >> 3] = message[position : position + size]
        position += size
    return fields


def _described(path: Path, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Return chip and name of the pipe."""
    try:
        chip, succeeded = manifest["target"], manifest["compilation_succeeded"]
        (program,) = manifest["programs"]
        (pipe,) = (one["pipe_name"] for one in program["pipes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{path} is no manifest of p4c's for one program with one pipe: {error!r}") from error
    if chip not in _CHIPS:
        raise ArtefactError(f"{path} is of a program for {chip}, not for {' or '.join(_CHIPS)}")
    if not succeeded:
        raise ArtefactError(f"{path} says that the program did not compile")
    if not isinstance(pipe, str) or Path(pipe).name != pipe:
        raise ArtefactError(f"{path} has no name of a folder as pipe: {pipe!r}")
    return chip, pipe


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read(path))
    except ValueError as error:
        raise ArtefactError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ArtefactError(f"{path} is not what p4c writes")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ArtefactError(
            f"{path} cannot be read: {reason}; it is written by p4c with target tofino or tofino2"
        ) from error
