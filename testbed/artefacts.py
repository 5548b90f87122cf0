"""Where the compiled P4 program is: beside the installed package, or in the source tree."""

from importlib.resources import files
from pathlib import Path

_P4INFO = "home_agent.p4info.txtpb"
_PROGRAM = "home_agent.json"


def artefacts() -> tuple[Path, Path]:
    """Return the paths of P4Info and of the compiled program.

    Raises:
        FileNotFoundError: neither place has them.
    """
    package = Path(str(files("controller")))
    places = (package / "_data" / "p4", package.parent / "p4src" / "build")
    for place in places:
        if (place / _P4INFO).is_file() and (place / _PROGRAM).is_file():
            return place / _P4INFO, place / _PROGRAM
    raise FileNotFoundError(f"the compiled P4 program is in none of {', '.join(map(str, places))}: reinstall mcoa")
