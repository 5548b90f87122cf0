"""A compiled program by the paths that a configuration names: what a target takes, checked before a switch sees it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controller.southbound.artefacts import ArtefactError, Artefacts, checked, cookie, load, parsed, read
from controller.southbound.compiled import pack_folder, unpack
from controller.southbound.requirements import unmet
from controller.southbound.targets import BMV2

_P4INFO: Final = "*.p4info.txtpb"


@dataclass(frozen=True, slots=True)
class ProgramFiles:
    """Where the program of a switch is: a compiler's output folder, or its two files."""

    folder: Path | None = None
    p4info: Path | None = None
    """P4Info, as text."""
    pipeline: Path | None = None
    """The device configuration: what `mcoa p4 pack` writes for Stratum, p4c's JSON for BMv2 and the embedded switch."""

    @property
    def sensible(self) -> bool:
        """Whether there is a folder, or both files."""
        pair = self.p4info is not None and self.pipeline is not None
        return pair if self.folder is None else self.p4info is self.pipeline is None


def load_program(files: ProgramFiles, config_format: str) -> Artefacts:
    """Read and check a program.

    Args:
        files: where it is.
        config_format: as `targets.Target.config_format`.

    Raises:
        ArtefactError: a file is missing or broken, the files do not belong together, or the controller cannot use the program.
    """
    if config_format == BMV2:
        if files.folder is not None:
            return load(files.folder)
        p4info, pipeline = _both(files)
        return checked(p4info, read(p4info), pipeline, read(pipeline))
    if files.folder is not None:
        p4info, pipeline = _only(files.folder), files.folder
        config = pack_folder(files.folder)
    else:
        p4info, pipeline = _both(files)
        config = read(pipeline)
    info = parsed(p4info, read(p4info))
    problems = [*_strangers(info, pipeline, config, config_format), *unmet(info)]
    if problems:
        raise ArtefactError(f"the program of {p4info} cannot be used: {'; '.join(problems)}")
    return Artefacts(info, config, config_format, cookie(info, config))


def _both(files: ProgramFiles) -> tuple[Path, Path]:
    if files.p4info is None or files.pipeline is None:
        raise ArtefactError("a program is a folder, or a P4Info and a pipeline file")
    return files.p4info, files.pipeline


def _only(folder: Path) -> Path:
    found = sorted(folder.glob(_P4INFO))
    if len(found) != 1:
        names = ", ".join(one.name for one in found) or "none"
        hint = "compile with --p4runtime-force-std-externs --p4runtime-files FOLDER/NAME.p4info.txtpb"
        raise ArtefactError(f"{folder} has to have one {_P4INFO}, and has {names}: {hint}")
    return found[0]


def _strangers(info: Any, pipeline: Path, config: bytes, chip: str) -> Iterator[str]:  # noqa: ANN401  finsy's messages have no types
    """Yield why a packed program is not the one of a P4Info: it is of another compilation, or of one for another chip."""
    try:
        packed = unpack(config)
    except ValueError as error:
        raise ArtefactError(f"{pipeline} is not what 'mcoa p4 pack' writes: {error}") from error
    if packed.chip != chip:
        yield f"{pipeline} is for {packed.chip}, the switch is a {chip}"
    for table in info.tables:
        name, size = table.preamble.alias, packed.sizes.get(table.preamble.id)
        if size is None:
            yield f"table {name} of P4Info is not in {pipeline}"
        elif size < table.size:
            yield f"table {name} has {table.size} entries in P4Info, and {size} in {pipeline}"
