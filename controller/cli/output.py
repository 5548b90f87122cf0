"""What commands print: tables for people, JSON for programs, one line for what went wrong."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

FAILED: Final = 1
WRONG_INPUT: Final = 2
UNREACHABLE: Final = 3
FORBIDDEN: Final = 4
NOT_FOUND: Final = 5

_PIPE_WIDTH: Final = 200
"""Columns when the output is no terminal: wide enough that no address is broken."""


_PERIOD: Final = 1.0
"""Seconds between two looks."""


def fail(message: str, code: int = 1) -> NoReturn:
    """Print why the command failed, to standard error, and end it.

    Args:
        message: one line.
        code: exit status, one of those above.
    """
    typer.echo(f"mcoa: {message}", err=True)
    raise typer.Exit(code)


def show_json(value: Any) -> None:  # noqa: ANN401  any JSON value
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> Table | Text:
    """Return a table, or `empty` when it has no rows. Cells are shown as they are, without markup; None is a dash."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    return table if table.rows else Text(empty)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or `empty` when it has no rows; see `make_table`."""
    show(make_table(columns, rows, empty))


def show(shown: RenderableType) -> None:
    """Print something that `rich` can print."""
    _console().print(shown)


def _console() -> Console:
    console = Console(file=sys.stdout)
    return console if console.is_terminal else Console(file=sys.stdout, width=_PIPE_WIDTH)


def present(
    ask: Callable[[], Any], render: Callable[[Any], RenderableType], *, as_json: bool, watch: bool = False
) -> None:
    """Ask the controller and print the answer: once, or again and again until the user has seen enough.

    Args:
        ask: gets the answer.
        render: makes of it what people read.
        as_json: print it as it is; with `watch` one line for each answer.
        watch: look again every second until Ctrl-C.
    """
    if not watch:
        found = ask()
        if as_json:
            show_json(found)
        else:
            show(render(found))
        return
    try:
        if as_json:
            while True:
                typer.echo(json.dumps(ask(), ensure_ascii=False))
                time.sleep(_PERIOD)
        with Live(console=_console(), auto_refresh=False, screen=sys.stdout.isatty()) as live:
            while True:
                live.update(render(ask()), refresh=True)
                time.sleep(_PERIOD)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
