"""Reading the configuration file again while the controller runs (SIGHUP, or by REST).

A file with an error changes nothing. From a good one these take effect at once: nodes, what a home network admits and how long it
lasts, limits and rates. Bindings that a node could not register today are revoked (RFC 5846); all others are left alone. The rest of
the file takes effect when the controller is started again, and is named so.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from pydantic import BaseModel

from controller.config import ConfigError, Settings, load_settings
from controller.mobility.address import Address, format_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.provision import HomeAgentConfig, NodeProvision
from controller.mobility.security.policy import NO_SECURITY, EspPolicy, NoSecurity
from controller.northbound.control import Reloaded
from controller.northbound.errors import RefusedError

LOG: Final = logging.getLogger(__name__)

_AT_START: Final = frozenset(
    {
        "correspondent",
        "heartbeat",
        "prefix_discovery",
        "refresh_requests",
        "signalling_rate",
        "signalling_burst",
        "ipv4",
    }
)
"""What of ``[home_agent]`` takes effect at the next start only; its networks are looked at one by one."""

_LINES: Final = 100
"""Nodes of which the log says what they may not keep; each revocation has its own line when it is over."""

Nodes: TypeAlias = Mapping[Address, NodeProvision]
Listener = Callable[[Settings], None]
"""Hears of the settings that are in force now."""


class Reloader:
    """Brings a changed configuration file into force.

    Args:
        settings: what is in force.
        engine: the home agent.
        engine_config: gives of settings what the engine is told.
        pump: carries on what the engine has decided.
    """

    def __init__(
        self,
        settings: Settings,
        engine: HomeAgent,
        engine_config: Callable[[Settings], HomeAgentConfig],
        pump: Callable[[], None],
    ) -> None:
        self.settings = settings
        """What is in force."""
        self._engine: Final = engine
        self._engine_config: Final = engine_config
        self._pump: Final = pump
        self._listeners: Final[list[Listener]] = []
        self._checks: Final[list[Listener]] = []
        self._lock: Final = asyncio.Lock()

    def check_with(self, check: Listener) -> None:
        """Let `check` refuse settings before anything is changed, by raising ValueError."""
        self._checks.append(check)

    def on_change(self, listener: Listener) -> None:
        """Let `listener` hear of new settings."""
        self._listeners.append(listener)

    async def reload(self) -> Reloaded:
        """Read the file again and bring into force what can be.

        Raises:
            RefusedError: it has an error; everything is as it was.
        """
        async with self._lock:
            try:
                # Files are read in a thread: a slow disk must not hold up signalling.
                read = await asyncio.to_thread(load_settings, self.settings.file)
            except ConfigError as error:
                LOG.error("the configuration stays as it is: %s", error)  # noqa: TRY400 - the text says it all
                raise RefusedError(f"the configuration stays as it is: {error}") from None
            try:
                return self._bring_into_force(read)
            except ValueError as error:
                LOG.error("the configuration stays as it is: %s: %s", read.file, error)  # noqa: TRY400 - as above
                raise RefusedError(f"the configuration stays as it is: {read.file}: {error}") from None

    def _bring_into_force(self, read: Settings) -> Reloaded:
        """Apply settings that are valid in themselves.

        Raises:
            ValueError: they do not fit to what runs; nothing changed.
        """
        old = self.settings
        later = tuple(_later(old, read))
        new = replace(
            read,
            state=old.state,
            controller=old.controller,
            switches=old.switches,
            programs=old.programs,
            topology_file=old.topology_file,
            topology=old.topology,
            northbound=old.northbound,
        )
        for check in self._checks:
            check(new)
        before, after = self._engine_config(old).nodes, self._engine_config(new).nodes
        removed = before.keys() - after.keys()
        changed = {address for address, node in after.items() if before.get(address) != node}
        self._refuse_taken(before, after, changed)
        now = asyncio.get_running_loop().time()
        self._engine.reconfigure(self._engine_config(new), now)
        for address in removed:
            self._engine.unprovision(address)
        self._provision([after[address] for address in changed], before)
        unproved = {address for address in changed if _is_new_proof(before.get(address), after[address])}
        everybody = _admission(old) != _admission(new)
        self.settings = new
        for listener in self._listeners:  # one of them knows nodes that the file no longer names
            listener(new)
        reviewed = self._engine.review(now, None if everybody else removed | changed, unproved)
        self._pump()
        done = Reloaded(
            added=len(changed - before.keys()),
            changed=len(changed & before.keys()),
            removed=len(removed),
            revoked=sum(map(len, reviewed.values())),
            at_next_start=later,
        )
        _report(done, reviewed)
        return done

    def _refuse_taken(self, before: Nodes, after: Nodes, changed: set[Address]) -> None:
        """Refuse an SPI that belongs to a node which is not of the file."""
        for address in changed:
            policy = after[address].security
            owner = self._engine.spi_owner(policy.from_node.spi) if isinstance(policy, EspPolicy) else None
            if owner is not None and owner != address and owner not in before:
                assert isinstance(policy, EspPolicy)
                raise ValueError(
                    f"node {format_address(address)}: SPI {policy.from_node.spi} is that of {format_address(owner)},"
                    " which was provisioned by REST: choose another"
                )

    def _provision(self, nodes: list[NodeProvision], before: Nodes) -> None:
        # Two nodes may exchange their SPIs: all are given up before any is taken. Nothing comes in between.
        for node in nodes:
            old = before.get(node.home_address)
            if old is not None and isinstance(old.security, EspPolicy) and old.security != node.security:
                self._engine.provision(replace(old, security=NO_SECURITY))
        for node in nodes:
            self._engine.provision(node)


def _is_new_proof(before: NodeProvision | None, after: NodeProvision) -> bool:
    """Tell whether a node has to prove itself that had not to, or that an open network admitted."""
    unproved = before is None or isinstance(before.security, NoSecurity)
    return unproved and not isinstance(after.security, NoSecurity)


def _admission(settings: Settings) -> list[tuple[bool, str]]:
    """Return what may take bindings back of nodes that have no section of their own."""
    return [(network.open, network.home_binding) for network in settings.home_agent.networks]


def _later(old: Settings, new: Settings) -> Iterator[str]:
    """Yield the paths of changed fields that take effect at the next start."""
    yield from (f"home_agent.{name}" for name in _differences(old.home_agent, new.home_agent) if name in _AT_START)
    yield from (f"controller.{name}" for name in _differences(old.controller, new.controller))
    yield from (f"northbound.{name}" for name in _differences(old.northbound, new.northbound))
    if old.switches != new.switches or old.programs != new.programs:
        yield "switch"
    if old.topology != new.topology:
        yield "topology.file"


def _differences(old: BaseModel, new: BaseModel) -> list[str]:
    return [name for name in type(old).model_fields if getattr(old, name) != getattr(new, name)]


def _report(done: Reloaded, revoked: Mapping[Address, frozenset[int]]) -> None:
    LOG.info(
        "configuration read again: nodes %d added, %d changed, %d removed; %d bindings are revoked",
        done.added,
        done.changed,
        done.removed,
        done.revoked,
    )
    for address, bids in list(revoked.items())[:_LINES]:
        LOG.info("%s may not keep BIDs %s", format_address(address), sorted(bids))
    if done.at_next_start:
        LOG.warning("these changes take effect at the next start: %s", ", ".join(done.at_next_start))
