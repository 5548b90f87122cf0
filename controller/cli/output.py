"""What commands print: tables for people, JSON for programs, one line for what went wrong."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

FAILED: Final = 1
WRONG_INPUT: Final = 2
UNREACHABLE: Final = 3
FORBIDDEN: Final = 4
NOT_FOUND: Final = 5

_PIPE_WIDTH: Final = 200
"""Columns when the output is no terminal: wide enough that no address is broken."""


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


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or `empty` when it has no rows. Cells are shown as they are, without markup; None is a dash."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    if not table.rows:
        typer.echo(empty)
        return
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=_PIPE_WIDTH)
    console.print(table)
