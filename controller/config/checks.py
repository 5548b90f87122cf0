"""What must hold between the fields of a configuration, and between it and its topology."""

from collections.abc import Iterator
from itertools import combinations
from typing import TypeAlias

from controller.config.model import ConfigFile, NetworkSection, NorthboundSection, SwitchSection
from controller.config.switches import Switch, controlled_switches
from controller.fabric.checks import overlap
from controller.fabric.statics import home_ports
from controller.fabric.topology import Topology
from controller.mobility.address import (
    Address,
    Ipv4Address,
    Prefix,
    format_address,
    format_ipv4,
    format_network,
    mapped,
)
from controller.southbound.targets import BMV2, TARGETS

Location: TypeAlias = tuple[str | int, ...]
Finding: TypeAlias = tuple[Location, str]
"""Path to a field, and what is wrong with it."""


def dotted(place: Location) -> str:
    """Return a path as in ``node[0].home_address``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def check(config: ConfigFile) -> Iterator[Finding]:
    """Yield what is wrong between the fields of one file."""
    networks = config.home_agent.networks
    for position, network in enumerate(networks):
        if network.home_agent not in network.prefix:
            address = format_address(network.home_agent)
            reason = f"{address} is not inside of {network.prefix} (RFC 6275 section 10.1)"
            yield ("home_agent", "networks", position, "home_agent"), reason
        yield from _network(("home_agent", "networks", position), network)
    for (first, one), (second, other) in combinations(enumerate(networks), 2):
        if overlap(one.prefix, other.prefix):
            reason = f"{other.prefix} overlaps {one.prefix} of home_agent.networks[{first}]"
            yield ("home_agent", "networks", second, "prefix"), reason
    yield from _nodes(config)
    yield from _prefixes(config)
    names: dict[str, int] = {}
    for position, switch in enumerate(config.switch):
        if switch.name in names:
            yield ("switch", position, "name"), f"{switch.name!r} is already switch[{names[switch.name]}]"
        names.setdefault(switch.name, position)
        if switch.address is not None and switch.address.port == 0:
            yield ("switch", position, "address"), "port 0: name the port that the switch listens on"
        yield from _tls(switch, position)
        yield from _files(switch, position)
    yield from _northbound(config.northbound)


def _northbound(section: NorthboundSection) -> Iterator[Finding]:
    for given, missing in (("certificate", "private_key"), ("private_key", "certificate")):
        if getattr(section, given) is not None and getattr(section, missing) is None:
            yield ("northbound", given), f"TLS needs {missing} too"
    if not section.listen.loopback and section.certificate is None and not section.allow_remote:
        reason = (
            f"{section.listen.host} can be reached from other machines and tokens would travel in the clear:"
            " give certificate and private_key, listen on 127.0.0.1, or set northbound.allow_remote = true"
        )
        yield ("northbound", "listen"), reason


def _network(place: Location, network: NetworkSection) -> Iterator[Finding]:
    if network.home_binding != "refuse" and network.link == "virtual":
        yield (*place, "home_binding"), 'on a virtual link nobody is at home: set link = "real", or leave this out'
    valid, preferred = network.valid_until, network.preferred_until
    if valid is not None and preferred is not None and preferred > valid:
        yield (*place, "preferred_until"), f"{preferred} is later than the end of the prefix, valid_until = {valid}"


def _tls(switch: SwitchSection, position: int) -> Iterator[Finding]:
    for given, missing in (("certificate", "private_key"), ("private_key", "certificate"), ("certificate", "ca")):
        if getattr(switch, given) is not None and getattr(switch, missing) is None:
            yield ("switch", position, given), f"TLS needs {missing} too"


def _files(switch: SwitchSection, position: int) -> Iterator[Finding]:
    for given, missing in (("p4info", "pipeline"), ("pipeline", "p4info")):
        if getattr(switch, given) is None:
            continue
        if switch.program is not None:
            yield ("switch", position, given), "program names a folder that has it already: leave one of them out"
        elif getattr(switch, missing) is None:
            yield ("switch", position, given), f"{missing} is needed too"


def _nodes(config: ConfigFile) -> Iterator[Finding]:
    agents = {network.home_agent for network in config.home_agent.networks}
    seen: dict[Address, int] = {}
    ipv4: dict[Ipv4Address, int] = {}
    for position, node in enumerate(config.node):
        place, address = ("node", position, "home_address"), format_address(node.home_address)
        if node.home_address in seen:
            yield place, f"{address} is already node[{seen[node.home_address]}]"
        seen.setdefault(node.home_address, position)
        if node.home_address in agents:
            yield place, f"{address} is the address of the home agent"
        if not any(node.home_address in network.prefix for network in config.home_agent.networks):
            yield place, f"{address} is outside of every home network"
        if node.home_ipv4 is not None:
            place, text = ("node", position, "home_ipv4"), format_ipv4(node.home_ipv4)
            if node.home_ipv4 in ipv4:
                yield place, f"{text} is already that of node[{ipv4[node.home_ipv4]}]"
            ipv4.setdefault(node.home_ipv4, position)
            if node.home_ipv4 == config.home_agent.ipv4:
                yield place, f"{text} is the address of the home agent"
        if node.per_bid_sequences and (node.timestamps is False or node.replay_window == 0):
            reason = "needs protection against replays: leave timestamps on, or replay_window above 0"
            yield ("node", position, "per_bid_sequences"), reason
        if node.prefixes and not node.mobile_router:
            yield ("node", position, "prefixes"), "only a mobile router has prefixes: set mobile_router = true"


def _prefixes(config: ConfigFile) -> Iterator[Finding]:
    """Check mobile network prefixes. One may be a part of a home network (RFC 3963 section 3), not all of it."""
    prefixes: list[tuple[Location, Prefix]] = [
        (("node", position, "prefixes", index), prefix)
        for position, node in enumerate(config.node)
        for index, prefix in enumerate(node.prefixes)
    ]
    # Two prefixes are nested or apart. So, in order, one that overlaps any before it is inside of the last outermost one.
    outermost: tuple[Location, Prefix] | None = None
    for place, prefix in sorted(prefixes, key=lambda found: found[1]):
        if outermost is not None and overlap(outermost[1], prefix):
            yield place, f"{prefix} overlaps {outermost[1]} of {dotted(outermost[0])}"
        else:
            outermost = place, prefix
    for place, prefix in prefixes:
        for network in config.home_agent.networks:
            if network.home_agent in prefix:
                yield place, f"{prefix} contains the home agent address {format_address(network.home_agent)}"


def _on_link(config: ConfigFile, topology: Topology, home_agent: Address) -> bool:
    switches = controlled_switches(config, topology)
    return any(home.home_agent == home_agent for switch in switches for home in home_ports(topology, switch.name))


def _networks_in(config: ConfigFile, topology: Topology) -> Iterator[Finding]:
    known = {network.prefix: network.home_agent for network in topology.home_networks}
    for position, network in enumerate(config.home_agent.networks):
        place = ("home_agent", "networks", position)
        if network.prefix not in known:
            yield (*place, "prefix"), f"the topology {topology.name!r} has no home network {network.prefix}"
        elif known[network.prefix] != network.home_agent:
            reason = f"the topology {topology.name!r} has {format_address(known[network.prefix])} for {network.prefix}"
            yield (*place, "home_agent"), reason
        elif network.link == "real" and not _on_link(config, topology, network.home_agent):
            reason = f"the topology {topology.name!r} has no controlled switch on the home link of {network.prefix}"
            yield (*place, "link"), reason


def _ipv4_homes(config: ConfigFile, topology: Topology) -> Iterator[Finding]:
    for position, node in enumerate(config.node):
        home = next((one for one in topology.home_networks if node.home_address in one.prefix), None)
        if node.home_ipv4 is None or home is None or home.ipv4_prefix is None:
            continue
        if mapped(node.home_ipv4) not in home.ipv4_prefix:
            reason = (
                f"{format_ipv4(node.home_ipv4)} is outside of {format_network(home.ipv4_prefix)}, which the topology"
                f" {topology.name!r} has for {home.prefix}: other switches would not find it"
            )
            yield ("node", position, "home_ipv4"), reason


def check_topology(config: ConfigFile, topology: Topology) -> Iterator[Finding]:
    """Yield what does not fit between a configuration and its topology."""
    yield from _networks_in(config, topology)
    yield from _ipv4_homes(config, topology)
    if not topology.switches:
        yield ("topology", "file"), f"the topology {topology.name!r} has no switch"
    for position, section in enumerate(config.switch):
        if section.name not in topology.switches:
            names = ", ".join(topology.switches)
            yield (
                ("switch", position, "name"),
                f"the topology {topology.name!r} has no switch {section.name!r}: {names}",
            )
    for position, section in enumerate(config.switch):
        kind = section.target or (known.target if (known := topology.switches.get(section.name)) else None)
        if section.role and kind is not None and kind in TARGETS and not TARGETS[kind].roles:
            yield ("switch", position, "role"), f"{section.name} is of kind {kind}, which knows no roles: leave it out"
    addresses: dict[str, str] = {}
    for switch in controlled_switches(config, topology):
        if str(switch.address) in addresses:
            reason = f"{switch.name} and {addresses[str(switch.address)]} have the same address {switch.address}"
            yield ("switch",), reason
        addresses.setdefault(str(switch.address), switch.name)
        yield from _kind(config, switch)


def _kind(config: ConfigFile, switch: Switch) -> Iterator[Finding]:
    """Yield what does not fit to a switch's kind; the kind may be said in either file."""
    position = next((number for number, section in enumerate(config.switch) if section.name == switch.name), None)
    said = position is not None and config.switch[position].target is not None
    place: Location = ("switch", position, "target") if position is not None and said else ("topology", "file")
    if switch.target not in TARGETS:
        yield place, f"switch {switch.name} has target {switch.target!r}: the targets are {', '.join(TARGETS)}"
    elif switch.program is None and TARGETS[switch.target].config_format != BMV2:
        reason = (
            f"{switch.name} is a {switch.target}, for which no program comes with this package:"
            " name one by program, or by p4info and pipeline, in its [[switch]]"
        )
        yield place, reason
