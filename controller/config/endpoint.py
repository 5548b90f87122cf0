"""Where a server listens: host and port."""

import ipaddress
import re
from typing import Final, NamedTuple


class Endpoint(NamedTuple):
    """A host, by name or address, and a TCP port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it. A host name other than localhost counts as remote."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_ENDPOINT: Final = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>[0-9]{1,5})")


def parse_endpoint(text: object) -> Endpoint:
    """Return the endpoint that `text` spells: ``host:port``, with brackets around an IPv6 address.

    Raises:
        ValueError: it spells none.
    """
    found = _ENDPOINT.fullmatch(text) if isinstance(text, str) else None
    if found is None or int(found["port"]) > 65535:
        raise ValueError(f"{text!r} is not host:port with a port up to 65535, as in 127.0.0.1:9559 or [::1]:9559")
    if found["v6"] is not None:
        return Endpoint(str(ipaddress.IPv6Address(found["v6"])), int(found["port"]))
    return Endpoint(found["host"], int(found["port"]))
