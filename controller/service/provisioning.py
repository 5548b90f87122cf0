"""Nodes that operators provision by REST, beside those of the configuration file: checked, stored, and told to the engine."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from controller.config import Settings
from controller.fabric.checks import overlap
from controller.mobility.address import (
    Address,
    Ipv4Address,
    Prefix,
    format_address,
    format_ipv4,
    parse_address,
    parse_ipv4,
)
from controller.mobility.home_agent import HomeAgent
from controller.mobility.provision import NodeProvision
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    NO_SECURITY,
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    NoSecurity,
    SecurityPolicy,
)
from controller.northbound.errors import ConflictError, RefusedError
from controller.northbound.views import Origin, ProvisionView
from controller.service.committer import Committer
from controller.service.jobs import RefreshJob
from controller.service.keeper import Keeper
from controller.store import Document, Store, StoreError

LOG: Final = logging.getLogger(__name__)

KIND: Final = "node"
"""Of the documents in the store."""


class Provisioning:
    """Whom the home agent serves, beyond what open home networks admit.

    Args:
        settings: the configuration file.
        engine: is told of each change.
        store: keeps what REST sets.
        keep: runs a call of the store in its thread.
        pump: carries on what the engine has decided.
        committer: brings into force what the switches should hold for a node.
    """

    def __init__(
        self,
        settings: Settings,
        engine: HomeAgent,
        store: Store,
        keep: Keeper,
        pump: Callable[[], None],
        committer: Committer,
    ) -> None:
        self._committer: Final = committer
        self._renewing: Final[set[asyncio.Task[None]]] = set()
        self._pump: Final = pump
        self._settings = settings
        self._engine: Final = engine
        self._store: Final = store
        self._keep: Final = keep
        self._stored: Final[dict[Address, NodeProvision]] = {}
        self._nodes = self._merged()

    def _merged(self) -> dict[Address, ProvisionView]:
        """Return all nodes; the configuration file comes first where both name one."""
        stored = {address: ProvisionView(node, Origin.REST) for address, node in self._stored.items()}
        configured = self._settings.home_agent_config().nodes
        return stored | {address: ProvisionView(node, Origin.CONFIGURATION) for address, node in configured.items()}

    def reconfigure(self, settings: Settings) -> set[Address]:
        """Go by another configuration file, which the engine knows already; return the nodes that came or went.

        A node that the file no longer names, but REST had provisioned before, is served by what REST said.
        """
        before = self._nodes
        self._settings = settings
        self._nodes = self._merged()
        for address, view in self._nodes.items():
            old = before.get(address)
            if view.origin is Origin.REST and old is not None and old.origin is Origin.CONFIGURATION:
                self._engine.provision(view.provision)
        stale = [address for address in before | self._nodes if _ipv4(before.get(address)) != _ipv4(self.get(address))]
        if stale:
            task = asyncio.get_running_loop().create_task(self._renew_all(stale), name="renew")
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)
        return before.keys() ^ self._nodes.keys()

    async def _renew(self, home_address: Address) -> str | None:
        """Bring into force what is known of a node now; return why it was refused, None if it was not."""
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def tell(refusal: str | None = None) -> None:
            if not outcome.done():
                outcome.set_result(refusal)

        self._committer.submit(RefreshJob(home_address, lambda _, reason: tell(reason), tell))
        return await outcome

    async def _renew_all(self, home_addresses: Iterable[Address]) -> None:
        for home_address in home_addresses:
            refusal = await self._renew(home_address)
            if refusal is not None:
                LOG.warning("the switches do not have the home_ipv4 of %s: %s", format_address(home_address), refusal)

    def restore(self, documents: Sequence[Document]) -> None:
        """Take over what the store had. The configuration file comes first where both name a node.

        Raises:
            StoreError: a document is not one that this program writes.
        """
        for document in documents:
            if document.kind != KIND:
                continue
            try:
                node = provision_from_text(document.key, document.body)
                self._stored[node.home_address] = node
                if node.home_address not in self._nodes:
                    self._engine.provision(node)
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(f"{self._settings.state}: the node {document.key} is damaged: {error}") from error
        self._nodes = self._merged()

    def __contains__(self, home_address: Address) -> bool:
        return home_address in self._nodes

    def __iter__(self) -> Iterator[Address]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, home_address: Address) -> ProvisionView | None:
        """Return what a node may do; None: it is not provisioned."""
        return self._nodes.get(home_address)

    def check(self, node: NodeProvision) -> None:
        """Check a node without changing anything.

        Raises:
            ConflictError: the configuration file has it, or another node has its prefix, IPv4 address, key or SPI.
            RefusedError: it cannot be served.
        """
        known = self._nodes.get(node.home_address)
        who = format_address(node.home_address)
        if known is not None and known.origin is Origin.CONFIGURATION:
            raise ConflictError(f"{who} is provisioned in {self._settings.file}: change it there")
        networks = self._settings.home_agent.networks
        if not any(node.home_address in network.prefix for network in networks):
            prefixes = ", ".join(str(network.prefix) for network in networks)
            raise RefusedError(f"{who} is outside of every home network: {prefixes}")
        if any(node.home_address == network.home_agent for network in networks):
            raise RefusedError(f"{who} is the address of the home agent")
        if node.home_ipv4 is not None and node.home_ipv4 == self._settings.home_agent.ipv4:
            raise RefusedError(f"home_ipv4 {format_ipv4(node.home_ipv4)} is the address of the home agent")
        for prefix in node.prefixes:
            for network in networks:
                if network.home_agent in prefix:
                    agent = format_address(network.home_agent)
                    raise RefusedError(f"prefix {prefix} contains the home agent address {agent}")
        for address, other in self._nodes.items():
            if address != node.home_address:
                _refuse_shared(node, other.provision)

    async def put(self, node: NodeProvision) -> bool:
        """Serve a node from now on; tell whether it is new. Raises as `check` does."""
        self.check(node)
        old = self._nodes.get(node.home_address)
        before = None if old is None else old.provision
        await self._keep(lambda: self._save(node.home_address, node))
        try:
            self._engine.provision(node)
        except ValueError as error:
            await self._keep(lambda: self._save(node.home_address, before))
            raise ConflictError(str(error)) from error
        refusal = await self._renew(node.home_address) if _ipv4(old) != node.home_ipv4 else None
        if refusal is not None:
            if before is None:
                self._engine.unprovision(node.home_address)
            else:
                self._engine.provision(before)
            await self._keep(lambda: self._save(node.home_address, before))
            raise RefusedError(refusal)
        self._stored[node.home_address] = node
        self._nodes[node.home_address] = ProvisionView(node, Origin.REST)
        unproved = old is None or isinstance(old.provision.security, NoSecurity)
        must_prove = unproved and not isinstance(node.security, NoSecurity)
        self._review(node.home_address, (node.home_address,) if must_prove else ())
        return old is None

    async def delete(self, home_address: Address) -> None:
        """Serve a node no more.

        Raises:
            ConflictError: the configuration file has it.
        """
        known = self._nodes.get(home_address)
        who = format_address(home_address)
        if known is not None and known.origin is Origin.CONFIGURATION:
            raise ConflictError(f"{who} is provisioned in {self._settings.file}: remove it there")
        await self._keep(lambda: self._save(home_address, None))
        self._stored.pop(home_address, None)
        self._nodes.pop(home_address, None)
        self._engine.unprovision(home_address)
        self._review(home_address, ())
        if _ipv4(known) is not None:
            # An open home network may go on admitting the node.
            await self._renew_all((home_address,))

    def _save(self, home_address: Address, node: NodeProvision | None) -> None:
        """Keep a node in the store, or no more; in the store's thread."""
        key = format_address(home_address)
        if node is None:
            self._store.delete_document(KIND, key)
        else:
            self._store.save_document(Document(KIND, key, provision_to_text(node)))

    def _review(self, home_address: Address, unproved: Sequence[Address]) -> None:
        """Have what the node may no longer keep revoked."""
        self._engine.review(asyncio.get_running_loop().time(), (home_address,), unproved)
        self._pump()


def _ipv4(view: ProvisionView | None) -> Ipv4Address | None:
    return None if view is None else view.provision.home_ipv4


def _refuse_shared(node: NodeProvision, other: NodeProvision) -> None:
    """Refuse what two nodes may not have in common."""
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


def _keys(policy: SecurityPolicy) -> tuple[Key, ...]:
    if isinstance(policy, AuthPolicy):
        return (policy.key,)
    return (policy.from_node.key, policy.to_node.key) if isinstance(policy, EspPolicy) else ()


# As documents of the store, which is its owner's alone: keys are in them.


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
