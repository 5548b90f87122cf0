"""Requests to one controller, with what goes wrong as exceptions."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from urllib.parse import quote

import httpx

from controller.client.errors import ClientError, InvalidUrlError, RefusedError, StrangerError, UnreachableError
from controller.client.events import Event, parse
from controller.client.settings import Connection

Item: TypeAlias = dict[str, Any]
"""A resource as JSON has it."""
Query: TypeAlias = Mapping[str, str | int | Sequence[str] | None]
"""Parameters of a query; None: left out."""

_PAGE: Final = 500
_QUIET: Final = 60.0
"""Seconds after which a stream of events without a sign of life is given up."""


class Client:
    """One controller.

    Args:
        connection: where it is and who asks.

    Raises:
        InvalidUrlError: the URL is none.
        ClientError: the certificates cannot be read.
    """

    def __init__(self, connection: Connection) -> None:
        self.url: Final = connection.url.rstrip("/")
        try:
            parsed = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            raise InvalidUrlError(f"{connection.url!r} is no URL: {error}") from error
        if parsed.scheme not in {"http", "https"} or not parsed.host or (parsed.port or 0) > 65535:
            raise InvalidUrlError(f"{connection.url!r} is no URL of a controller: write it as in http://127.0.0.1:8181")
        headers = {} if connection.token is None else {"Authorization": f"Bearer {connection.token}"}
        self._timeout = connection.timeout
        # Settings for proxies in the environment are for the web, not for a controller beside us.
        self._client = httpx.Client(
            base_url=self.url, timeout=self._timeout, trust_env=False, headers=headers, verify=_trust(connection)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, *path: str, query: Query | None = None) -> Item:
        """Return a resource.

        Args:
            path: in segments.
            query: parameters.
        """
        return self._ask("GET", path, query=query)

    def items(self, *path: str, query: Query | None = None) -> Item:
        """Return a list resource as a whole, page by page."""
        wanted = {"limit": _PAGE, **(query or {})}
        found = self.get(*path, query=wanted)
        cursor = found.get("next")
        while cursor is not None:
            page = self.get(*path, query={**wanted, "cursor": cursor})
            found["items"] += page["items"]
            cursor = page.get("next")
        found["next"] = None
        return found

    def put(
        self,
        *path: str,
        body: object,
        query: Query | None = None,
        match: str | None = None,
        timeout: float | None = None,
    ) -> Item:
        """Put a resource and return what it is now.

        Args:
            path: in segments.
            body: as JSON.
            query: parameters.
            match: entity tag that it must have; None: any.
            timeout: seconds; None: that of the connection.
        """
        return self._ask("PUT", path, body, query, {} if match is None else {"If-Match": match}, timeout)

    def post(self, *path: str, body: object, query: Query | None = None, timeout: float | None = None) -> Item:
        """Ask for something to be done and return what came of it.

        Args:
            path: in segments.
            body: as JSON.
            query: parameters.
            timeout: seconds; None: that of the connection.
        """
        return self._ask("POST", path, body, query, timeout=timeout)

    def delete(self, *path: str, query: Query | None = None) -> Item:
        """Remove a resource; return what the controller says to that, mostly nothing."""
        return self._ask("DELETE", path, query=query, timeout=max(self._timeout, 20.0))

    def events(self, last: str | None = None, kinds: Sequence[str] = ()) -> Iterator[Event]:
        """Yield events as they happen.

        Args:
            last: id of the last event that was seen; None: from now on.
            kinds: only these; empty: all.

        Raises:
            ClientError: it is not possible, or the controller went away.
        """
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        query = {"kind": list(kinds)}
        timeout = httpx.Timeout(self._timeout, read=_QUIET)
        try:
            with self._client.stream(
                "GET", "/v1/events/stream", params=query, headers=headers, timeout=timeout
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    self._content(answer)
                yield from parse(answer.iter_lines())
        except httpx.HTTPError as error:
            raise UnreachableError(f"the controller at {self.url} went away: {error}") from error

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        body: object = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Item:
        target = "/" + "/".join(quote(segment, safe=":") for segment in path)
        params = {key: value for key, value in (query or {}).items() if value is not None}
        patience = timeout or self._timeout
        try:
            answer = self._client.request(
                method, target, json=body, params=params, headers=headers or {}, timeout=patience
            )
        except httpx.TimeoutException as error:
            raise UnreachableError(f"the controller at {self.url} did not answer within {patience:g} s") from error
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"no controller can be reached at {self.url}: {error}: start it with `mcoa run`, or give --url"
            ) from error
        return self._content(answer)

    def _content(self, answer: httpx.Response) -> Item:
        if answer.status_code == httpx.codes.NO_CONTENT:
            return {}
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise StrangerError(
                f"what answers at {self.url} is not a controller: status {answer.status_code}, no JSON object"
            )
        if not answer.is_success:
            raise RefusedError(answer.status_code, content)
        return content


def _trust(connection: Connection) -> ssl.SSLContext | bool:
    if connection.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(connection.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ClientError(f"{connection.ca_file}: no certificates to trust: {error}") from error
