"""``mcoa shell``: p4runtime-shell on one of the controller's switches.

The console wants versions of its libraries that the controller cannot live with, so it gets an environment of its own, made
when it is first asked for.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Annotated, Final

import typer

from controller.cli.options import DEFAULT_URL, UrlOption, connect
from controller.cli.output import WRONG_INPUT, fail

REQUIREMENTS: Final = ("p4runtime-shell==0.0.6", "protobuf==3.20.3", "setuptools<81")
"""Its code is generated for protobuf 3: later versions do not import it."""

_NAME: Final = "p4runtime-shell-0.0.6"

_LAUNCHER: Final = '''
import sys

from p4.v1 import p4runtime_pb2
from p4runtime_sh import p4runtime, shell


class ReadOnly(p4runtime.P4RuntimeClient):
    """Bids for nothing, so it never becomes primary, and refuses to write before the switch has to."""

    def handshake(self):
        request = p4runtime_pb2.StreamMessageRequest()
        request.arbitration.device_id = self.device_id
        if self.role_name is not None:
            request.arbitration.role.name = self.role_name
        self.stream_out_q.put(request)
        if self.get_stream_packet("arbitration", timeout=5) is None:
            sys.exit("mcoa: the switch does not answer")
        print("Read-only: another client is primary, or nobody. To write, start with --primary.")

    def write(self, request):
        raise RuntimeError("this console is read-only: start it with --primary to write")

    write_update = write


if sys.argv.pop(1) == "read-only":
    shell.P4RuntimeClient = ReadOnly
shell.main()
'''


def shell(
    switch: Annotated[str, typer.Argument(help="Name of a switch of the controller, or host:port of any.")],
    url: UrlOption = DEFAULT_URL,
    *,
    primary: Annotated[
        bool,
        typer.Option(
            "--primary", help="Take the switch away from the controller, to write. It comes back when you leave."
        ),
    ] = False,
    election_id: Annotated[int, typer.Option(help="With --primary: what to bid.", min=1)] = 2**63 - 1,
    device_id: Annotated[int, typer.Option(help="With host:port: its P4Runtime device id.", min=1)] = 1,
    ca: Annotated[
        Path | None, typer.Option(help="PEM file of the authority that signed the switch's certificate.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file of a certificate of ours.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
) -> None:
    """Open p4runtime-shell on a switch: reading only, unless --primary."""
    if ":" in switch:
        address, device = switch, device_id
    else:
        with connect(url) as client:
            found = client.get("v1", "switches", switch)
        address, device = found["address"], found["device_id"]
    python = environment()
    command = [str(python), "-c", _LAUNCHER, "primary" if primary else "read-only"]
    command += ["--grpc-addr", address, "--device-id", str(device), "--election-id", f"0,{election_id}"]
    if ca is not None:
        command += ["--ssl", "--cacert", str(ca)]
        if certificate is not None and private_key is not None:
            command += ["--cert", str(certificate), "--private-key", str(private_key)]
    elif certificate is not None or private_key is not None:
        fail("--certificate and --private-key need --ca", WRONG_INPUT)
    # The console's protocol buffers have no binary for every Python: it is told to use the portable ones.
    variables = os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    variables.pop("PYTHONPATH", None)
    done = subprocess.run(command, env=variables, check=False)  # noqa: S603  the console's own Python
    raise typer.Exit(done.returncode)


def environment() -> Path:
    """Return the Python of the console's environment, made when it is not there yet.

    It is in ``MCOA_SHELL_HOME``, or in the user's cache directory.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("MCOA_SHELL_HOME") or cache / "mcoa" / _NAME)
    python = folder / "bin" / "python"
    mark = folder / ".ready"
    if mark.is_file() and mark.read_text(encoding="utf-8") == _mark():
        return python
    typer.echo(f"mcoa: making an environment for p4runtime-shell in {folder}, once ...", err=True)
    try:
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=True).create(folder)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
        done = subprocess.run(install, check=False, capture_output=True, text=True)  # noqa: S603  the same
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"no environment can be made in {folder}: {error}")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        fail(f"p4runtime-shell cannot be installed into {folder}: {lines[-1] if lines else 'pip failed'}")
    mark.write_text(_mark(), encoding="utf-8")
    return python


def _mark() -> str:
    return f"{sys.version}\n{' '.join(REQUIREMENTS)}\n"
