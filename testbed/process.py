"""Runs the controller as a process of its own: started, killed and started again by its process id."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import httpx

_POLL = 0.02
"""Seconds between two questions whether the controller is ready."""
_LAST_LINES = 15


class ControllerError(RuntimeError):
    """The controller did not start, or ended when it should not; the text ends with the last lines of its log."""


class ControllerProcess:
    """One controller, by its configuration file.

    Args:
        config: for ``mcoa run --config``.
        url: of its REST server, without a path.
        log: file that its output is appended to.
    """

    def __init__(self, config: Path, url: str, log: Path) -> None:
        self.url = url
        self._config = config
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        # One for all questions: to make one takes long enough to disturb what else the event loop measures.
        self._client: httpx.AsyncClient | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> None:
        """Start the process; `wait_ready` waits until it can work.

        Raises:
            ControllerError: it runs already.
        """
        if self.pid is not None:
            raise ControllerError(f"the controller already runs as process {self.pid}: kill or stop it first")
        command = (sys.executable, "-m", "controller.cli", "run", "--config", str(self._config))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def wait_ready(self, timeout: float = 60.0) -> float:  # noqa: ASYNC109 - the error names the log's last lines
        """Wait until its REST server says that every switch is in sync; return how long that took, seconds.

        Raises:
            ControllerError: it ended, or was not ready in time.
        """
        began = time.monotonic()
        found = "no answer"
        if self._client is None:
            self._client = httpx.AsyncClient(base_url=self.url, timeout=2.0)
        while time.monotonic() - began < timeout:
            if self.pid is None:
                raise ControllerError(f"the controller ended before it was ready:\n{self.last_lines()}")
            try:
                answer = await self._client.get("/health")
            except httpx.TransportError:
                found = "no answer"
            else:
                found = answer.text
                if answer.status_code == httpx.codes.OK and answer.json().get("status") == "ok":
                    return time.monotonic() - began
            await asyncio.sleep(_POLL)
        raise ControllerError(f"the controller was not ready after {timeout:g} s ({found}):\n{self.last_lines()}")

    def reload(self) -> None:
        """Have the process read its configuration file again (SIGHUP)."""
        if self._process is not None and self.pid is not None:
            self._process.send_signal(signal.SIGHUP)

    async def kill(self) -> None:
        """End the process without a word to it (SIGKILL) and wait until it is gone."""
        if self._process is not None and self.pid is not None:
            self._process.kill()
            await self._process.wait()

    async def stop(self, patience: float = 30.0) -> int | None:
        """Ask the process to end (SIGTERM) and wait; kill it after `patience` seconds. Return its exit status."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
        process = self._process
        if process is None or self.pid is None:
            return None if process is None else process.returncode
        process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            await self.kill()
            return process.returncode

    def last_lines(self) -> str:
        """Return the end of its log."""
        if not self._log.exists():
            return "(it wrote nothing)"
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:]) or "(it wrote nothing)"
