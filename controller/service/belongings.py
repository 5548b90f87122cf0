"""What two nodes may not have in common: prefixes, IPv4 home addresses, keys, SPIs."""

from collections.abc import Collection, Iterable, Iterator

from controller.fabric.checks import overlap
from controller.mobility.address import Ipv4Address, format_address, format_ipv4
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import AuthPolicy, EspPolicy, SecurityPolicy
from controller.northbound.errors import ConflictError


def refuse_shared(node: NodeProvision, other: NodeProvision) -> None:
    """Refuse what two nodes may not have in common.

    Raises:
        ConflictError: they have it.
    """
    who = format_address(other.home_address)
    for prefix in node.prefixes:
        for taken in other.prefixes:
            if overlap(prefix, taken):
                raise ConflictError(f"prefix {prefix} overlaps {taken} of {who}")
    if node.home_ipv4 is not None and node.home_ipv4 == other.home_ipv4:
        raise ConflictError(f"home_ipv4 {format_ipv4(node.home_ipv4)} is that of {who}")
    if any(key in _keys(other.security) for key in _keys(node.security)):
        raise ConflictError(f"the key is that of {who} too: each node could speak for the other")
    mine, theirs = node.security, other.security
    if isinstance(mine, EspPolicy) and isinstance(theirs, EspPolicy) and mine.from_node.spi == theirs.from_node.spi:
        raise ConflictError(f"SPI {mine.from_node.spi} is that of {who}")


def shared_belongings(
    nodes: Iterable[NodeProvision], others: Collection[NodeProvision]
) -> Iterator[tuple[NodeProvision, NodeProvision, str]]:
    """Yield who has something that one of `others` has, whose it is, and what: an IPv4 home address, a prefix or a key.

    It takes a look at each node, not at each pair of them.
    """
    addresses: dict[Ipv4Address, NodeProvision] = {one.home_ipv4: one for one in others if one.home_ipv4 is not None}
    keys = {key: one for one in others for key in _keys(one.security)}
    routers = [one for one in others if one.prefixes]
    for node in nodes:
        if node.home_ipv4 is not None and node.home_ipv4 in addresses:
            yield node, addresses[node.home_ipv4], f"home_ipv4 {format_ipv4(node.home_ipv4)}"
        for key in _keys(node.security):
            if key in keys:
                yield node, keys[key], "its key"
        for prefix in node.prefixes:
            for router in routers:
                if any(overlap(prefix, taken) for taken in router.prefixes):
                    yield node, router, f"prefix {prefix}"


def _keys(policy: SecurityPolicy) -> tuple[Key, ...]:
    if isinstance(policy, AuthPolicy):
        return (policy.key,)
    return (policy.from_node.key, policy.to_node.key) if isinstance(policy, EspPolicy) else ()
