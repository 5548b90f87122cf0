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

from controller.dataplane import pipeline as p
from controller.dataplane.pipeline import Kind

P4INFO_FILE: Final = "home_agent.p4info.txtpb"
CONFIG_FILE: Final = "home_agent.json"
MANIFEST_FILE: Final = "manifest.json"

_MATCH_TYPES: Final = {
    Kind.EXACT: p4i.MatchField.EXACT,
    Kind.LPM: p4i.MatchField.LPM,
    Kind.TERNARY: p4i.MatchField.TERNARY,
    Kind.RANGE: p4i.MatchField.RANGE,
}


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
    text, config = _read(folder / P4INFO_FILE), _read(folder / CONFIG_FILE)
    _check_manifest(folder / MANIFEST_FILE, {P4INFO_FILE: text, CONFIG_FILE: config})
    try:
        info = text_format.Parse(text, p4i.P4Info())
    except text_format.ParseError as error:
        raise ArtefactError(f"{folder / P4INFO_FILE} is no P4Info: {error}") from error
    try:
        program = json.loads(config)
    except ValueError as error:
        raise ArtefactError(f"{folder / CONFIG_FILE} is no JSON: {error}") from error
    problems = [*_against_program(info, program), *_against_pipeline(info)]
    if problems:
        raise ArtefactError(f"the program in {folder} cannot be used: {'; '.join(problems)}")
    return Artefacts(info, config, "bmv2-json", cookie(info, config))


def cookie(info: Any, config: bytes) -> int:  # noqa: ANN401  finsy's messages have no types
    """Return the 64-bit digest by which a switch's pipeline is recognised."""
    digest = hashlib.blake2b(info.SerializeToString(deterministic=True), digest_size=8, key=b"mcoa pipeline")
    digest.update(config)
    return int.from_bytes(digest.digest()) or 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from error


def _check_manifest(path: Path, contents: Mapping[str, bytes]) -> None:
    """Compare the files with the digests written when they were compiled."""
    try:
        digests = json.loads(_read(path))["artefacts"]
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
            *_differences("packet header", _packet_headers_of_info(info), _packet_headers_of_program(program)),
        ]
    except (KeyError, TypeError, AttributeError) as error:
        return [f"the JSON is no compiled v1model program: {error!r} is missing or not what it should be"]


def _tables_of_info(info: Any) -> dict[str, object]:  # noqa: ANN401  untyped messages
    actions = {action.preamble.id: action.preamble.name for action in info.actions}
    names = {value: kind.value for kind, value in _MATCH_TYPES.items()}
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


def _against_pipeline(info: Any) -> list[str]:  # noqa: ANN401  untyped messages
    """Compare with what the controller relies on; the program may have more actions, but no more tables."""
    actions = {
        action.preamble.id: (action.preamble.alias, [(param.name, param.bitwidth) for param in action.params])
        for action in info.actions
    }
    compiled = {
        table.preamble.alias: (
            [(field.name, field.bitwidth, field.match_type) for field in table.match_fields],
            dict(actions[ref.id] for ref in table.action_refs),
        )
        for table in info.tables
    }
    problems = [f"the controller does not know table {name}" for name in compiled if name not in p.TABLES]
    for name, table in p.TABLES.items():
        if name not in compiled:
            problems.append(f"table {name} is missing")
            continue
        fields, offered = compiled[name]
        wanted = [(field.name, field.width, _MATCH_TYPES[field.kind]) for field in table.fields]
        if fields != wanted:
            problems.append(f"the key of table {name} is {fields}, the controller needs {wanted}")
        for action in table.actions:
            params = [(param.name, param.width) for param in action.params]
            if offered.get(action.name) != params:
                problems.append(
                    f"action {action.name}{params} of table {name} is {offered.get(action.name, 'missing')}"
                )
    headers = {header.preamble.alias: header for header in info.controller_packet_metadata}
    for header_name, wanted_fields in (("packet_in", p.PACKET_IN), ("packet_out", p.PACKET_OUT)):
        found = (
            [(field.name, field.bitwidth) for field in headers[header_name].metadata] if header_name in headers else []
        )
        if found != [(field.name, field.width) for field in wanted_fields]:
            problems.append(f"header {header_name} is {found}, the controller needs {wanted_fields}")
    if p.DROPS_COUNTER not in {counter.preamble.alias for counter in info.counters}:
        problems.append(f"counter {p.DROPS_COUNTER} is missing")
    return problems
