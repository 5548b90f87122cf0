"""A gNMI server of our own, made of the stubs that finsy has, which answers as Stratum does where the session asks: interfaces by
ifindex, and changes of their oper-status. What it does not do is refused.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from finsy.proto import gnmi, gnmi_grpc

Leaf = tuple[str, str]
"""Interface and leaf of its state."""


def leaf_path(interface: str, leaf: str) -> Any:
    path = gnmi.Path()
    path.elem.add(name="interfaces")
    path.elem.add(name="interface").key["name"] = interface
    path.elem.add(name="state")
    path.elem.add(name=leaf)
    return path


def leaf_of(path: Any) -> Leaf:
    names = [element.name for element in path.elem]
    assert names[:3] == ["interfaces", "interface", "state"]
    return path.elem[1].key["name"], names[3]


class FakeGnmi(gnmi_grpc.gNMIServicer):  # type: ignore[misc]  # the generated base class has no types
    """Interfaces of one switch.

    Args:
        ports: number and status of each interface by name.
    """

    def __init__(self, ports: dict[str, tuple[int, str]]) -> None:
        self.numbers = {name: number for name, (number, _) in ports.items()}
        self.statuses = {name: status for name, (_, status) in ports.items()}
        self.refusal: grpc.StatusCode | None = None
        """With which Get is refused."""
        self.as_json = False
        """Answers are in JSON (RFC 7951)."""
        self.asked = 0
        """Calls of Get."""
        self.subscribed: list[list[Leaf]] = []
        self._streams: dict[asyncio.Queue[Any], list[Leaf]] = {}
        self._server: grpc.aio.Server | None = None

    async def start(self) -> str:
        """Serve gNMI and nothing else; return the address."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self.add_to(self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    def add_to(self, server: Any) -> None:
        """Serve it beside something else."""
        gnmi_grpc.add_gNMIServicer_to_server(self, server)

    # What tests order.

    def change(self, interface: str, status: str) -> None:
        """Let an interface have another status, and tell whoever subscribed to it."""
        self.statuses[interface] = status
        for queue, leaves in self._streams.items():
            if (interface, "oper-status") in leaves:
                queue.put_nowait(self._update(interface, "oper-status"))

    def remove(self, interface: str) -> None:
        """Take an interface away."""
        message = gnmi.SubscribeResponse()
        message.update.delete.add().CopyFrom(leaf_path(interface, "oper-status"))
        self.say(message)

    def say(self, message: Any) -> None:
        """Send a `gnmi.SubscribeResponse` to every subscriber."""
        for queue in self._streams:
            queue.put_nowait(message)

    def cut(self) -> None:
        """End every subscription."""
        for queue in self._streams:
            queue.put_nowait(None)

    # What clients call.

    async def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked += 1
        if self.refusal is not None:
            await context.abort(self.refusal, "as ordered")
        answer = gnmi.GetResponse()
        for path in request.path:
            wanted, leaf = leaf_of(path)
            for name in self.numbers:
                if wanted in {name, "*"}:
                    answer.notification.add().CopyFrom(self._update(name, leaf).update)
        return answer

    async def Subscribe(self, request_iterator: AsyncIterator[Any], context: Any) -> None:  # noqa: N802
        request = await anext(request_iterator)
        wanted = request.subscribe
        modes = {one.mode for one in wanted.subscription}
        if wanted.mode != gnmi.SubscriptionList.Mode.STREAM or modes != {gnmi.SubscriptionMode.ON_CHANGE}:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "streams of changes only")
        leaves = [leaf_of(one.path) for one in wanted.subscription]
        if any(name == "*" for name, _ in leaves):
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no wildcards here")
        self.subscribed.append(leaves)
        queue: asyncio.Queue[Any] = asyncio.Queue()
        for name, leaf in leaves:
            queue.put_nowait(self._update(name, leaf))
        queue.put_nowait(gnmi.SubscribeResponse(sync_response=True))
        self._streams[queue] = leaves
        try:
            while (message := await queue.get()) is not None:
                await context.write(message)
        finally:
            del self._streams[queue]

    def _update(self, interface: str, leaf: str) -> Any:
        message = gnmi.SubscribeResponse()
        update = message.update.update.add()
        update.path.CopyFrom(leaf_path(interface, leaf))
        if leaf == "ifindex" and self.as_json:
            update.val.json_ietf_val = str(self.numbers[interface]).encode()
        elif leaf == "ifindex":
            update.val.uint_val = self.numbers[interface]
        elif self.as_json:
            update.val.json_ietf_val = f'"{self.statuses[interface]}"'.encode()
        else:
            update.val.string_val = self.statuses[interface]
        return message
