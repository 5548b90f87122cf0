"""Commands that need no running controller: start one, check its configuration."""

import asyncio
import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from controller.cli.output import fail, show_json

if TYPE_CHECKING:
    from controller.config import ConfigError, Settings

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class LogLevel(StrEnum):
    """How much the controller tells of its work."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration file.", metavar="FILE")],
    log_level: Annotated[LogLevel, typer.Option(envvar="MCOA_LOG_LEVEL", help="To standard error.")] = LogLevel.INFO,
) -> None:
    """Run the controller until it gets SIGINT or SIGTERM."""
    settings = load_or_fail(config)
    # It brings gRPC and FastAPI with it: half a second that the other commands need not wait.
    from controller.service import ServiceError  # noqa: PLC0415
    from controller.service import run as run_service  # noqa: PLC0415

    logging.basicConfig(level=log_level.upper(), format=_FORMAT)
    try:
        asyncio.run(run_service(settings))
    except ServiceError as error:
        fail(" ".join(str(error).split()))


def check_config(
    file: Annotated[Path, typer.Argument(help="Configuration file.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check a configuration file and the topology that it names. Exit status 2: it is wrong."""
    from controller.config import ConfigError, load_settings  # noqa: PLC0415  its models take a while to build

    try:
        settings = load_settings(file)
    except ConfigError as error:
        if not as_json:
            _complain(error)
        show_json({"file": str(file), "valid": False, "problems": _problems(error)})
        raise typer.Exit(2) from None
    summary = _summary(settings)
    if as_json:
        show_json({"file": str(file), "valid": True, "problems": [], **summary})
        return
    typer.echo(f"{file}: good")
    for key, value in summary.items():
        typer.echo(f"  {key.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")


def load_or_fail(file: Path) -> "Settings":
    """Return the settings of a configuration file; when it is wrong, say why and end with status 2."""
    from controller.config import ConfigError, load_settings  # noqa: PLC0415  its models take a while to build

    try:
        return load_settings(file)
    except ConfigError as error:
        _complain(error)


def _complain(error: "ConfigError") -> NoReturn:
    for problem in error.problems:
        typer.echo(f"mcoa: {problem}", err=True)
    raise typer.Exit(2)


def _problems(error: "ConfigError") -> list[dict[str, str]]:
    return [{"file": found.file, "field": found.field, "reason": found.reason} for found in error.problems]


def _summary(settings: "Settings") -> dict[str, Any]:
    """Return what a configuration amounts to."""
    return {
        "state": str(settings.state),
        "topology": str(settings.topology_file),
        "home_networks": [str(network.prefix) for network in settings.home_agent.networks],
        "nodes": len(settings.nodes),
        "switches": [f"{switch.name} ({switch.target} at {switch.address})" for switch in settings.switches],
        "northbound": str(settings.northbound.listen),
    }
