"""Where the compiled P4 program is."""

from pathlib import Path

from controller.southbound.artefacts import CONFIG_FILE, P4INFO_FILE, packaged


def artefacts() -> tuple[Path, Path]:
    """Return the paths of P4Info and of the compiled program that came with this package.

    Raises:
        ArtefactError: they are not there.
    """
    folder = packaged()
    return folder / P4INFO_FILE, folder / CONFIG_FILE
