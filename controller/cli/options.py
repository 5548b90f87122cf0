"""Options and arguments that several commands have."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from controller.cli.client import Client

UrlOption = Annotated[
    str, typer.Option("--url", envvar="MCOA_URL", help="The controller's REST server.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON as the REST server gives it, not a table.")]
HomeAddress = Annotated[str, typer.Argument(help="Home address of a mobile node.", metavar="HOME_ADDRESS")]
OneHomeAddress = Annotated[str | None, typer.Argument(help="Only of this mobile node.", metavar="[HOME_ADDRESS]")]

DEFAULT_URL = "http://127.0.0.1:8181"


def connect(url: str) -> "Client":
    """Return a client of the controller at a URL."""
    from controller.cli.client import Client  # noqa: PLC0415  its HTTP library would triple the time of `mcoa --help`

    return Client(url)
