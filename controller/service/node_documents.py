"""Provisioned nodes as documents of the store, which is its owner's alone: keys are in them."""

import json
from collections.abc import Mapping
from typing import Any

from controller.mobility.address import Prefix, format_ipv4, parse_address, parse_ipv4
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    NO_SECURITY,
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    SecurityPolicy,
)


def provision_to_text(node: NodeProvision) -> str:
    """Return a node as a document holds it."""
    body: dict[str, Any] = {
        "multiple_care_of": node.multiple_care_of,
        "bulk": node.bulk,
        "max_bindings": node.max_bindings,
        "prefixes": list(map(str, node.prefixes)),
        "mobile_router": node.mobile_router,
        "flows": node.flows,
        "max_flows": node.max_flows,
        "home_ipv4": None if node.home_ipv4 is None else format_ipv4(node.home_ipv4),
        "security": _security_to_value(node.security),
    }
    return json.dumps(body)


def provision_from_text(home_address: str, text: str) -> NodeProvision:
    """Return the node of a document.

    Raises:
        KeyError, TypeError, ValueError: the document is not one that this program writes.
    """
    body: dict[str, Any] = json.loads(text)
    security = _security_from_value(body.pop("security"))
    prefixes = tuple(map(Prefix.parse, body.pop("prefixes")))
    spelt = body.pop("home_ipv4", None)  # a document of an earlier release has none
    home_ipv4 = None if spelt is None else parse_ipv4(spelt)
    return NodeProvision(parse_address(home_address), prefixes=prefixes, home_ipv4=home_ipv4, security=security, **body)


def _security_to_value(policy: SecurityPolicy) -> dict[str, Any]:
    match policy:
        case AuthPolicy():
            identifier = None if policy.node_identifier is None else policy.node_identifier.decode()
            return {
                "kind": "auth",
                "spi": policy.spi,
                "key": _hex(policy.key),
                "mn_id": identifier,
                "window": policy.window,
            }
        case EspPolicy():
            return {
                "kind": "esp",
                "algorithm": policy.from_node.algorithm.value,
                "spi": policy.from_node.spi,
                "key": _hex(policy.from_node.key),
                "reply_spi": policy.to_node.spi,
                "reply_key": _hex(policy.to_node.key),
                "replay_window": policy.replay_window,
            }
    return {"kind": "none"}


def _security_from_value(value: Mapping[str, Any]) -> SecurityPolicy:
    if value["kind"] == "auth":
        identifier = None if value["mn_id"] is None else value["mn_id"].encode()
        return AuthPolicy(value["spi"], Key.from_hex(value["key"]), identifier, window=value["window"])
    if value["kind"] == "esp":
        algorithm = EspAlgorithm(value["algorithm"])
        return EspPolicy(
            EspAssociation(value["spi"], Key.from_hex(value["key"]), algorithm),
            EspAssociation(value["reply_spi"], Key.from_hex(value["reply_key"]), algorithm),
            value["replay_window"],
        )
    return NO_SECURITY


def _hex(key: Key) -> str:
    return key.reveal().hex()
