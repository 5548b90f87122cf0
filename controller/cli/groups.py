"""Groups of commands of which one need not be named: `mcoa nodes` is `mcoa nodes list`."""

from typing import Any

import typer
from typer.core import TyperGroup

_HELP = frozenset({"--help"})


class DefaultGroup(TyperGroup):
    """A group that runs its first command when none of its commands is named."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer hands in its own Context
        """Put the first command's name in front where no command stands."""
        completing = ctx.resilient_parsing and not args
        if not completing and (not args or (args[0] not in _HELP and self.get_command(ctx, args[0]) is None)):
            args = [self._first(), *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]  # as above
        """Return what may stand next: the commands, or what may follow the first one."""
        found = super().shell_complete(ctx, incomplete)
        first = self.get_command(ctx, self._first())
        return found if first is None else [*found, *first.shell_complete(typer.Context(first, parent=ctx), incomplete)]

    def _first(self) -> str:
        return next(iter(self.commands))
