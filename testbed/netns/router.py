"""Router Advertisements of an ordinary router on a home link, as radvd sends them: no home agent (RFC 4861 section 6.2).

``python -m testbed.netns.router --interface eth0 --prefix 2001:db8:0:1::/64`` in the router's namespace. Hosts learn from it that
there is a router, which address it has, and the prefix of the link. It is what the home agent's own advertisements have beside them.
"""

import argparse
import asyncio
import fcntl
import random
import signal
import socket
import struct
import sys
from typing import Final

from controller.mobility.address import Prefix
from controller.mobility.wire.codes import IcmpType
from controller.mobility.wire.icmp import LINK_HOP_LIMIT
from testbed.netns.processes import die_with_parent

INTERVAL: Final = (3.0, 4.0)
"""Seconds between two advertisements to all, drawn anew each time; the default of radvd is longer."""
LIFETIME: Final = 1800
"""Seconds: of the router."""
PREFIX_LIFETIME: Final = 86_400
_CURRENT_HOP_LIMIT: Final = 64
_SIOCGIFHWADDR: Final = 0x8927
_ON_LINK_AND_AUTONOMOUS: Final = 0xC0
_ALL_NODES: Final = "ff02::1"
_ALL_ROUTERS: Final = "ff02::2"
_SMALLEST_SOLICITATION: Final = 8


def advertisement(mac: bytes, prefix: Prefix) -> bytes:
    """Return the ICMPv6 message; the kernel writes its checksum."""
    head = struct.pack("!BBHBBHII", IcmpType.ROUTER_ADVERTISEMENT, 0, 0, _CURRENT_HOP_LIMIT, 0, LIFETIME, 0, 0)
    lifetimes = struct.pack("!IIxxxx", PREFIX_LIFETIME, PREFIX_LIFETIME)
    information = bytes((3, 4, prefix.length, _ON_LINK_AND_AUTONOMOUS)) + lifetimes + prefix.network
    return head + b"\x01\x01" + mac + information


class Advertiser:
    """Speaks for the router on one link.

    Args:
        interface: its name.
        prefix: of the link.
    """

    def __init__(self, interface: str, prefix: Prefix) -> None:
        self._index: Final = socket.if_nametoindex(interface)
        self._socket: Final = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        # Not from /sys: that shows the network namespace of who has mounted it.
        answer = fcntl.ioctl(self._socket, _SIOCGIFHWADDR, struct.pack("16s24x", interface.encode()))
        self._message: Final = advertisement(answer[18:24], prefix)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        group = socket.inet_pton(socket.AF_INET6, _ALL_ROUTERS) + struct.pack("@i", self._index)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        for option in (socket.IPV6_MULTICAST_HOPS, socket.IPV6_UNICAST_HOPS):
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, LINK_HOP_LIMIT)
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)

    def fileno(self) -> int:
        """Return the file descriptor to wait for."""
        return self._socket.fileno()

    def read(self) -> None:
        """Answer one Router Solicitation to all (RFC 4861 section 6.2.6); what else came is passed over."""
        try:
            message, options, _, _ = self._socket.recvmsg(1500, socket.CMSG_SPACE(4))
        except BlockingIOError:
            return
        hop_limit = next((int.from_bytes(data[:4], sys.byteorder) for _, _, data in options), 0)
        asked = len(message) >= _SMALLEST_SOLICITATION and message[0] == IcmpType.ROUTER_SOLICITATION
        if asked and hop_limit == LINK_HOP_LIMIT:
            self.advertise()

    def advertise(self) -> None:
        """Tell all nodes of the link. What the link does not take now is told again soon."""
        try:
            self._socket.sendto(self._message, (_ALL_NODES, 0, 0, self._index))
        except OSError as error:
            sys.stderr.write(f"not advertised: {error.strerror}\n")

    def close(self) -> None:
        """Fall silent."""
        self._socket.close()


async def _serve(advertiser: Advertiser) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(advertiser.fileno(), advertiser.read)
    sys.stdout.write("ready: advertises\n")
    sys.stdout.flush()
    while not stop.is_set():
        advertiser.advertise()
        try:
            async with asyncio.timeout(random.uniform(*INTERVAL)):  # noqa: S311  only to keep routers out of step
                await stop.wait()
        except TimeoutError:
            pass
    loop.remove_reader(advertiser.fileno())
    advertiser.close()


def main() -> None:
    """Advertise until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--interface", required=True)
    parser.add_argument("--prefix", type=Prefix.parse, required=True)
    options = parser.parse_args()
    die_with_parent()
    asyncio.run(_serve(Advertiser(options.interface, options.prefix)))


if __name__ == "__main__":
    main()
