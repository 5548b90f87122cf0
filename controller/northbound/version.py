"""The version of this distribution."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def mcoa_version() -> str:
    """Return the installed version, or "source" when the package runs from a source tree without being installed."""
    try:
        return version("mcoa")
    except PackageNotFoundError:
        return "source"
