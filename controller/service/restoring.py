"""What the store had when the controller was started, taken over by engine and desired state."""

import logging
from typing import Final

from controller.dataplane.desired import DesiredState
from controller.mobility.address import Address, format_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.model import NodeRecord
from controller.service.durable import DurableStore
from controller.service.errors import ServiceError
from controller.service.preferences import with_preferences
from controller.service.programs import Programs
from controller.store import Change, StoredState

LOG: Final = logging.getLogger(__name__)


def restore(
    state: StoredState, engine: HomeAgent, desired: DesiredState, programs: Programs, store: DurableStore
) -> list[Address]:
    """Take over bindings and policies; return whose bindings the configuration may no longer allow.

    Args:
        state: what was stored.
        engine: gets the records; it knows who may register.
        desired: gets the records with their numbers, and the policies.
        programs: what of them the switches can carry.
        store: forgets the nodes that have no home network any more.

    Raises:
        ServiceError: the numbers that were stored contradict one another.
    """
    policies = with_preferences(state.policies, state.documents)
    gone: list[Change] = []
    kept = list[NodeRecord]()
    suspects: list[Address] = []
    for node in state.nodes:
        record = programs.carried(node.record)
        excess = engine.excess(record)
        if excess is None:
            LOG.warning("%s has no home network any more: its bindings go", format_address(record.home_address))
            gone.append(Change(record.home_address, None))
            continue
        if excess:
            suspects.append(record.home_address)
        wanted = programs.enforceable(policies.pop(record.home_address, ()))
        try:
            desired.restore(record, node.node_id, node.path_ids, wanted)
        except ValueError as error:
            raise ServiceError(f"what is stored does not fit the switches: {error}") from error
        kept.append(record)
    for home_address, rest in policies.items():
        desired.confirm(desired.set_policies(home_address, programs.enforceable(rest)))
    engine.restore(kept, state.marks)
    if gone:
        store.commit_at_start(gone)
    for expired in state.expired:
        LOG.info("BID %d of %s ended meanwhile", expired.binding.bid, format_address(expired.home_address))
    LOG.info("restored %d nodes, %d policies", len(kept), len(state.policies))
    return suspects
