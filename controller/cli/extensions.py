"""Commands that live outside of the controller, found by the entry point group ``mcoa.commands``.

So the controller never imports what tries it out. An extension is loaded when its command is run, or listed by ``--help``;
one that cannot be loaded says so and leaves the other commands alone. One with the name of an `OpenGroup` adds its commands to it.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Final

import typer
from typer.core import TyperCommand, TyperGroup

from controller.cli.groups import DefaultGroup
from controller.cli.output import fail

GROUP: Final = "mcoa.commands"


class ExtensibleGroup(TyperGroup):
    """A group that has the commands of the entry points after its own."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer hands in its own Context
        """Return the names of all commands."""
        own = super().list_commands(ctx)
        return [*own, *sorted(set(_extensions()) - set(own))]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup | None:  # type: ignore[override]  # as above
        """Return a command by its name, None when there is none."""
        own = super().get_command(ctx, cmd_name)
        if isinstance(own, TyperCommand | TyperGroup):
            return own
        extension = _extensions().get(cmd_name)
        return None if extension is None else _load(extension)


class OpenGroup(DefaultGroup):
    """A group that has the commands of the extension of its name after its own."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # as above
        """Return the names of all commands."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in self._more() if name not in own)]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup | None:  # type: ignore[override]  # as above
        """Return a command by its name, None when there is none."""
        own = super().get_command(ctx, cmd_name)
        if isinstance(own, TyperCommand | TyperGroup):
            return own
        return self._more().get(cmd_name)

    def _more(self) -> dict[str, TyperCommand | TyperGroup]:
        entry = _extensions().get(self.name or "")
        found = None if entry is None else _load(entry)
        if isinstance(found, TyperGroup):
            return {name: one for name, one in found.commands.items() if isinstance(one, TyperCommand | TyperGroup)}
        return {} if found is None else {found.name or "": found}  # it says why it could not be loaded


def _extensions() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(entry: EntryPoint) -> TyperCommand | TyperGroup:
    """Return the command of an entry point: a Typer application, or a function to make one of."""
    try:
        found = entry.load()
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command(entry.name)(function)
        command = typer.main.get_command(found)
    except Exception as error:  # noqa: BLE001  whatever is wrong with one extension must not cost the other commands
        return _broken(entry, error)
    command.name = entry.name
    assert isinstance(command, TyperCommand | TyperGroup)
    return command


def _broken(entry: EntryPoint, error: Exception) -> TyperCommand | TyperGroup:
    reason = f"{entry.value} cannot be loaded: {type(error).__name__}: {' '.join(str(error).split())}"
    app = typer.Typer(add_completion=False)

    @app.command(
        entry.name,
        help=f"({reason})",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def broken() -> None:
        fail(f"{entry.name}: {reason}")

    command = typer.main.get_command(app)
    assert isinstance(command, TyperCommand | TyperGroup)
    return command
