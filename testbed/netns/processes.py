"""Processes of a run: each with a log, started, killed and stopped by its own process id, and gone when the run is gone."""

import asyncio
import contextlib
import ctypes
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LAST_LINES: Final = 8


class ProcessError(RuntimeError):
    """A process did not start, or ended when it should not; the text ends with the last lines of its log."""


def die_with_parent() -> None:
    """Have the kernel end this process when its parent is gone, however that went."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def enter_private_network() -> None:
    """Give this process a network of its own: nothing of it can be in anybody's way, or outlive it.

    Raises:
        PermissionError: not root.
    """
    if _LIBC.unshare(_CLONE_NEWNET):
        raise PermissionError(ctypes.get_errno(), "a network namespace cannot be made: run as root")


def enter(pid: int | None) -> list[str]:
    """Return the words before a command that run it in the network of a process; None: in our own."""
    return [] if pid is None else ["nsenter", "--net", "--target", str(pid), "--"]


class Process:
    """One process.

    Args:
        name: for errors.
        command: what to run.
        log: file that its output is appended to.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name: Final = name
        self._command: Final = list(command)
        self._log: Final = log
        self._began_at = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self.alive else None

    def start(self) -> None:
        """Start it, anew if it ran before."""
        self._mark()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the commands are our own
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )

    def _mark(self) -> None:
        """Note where in the log what comes now begins."""
        self._began_at = self._log.stat().st_size if self._log.exists() else 0

    def output(self) -> str:
        """Return what it wrote since it was started last."""
        with self._log.open("rb") as log:
            log.seek(self._began_at)
            return log.read().decode("utf-8", "replace")

    async def wait_line(self, text: str, patience: float = 90.0) -> None:
        """Wait until it wrote a line that begins with `text`.

        Raises:
            ProcessError: it ended before, or did not in time.
        """

        def written() -> bool:
            return any(line.startswith(text) for line in self.output().splitlines())

        await self.wait_until(written, f"did not say {text!r}", patience)

    async def wait_until(self, condition: Callable[[], bool], failing: str, patience: float = 90.0) -> None:
        """Wait until something holds while it runs.

        Raises:
            ProcessError: it ended before, or it was not so in time.
        """
        deadline = time.monotonic() + patience
        while not condition():
            if not self.alive:
                raise ProcessError(f"{self.name} ended too early:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} {failing} within {patience:g} s:\n{self.last_lines()}")
            await asyncio.sleep(0.02)

    def wait(self, patience: float) -> int | None:
        """Wait until it ends by itself; return its exit status, None when it still runs after `patience` seconds."""
        if self._process is None:
            return None
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it without a word to it."""
        if self._process is not None and self.alive:
            self._process.kill()
            self._process.wait()

    def stop(self, patience: float = 6.0) -> int | None:
        """Ask it to end and wait; kill it when it does not. Return its exit status."""
        process = self._process
        if process is None:
            return None
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode

    def last_lines(self) -> str:
        """Return the end of what it wrote."""
        return "\n".join(self.output().splitlines()[-_LAST_LINES:]) or "(it wrote nothing)"


def run_script(pid: int | None, script: str, what: str) -> None:
    """Run a shell script in the network of a process.

    Raises:
        ProcessError: a command in it failed.
    """
    done = subprocess.run(  # noqa: S603  the scripts are our own
        [*enter(pid), "sh", "-e"], input=script, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise ProcessError(f"{what} could not be set up: {done.stderr.strip() or done.stdout.strip()}")


class Namespaces:
    """Network namespaces, each held by a process that sleeps; they go with it. Use it in a with statement."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names: Final = names
        self._holders: Final[dict[str, subprocess.Popen[bytes]]] = {}

    def __enter__(self) -> dict[str, int]:
        """Make them; return the process id that stands for each."""
        here = Path("/proc/self/ns/net").readlink()
        for name in self._names:
            self._holders[name] = subprocess.Popen(
                ["unshare", "--net", "sleep", "infinity"],  # noqa: S607  util-linux
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        deadline = time.monotonic() + 20
        for name, holder in self._holders.items():
            while Path(f"/proc/{holder.pid}/ns/net").readlink() == here:
                if holder.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise ProcessError(f"the network namespace of {name} could not be made: run as root")
                time.sleep(0.002)
        return {name: holder.pid for name, holder in self._holders.items()}

    def __exit__(self, *_: object) -> None:
        """Remove them."""
        for holder in self._holders.values():
            holder.kill()
        for holder in self._holders.values():
            holder.wait()
