"""What the kernel says of the node's interfaces, and what the node has it do: addresses and routes (rtnetlink)."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE, RTMGRP_LINK

from controller.mobility.address import Address, Prefix, format_address, is_routable_unicast, parse_address

_INET6: Final = 10
_UP_AND_RUNNING: Final = 0x1 | 0x40
_TEMPORARY: Final = 0x01
_NODAD: Final = 0x02
_UNUSABLE: Final = 0x08 | 0x20 | 0x40
"""Failed duplicate address detection, deprecated, tentative."""
_ROUTE_METRIC: Final = 64
"""Better than the kernel's 1024 for what it learns from routers."""
_EXISTS, _NO_SUCH = 17, (3, 19, 99)
_ROUTES: Final = frozenset({"RTM_NEWROUTE", "RTM_DELROUTE"})


@dataclass(frozen=True, slots=True)
class InterfaceState:
    """One interface as the kernel has it."""

    index: int
    mac: bytes
    up: bool
    """It is up and has a carrier."""
    addresses: tuple[Address, ...]
    """Usable as care-of address: routable, tested, neither deprecated nor temporary; the newest first."""


class Netlink:
    """Asks, watches and changes. Use it in an async with statement."""

    def __init__(self) -> None:
        self._route: Final = AsyncIPRoute()
        self._monitor: Final = AsyncIPRoute()

    async def __aenter__(self) -> Self:
        await self._monitor.bind(groups=RTMGRP_LINK | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._monitor.close()
        self._route.close()

    async def changes(self) -> AsyncIterator[bool]:
        """Yield whenever an interface, an address or a route came, went or changed: whether it was more than routes."""
        while True:
            kinds = set()
            async for message in self._monitor.get():  # ends with each datagram of the kernel
                kinds.add(message.get("event"))
            yield not kinds <= _ROUTES

    async def interfaces(self, names: Iterable[str]) -> dict[str, InterfaceState]:
        """Return the state of those of the interfaces that exist."""
        wanted = set(names)
        addresses: dict[int, list[tuple[int, Address]]] = {}
        async for message in await self._route.get_addr(family=_INET6):
            flags = message.get("flags") or 0
            text = message.get("address")
            if text is None or flags & (_UNUSABLE | _TEMPORARY):
                continue
            address = parse_address(text)
            if is_routable_unicast(address):
                made = (message.get("cacheinfo") or {}).get("cstamp", 0)
                addresses.setdefault(message["index"], []).append((made, address))
        found: dict[str, InterfaceState] = {}
        async for message in await self._route.get_links():
            name = message.get("ifname")
            if name in wanted:
                mac = bytes.fromhex((message.get("address") or "00:00:00:00:00:00").replace(":", ""))
                up = message["flags"] & _UP_AND_RUNNING == _UP_AND_RUNNING
                own = sorted(addresses.get(message["index"], ()), key=lambda one: -one[0])
                found[name] = InterfaceState(message["index"], mac, up, tuple(address for _, address in own))
        return found

    async def raise_tunnel(self, name: str, mtu: int) -> int:
        """Bring the tunnel interface up; return its index."""
        indices = await self._route.link_lookup(ifname=name)
        index = int(indices[0])
        await self._route.link("set", index=index, mtu=mtu, state="up")
        return index

    async def add_address(self, index: int, address: Address, length: int) -> None:
        """Give an interface an address, without duplicate address detection: the home agent saw to that."""
        try:
            await self._route.addr(
                "add", index=index, address=format_address(address), prefixlen=length, flags=_NODAD, family=_INET6
            )
        except NetlinkError as error:
            if error.code != _EXISTS:
                raise

    async def remove_address(self, index: int, address: Address, length: int) -> None:
        """Take an address from an interface; nothing happens when it is gone already."""
        try:
            await self._route.addr("del", index=index, address=format_address(address), prefixlen=length)
        except NetlinkError as error:
            if error.code not in _NO_SUCH:
                raise

    async def add_route(self, index: int, prefix: Prefix, source: Address) -> None:
        """Send what is for a prefix by an interface, with a source address of the node."""
        await self._route.route(
            "replace",
            dst=str(prefix) if prefix.length else "::/0",
            oif=index,
            prefsrc=format_address(source),
            priority=_ROUTE_METRIC,
            family=_INET6,
        )

    async def remove_route(self, index: int, prefix: Prefix) -> None:
        """Take such a route back; nothing happens when it is gone already."""
        try:
            await self._route.route(
                "del",
                dst=str(prefix) if prefix.length else "::/0",
                oif=index,
                priority=_ROUTE_METRIC,
                family=_INET6,
            )
        except NetlinkError as error:
            if error.code not in _NO_SUCH:
                raise


def best_address(
    usable: tuple[Address, ...], known: tuple[Address, ...], current: Address | None = None
) -> Address | None:
    """Return the care-of address to use: one that is new, else the current one, else the newest.

    Args:
        usable: of the interface, the newest first.
        known: those that it had before.
        current: the one in use.
    """
    new = [address for address in usable if address not in known]
    if new:
        return new[0]
    if current in usable:
        return current
    return usable[0] if usable else None
