"""What a plan is made of: namespaces, interfaces, switches and links as plain data."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface in a node's namespace."""

    name: str
    mac: str
    bridge: bool = False
    """It is a port of the node's bridge, and has no address of its own."""
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Route:
    """A static route."""

    prefix: str
    via: str
    interface: str


@dataclass(frozen=True, slots=True)
class Host:
    """A node in a namespace of its own."""

    name: str
    kind: str
    nics: tuple[Nic, ...]
    addresses: tuple[tuple[str, str], ...]
    """Interface, and address with prefix length."""
    routes: tuple[Route, ...] = ()
    neighbours: tuple[tuple[str, str, str], ...] = ()
    """Interface, address and Ethernet address of what does not answer for itself."""
    forwarding: bool = False
    bridge_mac: str | None = None
    advertised: tuple[tuple[str, str], ...] = ()
    """Interface and prefix of the links on which it says that it is a router."""


@dataclass(frozen=True, slots=True)
class Device:
    """A switch."""

    name: str
    kind: str
    """``switch`` or ``openflow``."""
    device_id: int
    """Of P4Runtime; of an OpenFlow switch, its datapath id."""
    ports: tuple[tuple[int, str, str], ...]
    """Number, interface in the core namespace, and its Ethernet address."""


@dataclass(frozen=True, slots=True)
class Cable:
    """A veth pair. An end without a node is in the core namespace."""

    a: tuple[str | None, str]
    b: tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class AirPort:
    """An interface in the core namespace that the air holds."""

    interface: str
    node: str
    name: str
    """The interface at the other end, in the node's namespace."""


@dataclass(frozen=True, slots=True)
class AirLink:
    """What joins two ports of the air."""

    a: str
    b: str
    """Ends as ``node:interface``; `a` is the one that can be plugged in elsewhere."""
    delay_ms: float
    rate_mbps: float | None
    loss: float


@dataclass(frozen=True, slots=True)
class NetPlan:
    """Everything that has to be there."""

    name: str
    hosts: tuple[Host, ...]
    devices: tuple[Device, ...]
    cables: tuple[Cable, ...]
    air_ports: tuple[AirPort, ...]
    air_links: tuple[AirLink, ...]
    gateways: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By access router and home link: the gateway for what attaches there, and the prefix."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can have it."""
        return asdict(self)
