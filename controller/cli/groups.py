"""Groups of commands of which one need not be named: `mcoa nodes` is `mcoa nodes list`."""

import typer
from typer.core import TyperGroup

_HELP = frozenset({"--help"})


class DefaultGroup(TyperGroup):
    """A group that runs its first command when none of its commands is named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer hands in its own Context
        """Put the first command's name in front where no command stands."""
        if not args or (args[0] not in _HELP and self.get_command(ctx, args[0]) is None):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)
