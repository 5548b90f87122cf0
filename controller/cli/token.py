"""``mcoa token``: make, list and revoke the bearer tokens of a controller. Works on its token file, so it needs none itself."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import RenderableType

from controller.cli.control import load_or_fail
from controller.cli.options import JsonOption, WatchOption
from controller.cli.output import fail, make_table, present, show_json

if TYPE_CHECKING:
    from controller.northbound.tokens import TokenFile

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the tokens that the REST interface asks for.")

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="MCOA_CONFIG", help="The controller's configuration file.", metavar="FILE"),
]
TokenName = Annotated[str, typer.Argument(help="Whose it is; it stands in the audit log.", metavar="NAME")]

_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


@app.command("create")
def create_token(
    name: TokenName,
    config: ConfigOption,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "viewer",
    expires: Annotated[str | None, typer.Option(help="After 30m, 12h, 90d; left out: never.")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it, once. Give it to programs as MCOA_TOKEN, or in a file of your own."""
    from controller.northbound.tokens import Role, TokenError  # noqa: PLC0415  brings FastAPI with it

    if not _NAME.fullmatch(name):
        fail(f"{name!r} is no name: letters, digits, dot, dash, underscore, @; at most 63", 2)
    if role not in list(Role):
        fail(f"{role!r} is no role: viewer, operator or admin", 2)
    lifetime = None if expires is None else _seconds(expires)
    try:
        secret = _file(config).create(name, Role(role), lifetime)
    except TokenError as error:
        fail(str(error))
    if as_json:
        show_json({"name": name, "role": role, "token": secret})
        return
    typer.echo(secret)


@app.command("list")
def list_tokens(config: ConfigOption, *, as_json: JsonOption = False, watch: WatchOption = False) -> None:
    """Show whose tokens there are, not the tokens."""
    from controller.northbound.tokens import TokenError  # noqa: PLC0415  as above

    file = _file(config)

    def ask() -> dict[str, Any]:
        items = [
            {"name": one.name, "role": one.role, "created": _when(one.created), "expires": _when(one.expires)}
            for one in file.all()
        ]
        return {"items": items, "total": len(items)}

    try:
        present(ask, _table, as_json=as_json, watch=watch)
    except TokenError as error:
        fail(str(error))


def _table(found: dict[str, Any]) -> RenderableType:
    rows = [(one["name"], one["role"], one["created"], one["expires"] or "never") for one in found["items"]]
    return make_table(("name", "role", "created", "expires"), rows, "no tokens")


@app.command("revoke")
def revoke_token(name: TokenName, config: ConfigOption, *, as_json: JsonOption = False) -> None:
    """Make a token good for nothing; a running controller knows within a second, and writes it to the audit log."""
    from controller.northbound.tokens import TokenError  # noqa: PLC0415  as above

    try:
        _file(config).revoke(name)
    except TokenError as error:
        fail(str(error))
    if as_json:
        show_json({"name": name, "revoked": True})
        return
    typer.echo(f"{name}: revoked")


def _file(config: Path) -> "TokenFile":
    """Return the token file that a configuration names."""
    from controller.northbound.tokens import TokenFile  # noqa: PLC0415  as above

    return TokenFile(load_or_fail(config).tokens)


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _UNITS or int(number) == 0:
        fail(f"{text!r} is no time: write 30m, 12h or 90d", 2)
    return float(int(number) * _UNITS[unit])


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
