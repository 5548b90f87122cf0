"""Pipeline configurations of a device: verified, saved, committed, reconciled (P4Runtime, "SetForwardingPipelineConfig RPC")."""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.errors import ArtefactError, EntityError, invalid, not_found
from testbed.softswitch.pipeline import ForwardingPipeline
from testbed.softswitch.values import INSERT, MODIFY

_Request = p4r.SetForwardingPipelineConfigRequest


class Device(Protocol):
    """The part of the switch that is configured."""

    pipeline: ForwardingPipeline | None

    def build(self, config: p4r.ForwardingPipelineConfig) -> ForwardingPipeline:
        """Compile a pipeline without using it."""
        ...

    def commit(self, pipeline: ForwardingPipeline) -> None:
        """Put a pipeline in force."""
        ...


class Configuration:
    """The pipeline in force, and one that is saved for a later commit.

    Args:
        device: the switch.
        lock: held while entities are written.
    """

    def __init__(self, device: Device, lock: asyncio.Lock) -> None:
        self._device = device
        self._lock = lock
        self._saved: ForwardingPipeline | None = None

    @property
    def current(self) -> ForwardingPipeline | None:
        """What reads and writes refer to: the saved pipeline, when there is one; its entries come into force with it."""
        return self._saved or self._device.pipeline

    async def apply(self, request: p4r.SetForwardingPipelineConfigRequest) -> None:
        """Do what a request asks for.

        Raises:
            EntityError: the configuration cannot be realised, or nothing is saved; the pipeline in force stays.
        """
        action = request.action
        if action not in {_Request.VERIFY, _Request.VERIFY_AND_SAVE, *_COMMITS}:
            raise invalid("the request names no action on the pipeline")
        if action == _Request.COMMIT:
            if request.HasField("config"):
                raise invalid("COMMIT takes the saved configuration, not one of its own")
            if self._saved is None:
                raise not_found("there is no saved pipeline to commit")
            pipeline = self._saved
        else:
            pipeline = await self._build(request)
        if action == _Request.VERIFY_AND_SAVE:
            self._saved = pipeline
        elif action in _COMMITS:
            async with self._lock:
                if action == _Request.RECONCILE_AND_COMMIT and self._device.pipeline is not None:
                    carry_over(self._device.pipeline, pipeline)
                self._device.commit(pipeline)
                self._saved = None

    async def _build(self, request: p4r.SetForwardingPipelineConfigRequest) -> ForwardingPipeline:
        if not request.HasField("config"):
            raise invalid("the request brings no pipeline configuration")
        try:
            return await asyncio.to_thread(self._device.build, request.config)
        except ArtefactError as error:
            raise invalid(str(error)) from None


_COMMITS = {_Request.COMMIT, _Request.VERIFY_AND_COMMIT, _Request.RECONCILE_AND_COMMIT}


def carry_over(old: ForwardingPipeline, new: ForwardingPipeline) -> None:
    """Write what one pipeline holds into another, new one: entries, members, groups, counters, meters, registers.

    Raises:
        EntityError: the new pipeline does not take something; says what.
    """
    for kind, entity in _state(old):
        try:
            new.write(p4r.Update(type=kind, entity=entity))
        except EntityError as error:
            raise EntityError(
                errors.INVALID_ARGUMENT,
                f"the forwarding state cannot be kept: the new pipeline refuses an entity: {error}",
            ) from None


def _state(pipeline: ForwardingPipeline) -> Iterator[tuple[int, p4r.Entity]]:
    """Every entity that was written, in an order in which it can be written again."""
    wanted = p4r.Entity()
    for name in ("action_profile_member", "action_profile_group"):
        getattr(wanted, name).SetInParent()
        yield from ((INSERT, entity) for entity in pipeline.read(wanted))
    wanted.table_entry.counter_data.SetInParent()
    wanted.table_entry.meter_config.SetInParent()
    for entity in pipeline.read(wanted):
        if entity.table_entry.is_const:
            entity.table_entry.ClearField("is_const")
            entity.table_entry.ClearField("action")
            yield MODIFY, entity
        else:
            yield INSERT, entity
    yield from ((MODIFY, entity) for entity in pipeline.changed_defaults())
    for name in ("packet_replication_engine_entry", "digest_entry"):
        getattr(wanted, name).SetInParent()
        yield from ((INSERT, entity) for entity in pipeline.read(wanted))
    for name in ("counter_entry", "meter_entry", "register_entry", "value_set_entry"):
        getattr(wanted, name).SetInParent()
        yield from ((MODIFY, entity) for entity in pipeline.read(wanted) if _is_set(entity))


def _is_set(entity: p4r.Entity) -> bool:
    """Whether a cell or a set differs from what a new pipeline has."""
    which = entity.WhichOneof("entity")
    if which == "counter_entry":
        return bool(entity.counter_entry.data.packet_count or entity.counter_entry.data.byte_count)
    if which == "meter_entry":
        return bool(entity.meter_entry.HasField("config"))
    if which == "register_entry":
        return any(entity.register_entry.data.bitstring)
    return bool(entity.value_set_entry.members)
