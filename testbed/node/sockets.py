"""The node's sockets: what comes for its care-of addresses, what leaves by one interface, and the tunnel interface.

| socket | why this one |
|---|---|
| AF_PACKET, filtered | sees tunnelled packets and signalling whole; a kernel without Mobile IPv6 drops a type 2 routing header unseen |
| AF_INET6 raw, protocol 41, takes nothing | while it is open the kernel does not answer tunnelled packets with a Parameter Problem |
| AF_INET6 raw, bound to one interface | leaves by that interface whatever the default route is; the kernel finds the next hop |
| TUN | the home address; it goes with the process, so a crash leaves nothing behind |
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from controller.mobility.address import Address, format_address
from controller.mobility.wire.codes import Protocol
from testbed.softswitch.ports import enlarge_buffers

BATCH: Final = 64
"""Packets taken from a socket before other things get a turn."""
MAX_PACKET: Final = 65575
"""The longest IPv6 packet without a jumbo payload."""

_ETH_P_IPV6: Final = 0x86DD
_SO_ATTACH_FILTER: Final = 26
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_TUN_DEVICE: Final = "/dev/net/tun"

_WANTED: Final = (Protocol.IPV6, Protocol.ROUTING, Protocol.ESP, Protocol.DESTINATION_OPTIONS, Protocol.MOBILITY)

Taker = Callable[[bytes, str], None]
"""Takes an IPv6 packet and the name of the interface by which it came."""


class SocketError(OSError):
    """A socket cannot be had; one line that says why and what to do."""


def _filter(sock: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    """Attach a classic BPF program: (code, jump if true, jump if false, operand) each."""
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    # The kernel copies the program while the call lasts.
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))


def _next_header_filter() -> list[tuple[int, int, int, int]]:
    """Return a program that takes a packet when its first next header is one of `_WANTED`."""
    count = len(_WANTED)
    load = [(0x30, 0, 0, 6)]  # the octet at 6
    tests = [(0x15, count - position, 0, int(protocol)) for position, protocol in enumerate(_WANTED)]
    return [*load, *tests, (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF)]


class Arrivals:
    """Tunnelled packets and signalling that come to this machine.

    Raises:
        SocketError: not allowed.
    """

    def __init__(self, take: Taker) -> None:
        self._take: Final = take
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IPV6))
            self._silencer = socket.socket(socket.AF_INET6, socket.SOCK_RAW, Protocol.IPV6)
        except PermissionError:
            raise SocketError(
                "raw sockets are not allowed: run as root, or give CAP_NET_RAW and CAP_NET_ADMIN"
            ) from None
        _filter(self._socket, _next_header_filter())
        _filter(self._silencer, [(0x06, 0, 0, 0)])
        self._socket.setblocking(False)
        enlarge_buffers(self._socket)

    def fileno(self) -> int:
        """Return the file descriptor to wait for."""
        return self._socket.fileno()

    def read(self) -> None:
        """Take what is there, up to `BATCH` packets."""
        for _ in range(BATCH):
            try:
                packet, address = self._socket.recvfrom(MAX_PACKET)
            except BlockingIOError:
                return
            except OSError as error:  # an interface went down: its error is told once
                if error.errno in {errno.ENETDOWN, errno.ENXIO}:
                    continue
                raise
            # What we send is seen here too, and what is for another station on a shared link.
            if address[2] == socket.PACKET_HOST:
                self._take(packet, address[0])

    def close(self) -> None:
        """Close both sockets."""
        self._socket.close()
        self._silencer.close()


class Departures:
    """Whole IPv6 packets that leave by a named interface."""

    def __init__(self) -> None:
        self._sockets: Final[dict[str, socket.socket]] = {}
        self.failed: Final[Counter[str]] = Counter()
        """Packets that the kernel did not take, by interface and error name."""

    def send(self, packet: bytes, interface: str, next_hop: Address) -> bool:
        """Send a packet; tell whether the kernel took it.

        Args:
            packet: with its IPv6 header.
            interface: the one to leave by.
            next_hop: where the kernel routes it to: its destination.
        """
        sock = self._sockets.get(interface)
        try:
            if sock is None:
                sock = self._sockets[interface] = self._open(interface)
            sock.sendto(packet, (format_address(next_hop), 0))
        except OSError as error:
            self.failed[f"{interface} {errno.errorcode.get(error.errno or 0, str(error.errno))}"] += 1
            self.forget(interface)
            return False
        return True

    @staticmethod
    def _open(interface: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        sock.setblocking(False)
        enlarge_buffers(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        return sock

    def forget(self, interface: str) -> None:
        """Close the socket of an interface that may be another one the next time."""
        sock = self._sockets.pop(interface, None)
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Close all."""
        for name in list(self._sockets):
            self.forget(name)


class Tunnel:
    """The TUN interface with the home address.

    Raises:
        SocketError: the kernel has no TUN, it is not allowed, or the name is taken.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        try:
            self._file = os.open(_TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK)
        except FileNotFoundError:
            raise SocketError(f"{_TUN_DEVICE} is missing: load the tun module") from None
        except PermissionError:
            raise SocketError(f"{_TUN_DEVICE} is not allowed: run as root, or give CAP_NET_ADMIN") from None
        try:
            fcntl.ioctl(self._file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        except OSError as error:
            os.close(self._file)
            reasons = {
                errno.EBUSY: "another process has it: set node.tunnel to another name",
                errno.EPERM: "not allowed: run as root, or give CAP_NET_ADMIN",
                errno.EINVAL: "an interface of another kind has that name: set node.tunnel to another name",
            }
            reason = reasons.get(error.errno or 0, error.strerror)
            raise SocketError(f"the tunnel interface {name} cannot be made: {reason}") from None
        # What the kernel itself says on the interface (router solicitations) is no traffic of the node.
        _write(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "0")
        _write(f"/proc/sys/net/ipv6/conf/{name}/router_solicitations", "0")
        _write(f"/proc/sys/net/ipv6/conf/{name}/addr_gen_mode", "1")

    def fileno(self) -> int:
        """Return the file descriptor to wait for."""
        return self._file

    def read(self, take: Callable[[bytes], None]) -> None:
        """Take the packets that the kernel sends by the interface, up to `BATCH`."""
        for _ in range(BATCH):
            try:
                take(os.read(self._file, MAX_PACKET))
            except BlockingIOError:
                return

    def write(self, packet: bytes) -> bool:
        """Hand the kernel a packet as if it came by the interface; tell whether it took it."""
        try:
            os.write(self._file, packet)
        except OSError:  # the interface is down, or the kernel has no room
            return False
        return True

    def close(self) -> None:
        """Remove the interface."""
        os.close(self._file)


def _write(path: str, text: str) -> None:
    target = Path(path)
    if target.exists():
        target.write_text(text, encoding="ascii")
