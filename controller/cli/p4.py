"""``mcoa p4``: the compiled P4 program."""

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import WRONG_INPUT, fail

app = typer.Typer(help="The compiled P4 program.", no_args_is_help=True)


@app.callback()
def p4() -> None:
    """Work with the compiled P4 program."""


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="What p4c was given with -o, its target being tofino or tofino2.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("home_agent.pb.bin"),
) -> None:
    """Make the one file that Stratum takes as device configuration of what the Tofino compiler wrote."""
    from controller.southbound.artefacts import ArtefactError  # noqa: PLC0415  it brings gRPC, seldom needed
    from controller.southbound.compiled import pack_folder  # noqa: PLC0415  the same

    try:
        packed = pack_folder(folder)
        output.write_bytes(packed)
    except ArtefactError as error:
        fail(str(error), WRONG_INPUT)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}", WRONG_INPUT)
    typer.echo(f"{output}: {len(packed)} octets")
