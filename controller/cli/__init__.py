"""The command line: `mcoa`."""

from controller.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line and end the process.

    Exit status: 0 done; 1 it failed; 2 the input is wrong: arguments, a configuration file, a policy; 3 no controller can be
    reached; 4 the token is missing, unknown, or not good for this; 5 there is no such thing.
    """
    app(prog_name="mcoa")
