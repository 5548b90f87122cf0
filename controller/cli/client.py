"""A client of the REST northbound, for the commands that ask a running controller."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from controller.cli.output import fail

_TIMEOUT: Final = 10.0
"""Seconds."""
_WRONG_INPUT: Final = frozenset({400, 413, 422})
"""Statuses that say that what was sent is wrong."""


class Client:
    """Requests to one controller. What goes wrong ends the command with one line.

    Args:
        url: of the REST server, without a path.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            parsed = httpx.URL(self._url)
        except httpx.InvalidURL as error:
            fail(f"{url!r} is no URL: {error}", 2)
        if parsed.scheme not in {"http", "https"} or not parsed.host or (parsed.port or 0) > 65535:
            fail(f"{url!r} is no URL of a controller: write it as in http://127.0.0.1:8181", 2)
        # Settings for proxies in the environment are for the web, not for a controller beside us.
        self._client = httpx.Client(base_url=self._url, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, *path: str) -> dict[str, Any]:
        """Return a resource; `path` is given in segments."""
        return self._ask("GET", path)

    def put(self, *path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Put a resource and return what it is now."""
        return self._ask("PUT", path, body)

    def delete(self, *path: str) -> None:
        """Remove a resource."""
        self._ask("DELETE", path)

    def _ask(self, method: str, path: tuple[str, ...], body: Mapping[str, object] | None = None) -> dict[str, Any]:
        target = "/" + "/".join(quote(segment, safe=":") for segment in path)
        try:
            answer = self._client.request(method, target, json=body)
        except httpx.TimeoutException:
            fail(f"the controller at {self._url} did not answer within {_TIMEOUT:g} s")
        except httpx.HTTPError as error:
            fail(f"no controller can be reached at {self._url}: {error}: start it with `mcoa run`, or give --url")
        if answer.status_code == 204:
            return {}
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            fail(f"what answers at {self._url} is not a controller: status {answer.status_code}, no JSON object")
        if not answer.is_success:
            detail = content.get("detail", f"status {answer.status_code}")
            fail(f"the controller refused: {detail}", 2 if answer.status_code in _WRONG_INPUT else 1)
        return content
