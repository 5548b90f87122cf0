"""The command line: `mcoa`."""

from controller.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line and end the process.

    Exit status: 0 done; 1 it failed, such as when the controller cannot be reached; 2 the input is wrong: arguments, a
    configuration file, a policy.
    """
    app(prog_name="mcoa")
