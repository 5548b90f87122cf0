"""The compiled P4 program: found, read, and checked against itself and against `dataplane.pipeline` before a switch sees it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from finsy.proto import p4i
from google.protobuf import text_format

from controller.southbound.requirements import KINDS, unmet
from controller.southbound.targets import BMV2

P4INFO_FILE: Final = "home_agent.p4info.txtpb"
CONFIG_FILE: Final = "home_agent.json"
MANIFEST_FILE: Final = "manifest.json"


class ArtefactError(Exception):
    """The compiled program cannot be used. The text says which file and what in it."""


@dataclass(frozen=True, slots=True)
class Artefacts:
    """A compiled P4 program, ready to be pushed."""

    info: Any
    """`p4.config.v1.P4Info`."""
    config: bytes
    """The device configuration."""
    config_format: str
    """As `targets.Target.config_format`."""
    cookie: int
    """64 bits that differ when anything of the program differs; never 0."""


def packaged() -> Path:
    """Return the folder of the compiled program that came with this package, installed or in a source tree.

    Raises:
        ArtefactError: neither place has it.
    """
    package = Path(str(files("controller")))
    places = (package / "_data" / "p4", package.parent / "p4src" / "build")
    for place in places:
        if (place / P4INFO_FILE).is_file():
            return place
    raise ArtefactError(f"{P4INFO_FILE} is in none of {', '.join(map(str, places))}: reinstall mcoa, or run 'make p4'")


def load(folder: Path | None = None) -> Artefacts:
    """Read and check the compiled program.

    Args:
        folder: where its files are; None: those that came with this package.

    Raises:
        ArtefactError: a file is missing or broken, or the files do not belong together.
    """
    folder = packaged() if folder is None else folder
    text, config = read(folder / P4INFO_FILE), read(folder / CONFIG_FILE)
    _check_manifest(folder / MANIFEST_FILE, {P4INFO_FILE: text, CONFIG_FILE: config})
    return checked(folder / P4INFO_FILE, text, folder / CONFIG_FILE, config)


def checked(info_path: Path, text: bytes, config_path: Path, config: bytes) -> Artefacts:
    """Return a program for BMv2 or the embedded switch, of a P4Info and a JSON that belong together.

    Raises:
        ArtefactError: they do not, or one of them is broken, or the controller cannot use the program.
    """
    info = parsed(info_path, text)
    try:
        program = json.loads(config)
    except ValueError as error:
        raise ArtefactError(f"{config_path} is no JSON: {error}") from error
    problems = [*_against_program(info, program), *unmet(info)]
    if problems:
        raise ArtefactError(f"the program in {info_path.parent} cannot be used: {'; '.join(problems)}")
    return Artefacts(info, config, BMV2, cookie(info, config))


def parsed(path: Path, text: bytes) -> Any:  # noqa: ANN401  finsy's messages have no types
    """Return the P4Info of a file's text.

    Raises:
        ArtefactError: it is none.
    """
    try:
        return text_format.Parse(text, p4i.P4Info())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        hint = ": compile with --p4runtime-force-std-externs" if "barefoot." in str(error) else ""
        raise ArtefactError(f"{path} is no P4Info: {error}{hint}") from error


def cookie(info: Any, config: bytes) -> int:  # noqa: ANN401  finsy's messages have no types
    """Return the 64-bit digest by which a switch's pipeline is recognised."""
    digest = hashlib.blake2b(info.SerializeToString(deterministic=True), digest_size=8, key=b"mcoa pipeline")
    digest.update(config)
    return int.from_bytes(digest.digest()) or 1


