"""``python -m controller.cli``: the command line without an installed `mcoa`."""

from controller.cli.app import app

app(prog_name="mcoa")
