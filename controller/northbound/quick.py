"""Reads that do not go the whole way: what is on the shelf, health, one node, and the bindings of one node.

Registrations share the event loop with readers. Of what a small answer costs, nine tenths are the way to it and back: a task, the
middleware, routing, dependencies, validation. So plain questions are answered here, with the same bytes as by the long way. What is
not plain, as another method, a body or a parameter, goes the long way, and so does all that fails.
"""

from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Final, TypeAlias

from starlette.types import Scope

from controller.mobility.address import Address
from controller.northbound import fields
from controller.northbound.access import Access, AccessError
from controller.northbound.control import Control
from controller.northbound.guard import OPEN
from controller.northbound.models import HealthResource, Items, NodeResource, Resource, bindings_of
from controller.northbound.shelf import Answer, Shelf
from controller.northbound.version import mcoa_version

_HEALTH: Final = "/health"
_NODES: Final = "/v1/nodes/"
_BINDINGS: Final = "/bindings"
_NOT_PLAIN: Final = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
"""Headers of requests that go the long way."""
_TYPE: Final = (b"content-type", b"application/json")

Coming: TypeAlias = Coroutine[Any, Any, Answer | None]
"""Gives an answer; None: the request goes the long way after all."""


class Quick:
    """Answers where the connection asks, before anything else looks at a request.

    Args:
        control: the controller.
        access: who may ask.
        shelf: has answers that are given again.
    """

    def __init__(self, control: Control, access: Access, shelf: Shelf) -> None:
        self._control: Final = control
        self._access: Final = access
        self._shelf: Final = shelf

    def answer(self, scope: Scope) -> Answer | Coming | None:
        """Return the answer to a request, None when it goes the long way; who asks is then in its state, and counted."""
        if scope["method"] != "GET":
            return None
        authorization: str | None = None
        for name, value in scope["headers"]:
            if name in _NOT_PLAIN:
                return None
            if name == b"authorization" and authorization is None:
                authorization = value.decode("latin-1")
        path: str = scope["path"]
        if path not in OPEN:
            if not path.startswith("/v1/") and path != "/metrics":
                return None
            try:
                scope["state"]["identity"] = self._access.identify(authorization)
            except AccessError:
                return None
        anew = None if scope["query_string"] else self._anew(path)
        return self._shelf.find(scope) if anew is None else anew

    def _anew(self, path: str) -> Answer | Coming | None:
        """Return the answer to what costs so little that it is always told as it is now."""
        if path == _HEALTH:
            return _answer(HealthResource.of(self._control.health(), mcoa_version()))
        if not path.startswith(_NODES):
            return None
        text = path[len(_NODES) :]
        return self._bindings(text[: -len(_BINDINGS)]) if text.endswith(_BINDINGS) else self._node(text)

    def _node(self, text: str) -> Answer | None:
        address = _home_address(text)
        view = None if address is None else self._control.node(address)
        return None if view is None else _answer(NodeResource.of(view))

    def _bindings(self, text: str) -> Coming | None:
        address = _home_address(text)
        return None if address is None or self._control.node(address) is None else self._bindings_of(address)

    async def _bindings_of(self, address: Address) -> Answer | None:
        try:
            traffic = await self._control.traffic([address])
        except Exception:  # noqa: BLE001  the long way fails too, and says so as it should
            return None
        # Asked now: reading the counters took time, and the node may have moved meanwhile.
        view = self._control.node(address)
        return None if view is None else _answer(Items.of(bindings_of(view, traffic)))


def _home_address(text: str) -> Address | None:
    try:
        return _parsed(text)
    except ValueError:
        return None


@lru_cache(4096)
def _parsed(text: str) -> Address:
    """Return a home address: to read its text takes as long as all else that is done for a node."""
    return fields.home_address(text)


def _answer(resource: Resource) -> Answer:
    body = resource.model_dump_json().encode()
    return Answer(((b"content-length", b"%d" % len(body)), _TYPE), body)
