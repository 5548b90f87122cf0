"""What a switch port can be attached to: a wire in this process, a UDP socket, or a Linux interface.

A port takes frames from outside by calling `receiver`, and sends what the switch puts out. Frames are Ethernet without frame check
sequence. Everything runs on the event loop and nothing blocks: a frame that a socket cannot take at once is dropped and counted.
"""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from typing import Protocol

Receiver = Callable[[bytes], None]
Tap = Callable[[str, bytes], None]
"""Called with "in" or "out" and the frame."""

BATCH = 64
"""Frames taken from a socket before other things get a turn."""
MAX_FRAME = 65535

_BUFFER = 4 << 20
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_PROMISC = 1
_PACKET_OUTGOING = 4
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 3


class PortError(OSError):
    """A port cannot be opened; the text says why and what to do."""


class Port(Protocol):
    """What the switch needs of a port."""

    receiver: Receiver | None
    """Set by the switch: takes frames that come in."""

    def send(self, frame: bytes) -> None:
        """Put one frame out."""
        ...

    async def open(self) -> None:
        """Start to receive.

        Raises:
            PortError: it cannot be opened.
        """
        ...

    def close(self) -> None:
        """Stop; no effect when it is closed."""
        ...


class WirePort:
    """A port in this process: frames go in by `receive` and come out at `on_send`."""

    def __init__(self, on_send: Receiver | None = None) -> None:
        self.receiver: Receiver | None = None
        self.on_send = on_send

    def receive(self, frame: bytes) -> None:
        """Bring a frame into the switch; it is dropped while the port belongs to none."""
        if self.receiver is not None:
            self.receiver(frame)

    def send(self, frame: bytes) -> None:
        """Hand a frame to `on_send`."""
        if self.on_send is not None:
            self.on_send(frame)

    async def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def enlarge_buffers(sock: socket.socket) -> None:
    """Give a socket room for what comes while this process has no turn: as root, more than the machine's limit for others."""
    for forced, usual in ((_SO_RCVBUFFORCE, socket.SO_RCVBUF), (_SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
        except OSError:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, usual, _BUFFER)


class _SocketPort:
    """What UDP and Linux interfaces share: a socket that is read in batches when the event loop says so."""

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.dropped = 0
        """Frames that the socket did not take."""
        self._socket: socket.socket | None = None

    def _start(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        enlarge_buffers(sock)
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        for _ in range(BATCH):
            if self._socket is None:
                return
            try:
                frame = self._take(self._socket)
            except BlockingIOError:
                return
            except OSError:  # a UDP peer that is not there, an interface that went down: the next frame may be fine
                continue
            if frame is not None and self.receiver is not None:
                self.receiver(frame)

    def _take(self, sock: socket.socket) -> bytes | None:
        return sock.recv(MAX_FRAME)

    def close(self) -> None:
        """Stop receiving; no effect when it is closed."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None


class UdpPort(_SocketPort):
    """One Ethernet frame a datagram, between two addresses.

    Args:
        local: host and port to receive at; port 0 takes any that is free.
        remote: host and port to send to; datagrams from elsewhere are ignored.
    """

    def __init__(self, local: tuple[str, int], remote: tuple[str, int]) -> None:
        super().__init__()
        self.local = local
        self.remote = remote

    async def open(self) -> None:
        """Bind and connect the socket.

        Raises:
            PortError: the address is in use, or not an address of this machine.
        """
        family = socket.AF_INET6 if ":" in self.local[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.bind(self.local)
            sock.connect(self.remote)
        except OSError as error:
            sock.close()
            raise PortError(
                f"cannot use UDP {_endpoint(self.local)}: {error.strerror}; choose another address or port"
            ) from None
        name = sock.getsockname()
        self.local = (name[0], name[1])
        self._start(sock)

    def send(self, frame: bytes) -> None:
        """Send a datagram; one that cannot leave now is dropped and counted."""
        if self._socket is not None:
            try:
                self._socket.send(frame)
            except OSError:
                self.dropped += 1


class InterfacePort(_SocketPort):
    """A Linux interface, promiscuous.

    Args:
        name: the interface, for example veth1.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._sees_own = True
        """Whether the socket gives back what was sent by it."""

    async def open(self) -> None:
        """Open a packet socket.

        Raises:
            PortError: no such interface, or not allowed.
        """
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        except PermissionError:
            raise PortError(
                f"cannot open the interface {self.name}: not allowed; run as root or give CAP_NET_RAW"
            ) from None
        try:
            index = socket.if_nametoindex(self.name)
            sock.bind((self.name, _ETH_P_ALL))
            membership = struct.pack("iHH8s", index, _PACKET_MR_PROMISC, 0, b"")
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
            self._sees_own = not _ignores_outgoing(sock)
        except OSError as error:
            sock.close()
            hint = "`ip link` lists the interfaces" if error.errno == errno.ENODEV or not error.errno else "is it up?"
            raise PortError(f"cannot open the interface {self.name}: {error.strerror or error}; {hint}") from None
        self._start(sock)

    def _take(self, sock: socket.socket) -> bytes | None:
        if not self._sees_own:
            return sock.recv(MAX_FRAME)
        frame, address = sock.recvfrom(MAX_FRAME)
        return None if address[2] == _PACKET_OUTGOING else frame

    def send(self, frame: bytes) -> None:
        """Send a frame; one that cannot leave now is dropped and counted."""
        if self._socket is not None:
            try:
                self._socket.send(frame)
            except OSError:
                self.dropped += 1


def _ignores_outgoing(sock: socket.socket) -> bool:
    """Ask the kernel (Linux 4.20 and later) to keep from a packet socket what leaves by its interface."""
    try:
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    except OSError:
        return False
    return True


def parse_port(text: str) -> tuple[int, Port]:
    """A port as the command line spells it: `1@veth0`, `2@udp:127.0.0.1:5001/127.0.0.1:5002`.

    Raises:
        ValueError: it is neither.
    """
    number, _, rest = text.partition("@")
    if not number.isdigit() or not rest:
        raise ValueError(f"{text!r} is not a port: write NUMBER@INTERFACE or NUMBER@udp:HOST:PORT/HOST:PORT")
    if not 0 <= int(number) < 511:
        raise ValueError(f"{text!r}: the port number must be in 0 to 510 (511 drops)")
    if not rest.startswith("udp:"):
        return int(number), InterfacePort(rest)
    local, slash, remote = rest[4:].partition("/")
    if not slash:
        raise ValueError(
            f"{text!r}: a UDP port needs a local and a remote end, as in udp:127.0.0.1:5001/127.0.0.1:5002"
        )
    return int(number), UdpPort(parse_endpoint(local), parse_endpoint(remote))


def parse_endpoint(text: str) -> tuple[str, int]:
    """`HOST:PORT`, IPv6 hosts in brackets.

    Raises:
        ValueError: it is not that.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _endpoint(address: tuple[str, int]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
