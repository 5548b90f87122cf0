"""The embedded P4 switch: runs a compiled v1model program, speaks P4Runtime, and needs nothing but Python."""

from testbed.softswitch.errors import ArtefactError, UnsupportedError
from testbed.softswitch.ports import InterfacePort, Port, PortError, UdpPort, WirePort
from testbed.softswitch.switch import SoftSwitch, TlsFiles

__all__ = [
    "ArtefactError",
    "InterfacePort",
    "Port",
    "PortError",
    "SoftSwitch",
    "TlsFiles",
    "UdpPort",
    "UnsupportedError",
    "WirePort",
]
