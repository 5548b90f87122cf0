"""Options and arguments that several commands have."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from controller.cli.output import FAILED, FORBIDDEN, NOT_FOUND, UNREACHABLE, WRONG_INPUT, fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.client import Client

_EXIT: Final = {
    400: WRONG_INPUT,
    413: WRONG_INPUT,
    422: WRONG_INPUT,
    401: FORBIDDEN,
    403: FORBIDDEN,
    404: NOT_FOUND,
}
"""Exit status by the status of an answer."""

UrlOption = Annotated[
    str, typer.Option("--url", envvar="MCOA_URL", help="The controller's REST server.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON as the REST server gives it, not a table.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Look again every second, until Ctrl-C.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Change nothing; show what would be written to the tables.")]
HomeAddress = Annotated[str, typer.Argument(help="Home address of a mobile node.", metavar="HOME_ADDRESS")]
OneHomeAddress = Annotated[str | None, typer.Argument(help="Only of this mobile node.", metavar="[HOME_ADDRESS]")]

DEFAULT_URL = "http://127.0.0.1:8181"


@contextmanager
def connect(url: str) -> "Iterator[Client]":
    """Give a client of the controller at a URL to a block; what goes wrong ends the command with one line."""
    # Its HTTP library would triple the time of `mcoa --help`.
    from controller.client import Client, ClientError, Connection, InvalidUrlError, RefusedError  # noqa: PLC0415

    try:
        with Client(Connection.from_environment(url)) as client:
            yield client
    except InvalidUrlError as error:
        fail(str(error), WRONG_INPUT)
    except RefusedError as error:
        fail(f"the controller refused: {error}", _EXIT.get(error.status, FAILED))
    except ClientError as error:
        fail(str(error), UNREACHABLE)
