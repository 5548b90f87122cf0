"""The dashboard's door: a token once, then a session in a cookie that only the dashboard's own pages are sent.

Nothing of the dashboard is given to a stranger but the form to log in, which needs no script. The cookie is not sent by pages of
others (SameSite=Strict), and it opens nothing but the dashboard: REST knows bearer tokens only.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from controller.northbound.access import Access, AccessError, Identity

PREFIX: Final = "/dashboard"
_LOGIN: Final = f"{PREFIX}/login"
_LOGOUT: Final = f"{PREFIX}/logout"
_COOKIE: Final = "mcoa_session"
_LASTS: Final = 12 * 3600.0
"""Seconds of a session."""
_MAX_SESSIONS: Final = 1000
_MAX_FORM: Final = 4096
_FORM_TIMEOUT: Final = 10.0

_PAGE: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>mcoa: log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ min-height: 90vh; display: grid; place-items: center; margin: 0 1rem; background: light-dark(#f4f6f9, #12161c);
  color: light-dark(#1b2430, #e6ebf2); }}
form {{ width: min(24rem, 100%); display: grid; gap: .75rem; padding: 2rem; border-radius: 1rem;
  background: light-dark(#fff, #1b222c); box-shadow: 0 1px 3px #0003; box-sizing: border-box; }}
h1 {{ margin: 0; font-size: 1.4rem; }} p {{ margin: 0; }} .wrong {{ color: light-dark(#b3261e, #ffb4ab); }}
input, button {{ font: inherit; padding: .6rem .75rem; border-radius: .5rem; border: 1px solid #8a94a6; }}
button {{ background: #1f5fbf; border-color: #1f5fbf; color: #fff; font-weight: 600; cursor: pointer; }}
:focus-visible {{ outline: 3px solid #5b9bff; outline-offset: 2px; }}
</style></head><body><form method="post" action="{login}"><h1>mcoa</h1><p>Home agent dashboard</p>{wrong}
<label for="token">Token</label><input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Log in</button></form></body></html>"""


@dataclass(frozen=True, slots=True)
class _Session:
    identity: Identity
    ends: float


class Door:
    """ASGI middleware in front of the dashboard's paths; others pass.

    Args:
        app: what is behind the door.
        access: whose tokens are good.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path: str = scope.get("path", "")
        if scope["type"] not in {"http", "websocket"} or not (path == PREFIX or path.startswith(f"{PREFIX}/")):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if path == _LOGIN and scope["type"] == "http":
            response = await self._log_in(scope, headers, receive)
        elif (identity := self._who(headers)) is None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            response = _form(401)
        elif path == _LOGOUT:
            self._sessions.pop(_session_id(headers), None)
            response = RedirectResponse(_LOGIN, 303)
            response.delete_cookie(_COOKIE, path=PREFIX)
        else:
            scope.setdefault("state", {})["identity"] = identity
            await self._app(scope, receive, send)
            return
        await response(scope, receive, send)

    def _who(self, headers: Headers) -> Identity | None:
        session = self._sessions.get(_session_id(headers))
        if session is not None and session.ends > time.monotonic() and self._access.still_good(session.identity):
            return session.identity
        try:
            return self._access.identify(headers.get("authorization"))
        except AccessError:
            return None

    async def _log_in(self, scope: Scope, headers: Headers, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return _form(200)
        body = await _read(receive)
        tokens = parse_qs(body.decode("ascii", "replace"), max_num_fields=4).get("token", [])
        try:
            identity = self._access.authenticate(tokens[0].strip() if tokens else "")
        except AccessError as error:
            return _form(401, str(error))
        number = secrets.token_urlsafe(32)
        while len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        self._sessions.pop(_session_id(headers), None)
        self._sessions[number] = _Session(identity, time.monotonic() + _LASTS)
        response = RedirectResponse(f"{PREFIX}/", 303)
        response.set_cookie(
            _COOKIE,
            number,
            max_age=int(_LASTS),
            path=PREFIX,
            secure=scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )
        return response


def _session_id(headers: Headers) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[_COOKIE].value if _COOKIE in cookies else ""


def _form(status: int, wrong: str = "") -> HTMLResponse:
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(_PAGE.format(login=_LOGIN, wrong=told), status, headers)


async def _read(receive: Receive) -> bytes:
    """Return the body of a form; nothing when it is too long or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(_FORM_TIMEOUT):
            while len(body) <= _MAX_FORM:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        pass
    return b""