def read(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        ArtefactError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from error


def _check_manifest(path: Path, contents: Mapping[str, bytes]) -> None:
    """Compare the files with the digests written when they were compiled."""
    try:
        digests = json.loads(read(path))["artefacts"]
        wrong = [name for name, content in contents.items() if hashlib.sha256(content).hexdigest() != digests.get(name)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtefactError(f"{path} is no manifest: {error!r}") from error
    if wrong:
        raise ArtefactError(f"{', '.join(wrong)}: not what was compiled according to {path}: run 'make p4'")


def _differences(what: str, info: Mapping[str, object], program: Mapping[str, object]) -> Iterable[str]:
    """Compare two maps by name. BMv2 knows nothing of P4Info's ids: names are what ties the two files together."""
    for name in sorted(info.keys() | program.keys()):
        if name not in program:
            yield f"{what} {name} is in P4Info but not in the JSON"
        elif name not in info:
            yield f"{what} {name} is in the JSON but not in P4Info"
        elif info[name] != program[name]:
            yield f"{what} {name} is {info[name]} in P4Info but {program[name]} in the JSON"


def _against_program(info: Any, program: Any) -> list[str]:  # noqa: ANN401  parsed JSON and untyped messages
    try:
        return [
            *_differences("table", _tables_of_info(info), _tables_of_program(program)),
            *_differences("action", _actions_of_info(info), _actions_of_program(program)),
            *_differences("counter", _counters_of_info(info), _counters_of_program(program)),
            *_differences(
                "meter",
                {meter.preamble.name: "" for meter in (*info.meters, *info.direct_meters)},
                {meter["name"]: "" for meter in program["meter_arrays"]},
            ),
            *_differences("action profile", _profiles_of_info(info), _profiles_of_program(program)),
            *_differences("packet header", _packet_headers_of_info(info), _packet_headers_of_program(program)),
        ]
    except (KeyError, TypeError, AttributeError) as error:
        return [f"the JSON is no compiled v1model program: {error!r} is missing or not what it should be"]


def _tables_of_info(info: Any) -> dict[str, object]:  # noqa: ANN401  untyped messages
    actions = {action.preamble.id: action.preamble.name for action in info.actions}
    names = {value: kind.value for kind, value in KINDS.items()}
    return {
        table.preamble.name: (
            [(field.name, names.get(field.match_type, "unknown")) for field in table.match_fields],
            sorted(actions.get(ref.id, f"action {ref.id}") for ref in table.action_refs),
            table.size,
        )
        for table in info.tables
    }


def _tables_of_program(program: Any) -> dict[str, object]:  # noqa: ANN401  parsed JSON
    # Tables that p4c made of statements have no key; the control plane never sees them.
    return {
        table["name"]: (
            [(field["name"], field["match_type"]) for field in table["key"]],
            sorted(table["actions"]),
            table["max_size"],
        )
        for pipeline in program["pipelines"]
        for table in pipeline["tables"]
        if table["key"]
    }


def _actions_of_info(info: Any) -> dict[str, object]:  # noqa: ANN401  untyped messages
    return {action.preamble.name: [(param.name, param.bitwidth) for param in action.params] for action in info.actions}


def _actions_of_program(program: Any) -> dict[str, object]:  # noqa: ANN401  parsed JSON
    in_tables = {
        name
        for pipeline in program["pipelines"]
        for table in pipeline["tables"]
        if table["key"]
        for name in table["actions"]
    }
    return {
        action["name"]: [(param["name"], param["bitwidth"]) for param in action["runtime_data"]]
        for action in program["actions"]
        if action["name"] in in_tables
    }


def _counters_of_info(info: Any) -> dict[str, object]:  # noqa: ANN401  untyped messages
    tables = {table.preamble.id: table.preamble.name for table in info.tables}
    direct = {counter.preamble.name: f"of {tables.get(counter.direct_table_id)}" for counter in info.direct_counters}
    return direct | {counter.preamble.name: f"of {counter.size} cells" for counter in info.counters}


def _counters_of_program(program: Any) -> dict[str, object]:  # noqa: ANN401  parsed JSON
    return {
        counter["name"]: f"of {counter['binding']}" if counter["is_direct"] else f"of {counter['size']} cells"
        for counter in program["counter_arrays"]
    }


def _profiles_of_info(info: Any) -> dict[str, object]:  # noqa: ANN401  untyped messages
    return {one.preamble.name: (one.size, one.with_selector) for one in info.action_profiles}


def _profiles_of_program(program: Any) -> dict[str, object]:  # noqa: ANN401  parsed JSON
    return {
        one["name"]: (one["max_size"], "selector" in one)
        for pipeline in program["pipelines"]
        for one in pipeline.get("action_profiles", ())
    }


def _packet_headers_of_info(info: Any) -> dict[str, object]:  # noqa: ANN401  untyped messages
    return {
        header.preamble.name: [(field.name, field.bitwidth) for field in header.metadata]
        for header in info.controller_packet_metadata
    }


def _packet_headers_of_program(program: Any) -> dict[str, object]:  # noqa: ANN401  parsed JSON
    types = {kind["name"]: [(field[0], field[1]) for field in kind["fields"]] for kind in program["header_types"]}
    return {
        header["name"]: types[header["header_type"]]
        for header in program["headers"]
        if header["name"] in {"packet_in", "packet_out"}
    }
