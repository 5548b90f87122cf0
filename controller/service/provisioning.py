"""Nodes that operators provision by REST, beside those of the configuration file: checked, stored, and told to the engine."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from controller.config import Settings
from controller.dataplane.desired import DesiredState
from controller.mobility.address import Address, Ipv4Address, format_address, format_ipv4
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import NodeRecord
from controller.mobility.provision import NodeProvision
from controller.mobility.security.policy import NoSecurity
from controller.northbound.errors import ConflictError, NotFoundError, RefusedError
from controller.northbound.views import Origin, ProvisionView, TableUpdate
from controller.service.belongings import refuse_shared, shared_belongings
from controller.service.committer import Committer
from controller.service.jobs import RefreshJob
from controller.service.keeper import Keeper
from controller.service.node_documents import provision_from_text, provision_to_text
from controller.service.updates import described
from controller.store import Document, Store, StoreError

LOG: Final = logging.getLogger(__name__)

KIND: Final = "node"
"""Of the documents in the store."""


class Provisioning:
    """Whom the home agent serves, beyond what open home networks admit.

    Args:
        settings: the configuration file.
        engine: is told of each change.
        desired: knows what a change would write to the switches.
        store: keeps what REST sets.
        keep: runs a call of the store in its thread.
        pump: carries on what the engine has decided.
        committer: brings into force what the switches should hold for a node.
    """

    def __init__(
        self,
        settings: Settings,
        engine: HomeAgent,
        desired: DesiredState,
        store: Store,
        keep: Keeper,
        *,
        pump: Callable[[], None],
        committer: Committer,
    ) -> None:
        self._committer: Final = committer
        self._desired: Final = desired
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
        try:
            self.check_settings(self._settings)
        except ValueError as error:
            raise StoreError(f"{self._settings.file}: {error}") from error
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
                refuse_shared(node, other.provision)

    def check_settings(self, settings: Settings) -> None:
        """Check a configuration file against the nodes that REST has provisioned and that it does not name itself.

        Raises:
            ValueError: a node of it has the prefix, IPv4 home address or key of one of them.
        """
        configured = settings.home_agent_config().nodes
        mine = [node for address, node in self._stored.items() if address not in configured]
        for node, other, what in shared_belongings(configured.values(), mine):
            raise ValueError(
                f"node {format_address(node.home_address)}: {what} is that of {format_address(other.home_address)},"
                " which was provisioned by REST: choose another, or remove that node first"
            )

    def preview(self, node: NodeProvision) -> tuple[TableUpdate, ...]:
        """Return what serving a node so would write to the tables, what it may not keep being revoked. Raises as `check` does."""
        self.check(node)
        record = self._desired.record(node.home_address)
        if record is None:
            return ()
        gone = self._engine.excess(record, node)
        every = gone is None or self._must_prove(node)
        kept = () if every else tuple(binding for binding in record.bindings if binding.bid not in (gone or ()))
        return self._previewed(replace(record, bindings=kept), node.home_ipv4)

    def preview_deletion(self, home_address: Address) -> tuple[TableUpdate, ...]:
        """Return what serving a node no more would write to the tables. Raises as `delete` does."""
        self._require_mine(home_address)
        record = self._desired.record(home_address)
        if record is None:
            return ()
        if self._engine.admits(home_address):
            gone = self._engine.excess(record, NodeProvision(home_address)) or frozenset()
            record = replace(record, bindings=tuple(one for one in record.bindings if one.bid not in gone))
        else:
            record = replace(record, bindings=())
        return self._previewed(record, None)

    def _previewed(self, record: NodeRecord, home_ipv4: Ipv4Address | None) -> tuple[TableUpdate, ...]:
        try:
            return tuple(map(described, self._desired.preview_node(record, home_ipv4)))
        except ValueError as error:
            raise RefusedError(str(error)) from error

    def _must_prove(self, node: NodeProvision) -> bool:
        """Tell whether a node has to prove itself that had not to."""
        old = self._nodes.get(node.home_address)
        unproved = old is None or isinstance(old.provision.security, NoSecurity)
        return unproved and not isinstance(node.security, NoSecurity)

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
        must_prove = self._must_prove(node)
        self._stored[node.home_address] = node
        self._nodes[node.home_address] = ProvisionView(node, Origin.REST)
        self._review(node.home_address, (node.home_address,) if must_prove else ())
        return old is None

    async def delete(self, home_address: Address) -> None:
        """Serve a node no more.

        Raises:
            NotFoundError: it is not provisioned.
            ConflictError: the configuration file has it.
        """
        known = self._require_mine(home_address)
        await self._keep(lambda: self._save(home_address, None))
        self._stored.pop(home_address, None)
        self._nodes.pop(home_address, None)
        self._engine.unprovision(home_address)
        self._review(home_address, ())
        if _ipv4(known) is not None:
            # An open home network may go on admitting the node.
            await self._renew_all((home_address,))

    def _require_mine(self, home_address: Address) -> ProvisionView:
        known = self._nodes.get(home_address)
        who = format_address(home_address)
        if known is None:
            raise NotFoundError(f"{who} is not provisioned")
        if known.origin is Origin.CONFIGURATION:
            raise ConflictError(f"{who} is provisioned in {self._settings.file}: remove it there")
        return known

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
