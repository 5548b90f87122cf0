"""The shell scripts that make interfaces, addresses and routes out of a plan: one for each namespace.

They use iproute2 and ethtool, run with the namespace entered, and stop at the first command that fails.
"""

import socket
from collections.abc import Iterator, Mapping
from typing import Final

from testbed.netns.parts import Cable, Host, NetPlan
from testbed.netns.plan import BRIDGE

METRIC: Final = 1024
"""Of the first interface's default route; the next ones are worse. The tunnel's is better than all."""

_SYSCTLS: Final = {
    "disable_ipv6": "0",
    "accept_dad": "0",  # a laboratory has no duplicates, and a tentative address cannot be used for a second
    "accept_ra": "0",
    "router_solicitations": "0",
    "autoconf": "0",
}


def cable_script(cables: tuple[Cable, ...], pids: Mapping[str, int]) -> str:
    """Return the script that makes all veth pairs; it is run in the core namespace.

    Args:
        cables: what to make.
        pids: of a process in each node's namespace.
    """
    lines = ["ip -batch - <<'END'"]
    for cable in cables:
        (a_node, a), (b_node, b) = cable.a, cable.b
        a_place = "" if a_node is None else f" netns {pids[a_node]}"
        b_place = "" if b_node is None else f" netns {pids[b_node]}"
        lines.append(f"link add name {a}{a_place} type veth peer name {b}{b_place}")
    return "\n".join([*lines, "END"])


def core_script(plan: NetPlan) -> str:
    """Return the script for the core namespace, where the ports of switches and of the air are."""
    ports = [(interface, mac) for device in plan.devices for _, interface, mac in device.ports]
    names = [interface for interface, _ in ports] + [port.interface for port in plan.air_ports]
    lines = ["ip link set lo up"]
    # Nothing of this machine's own IPv6 belongs on a port.
    lines += [f"echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6" for name in names]
    lines.append("ip -batch - <<'END'")
    lines += [f"link set {interface} address {mac}" for interface, mac in ports]
    lines += [f"link set {name} up" for name in names]
    lines.append("END")
    lines += [f"ethtool -K {name} tx off >/dev/null" for name in names]
    return "\n".join(lines)


def core_ports(plan: NetPlan) -> dict[str, int]:
    """Return the interfaces of a plan that are in this process's network, the core, with their numbers."""
    names = [interface for device in plan.devices for _, interface, _ in device.ports]
    there = {name: index for index, name in socket.if_nameindex()}
    return {name: there[name] for name in [*names, *(port.interface for port in plan.air_ports)] if name in there}


def removal_script(ports: Mapping[str, int]) -> str:
    """Return the script that takes interfaces away, as far as those of that number are still there."""
    now = dict(socket.if_nameindex())
    left = [name for name, index in ports.items() if now.get(index) == name]
    return "\n".join(f"ip link del {name} 2>/dev/null || true" for name in left)


def host_script(host: Host) -> str:
    """Return the script for a node's namespace."""
    return "\n".join(_host_lines(host))


def _host_lines(host: Host) -> Iterator[str]:
    names = [nic.name for nic in host.nics]
    for scope in ("all", "default", *names):
        yield from (f"echo {value} > /proc/sys/net/ipv6/conf/{scope}/{key}" for key, value in _SYSCTLS.items())
    if host.forwarding:
        yield "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"
    yield "ip -batch - <<'END'"
    yield "link set lo up"
    yield from _link_lines(host)
    yield from (f"address add {address} dev {interface} nodad" for interface, address in host.addresses)
    for interface, address, mac in host.neighbours:
        yield f"neighbour replace {address} lladdr {mac} dev {interface} nud permanent"
    for route in host.routes:
        metric = METRIC + (names.index(route.interface) if route.interface in names else 0)
        yield f"route add {route.prefix} via {route.via} dev {route.interface} metric {metric} onlink"
    yield "END"
    # A switch that reads packets itself gets what a network card would send: whole checksums, no giant segments.
    yield from (f"ethtool -K {name} tx off >/dev/null" for name in names)


def _link_lines(host: Host) -> Iterator[str]:
    bridged = any(nic.bridge for nic in host.nics)
    if bridged:
        yield f"link add name {BRIDGE} type bridge forward_delay 0 mcast_snooping 0"
        if host.bridge_mac is not None:
            yield f"link set {BRIDGE} address {host.bridge_mac}"
    for nic in host.nics:
        yield f"link set {nic.name} address {nic.mac} mtu {nic.mtu}"
        if nic.bridge:
            yield f"link set {nic.name} master {BRIDGE}"
        yield f"link set {nic.name} up"
    if bridged:
        yield f"link set {BRIDGE} up"
