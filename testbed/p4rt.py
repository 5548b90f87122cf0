"""A bare P4Runtime client for tests and measurements: it shares no code with the controller's session."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
from finsy.proto import p4i, p4r, p4r_grpc
from google.protobuf import text_format

from controller.dataplane.entries import Entry, Lpm, Op, Range, Ternary

Message: TypeAlias = Any
"""A protobuf message: finsy ships no types for them."""


class Messages:
    """Builds P4Runtime messages from P4Info, by names.

    Args:
        p4info: a P4Info file in text form.
        device_id: of the switch.
    """

    def __init__(self, p4info: Path, device_id: int) -> None:
        self.p4info = p4i.P4Info()
        text_format.Parse(p4info.read_text(encoding="utf-8"), self.p4info)
        self._device_id = device_id
        self._tables = {table.preamble.alias: table for table in self.p4info.tables}
        self._actions = {action.preamble.alias: action for action in self.p4info.actions}
        self._metadata = {
            (header.preamble.name, field.name): field.id
            for header in self.p4info.controller_packet_metadata
            for field in header.metadata
        }

    def update(self, op: Op, entry: Entry) -> Message:
        """Return an Update message."""
        table = self._tables[entry.table]
        action = self._actions[entry.action]
        matches = [
            _match(field.id, value)
            for field, value in zip(table.match_fields, entry.match, strict=True)
            if value is not None
        ]
        body = p4r.TableEntry(
            table_id=table.preamble.id,
            match=matches,
            action=_set(action, entry.params) if table.implementation_id else _one(action, entry.params),
            priority=entry.priority,
        )
        return p4r.Update(type=int(op), entity=p4r.Entity(table_entry=body))

    def write(self, updates: list[Message]) -> Message:
        """Return a WriteRequest."""
        return p4r.WriteRequest(device_id=self._device_id, election_id=p4r.Uint128(low=1), updates=updates)

    def arbitration(self) -> Message:
        """Return the message that makes a client primary."""
        body = p4r.MasterArbitrationUpdate(device_id=self._device_id, election_id=p4r.Uint128(low=1))
        return p4r.StreamMessageRequest(arbitration=body)

    def pipeline(self, device_config: Path) -> Message:
        """Return the message that pushes the pipeline."""
        config = p4r.ForwardingPipelineConfig(p4info=self.p4info, p4_device_config=device_config.read_bytes())
        return p4r.SetForwardingPipelineConfigRequest(
            device_id=self._device_id,
            election_id=p4r.Uint128(low=1),
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=config,
        )

    def packet_out(self, frame: bytes, port: int) -> Message:
        """Return the message that sends a frame out of a port unchanged."""
        metadata = [
            p4r.PacketMetadata(metadata_id=number, value=_octets(port if name == "egress_port" else 0))
            for (header, name), number in self._metadata.items()
            if header == "packet_out"
        ]
        return p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=frame, metadata=metadata))


class Programmer:
    """Programs one switch: becomes primary, pushes the pipeline, inserts entries. Use it in an async with statement.

    Args:
        address: host:port of the switch's P4Runtime server.
        messages: for that switch.
        device_config: the compiled program.
    """

    def __init__(self, address: str, messages: Messages, device_config: Path) -> None:
        self._messages = messages
        self._device_config = device_config
        self._channel = grpc.aio.insecure_channel(address)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)

    async def __aenter__(self) -> Self:
        await self._channel.channel_ready()
        self._stream = self._stub.StreamChannel()
        await self._stream.write(self._messages.arbitration())
        await self._stream.read()
        await self._stub.SetForwardingPipelineConfig(self._messages.pipeline(self._device_config))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.cancel()
        await self._channel.close(None)

    async def insert(self, entries: Iterable[Entry]) -> None:
        """Insert entries, all with one write.

        Raises:
            grpc.aio.AioRpcError: the switch refused one.
        """
        await self._stub.Write(self._messages.write([self._messages.update(Op.INSERT, entry) for entry in entries]))


def _octets(value: int) -> bytes:
    """Return the canonical byte string of P4Runtime section 8.4."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8))


def _one(action: Message, values: tuple[int, ...]) -> Message:
    params = [
        p4r.Action.Param(param_id=param.id, value=_octets(value))
        for param, value in zip(action.params, values, strict=True)
    ]
    return p4r.TableAction(action=p4r.Action(action_id=action.preamble.id, params=params))


def _set(action: Message, values: tuple[int, ...]) -> Message:
    """Return a set of actions that a hash chooses from; the values are those of all of them."""
    size = len(action.params)
    members = [_one(action, values[start : start + size]).action for start in range(0, len(values), size)]
    found = p4r.ActionProfileActionSet(
        action_profile_actions=[p4r.ActionProfileAction(action=one, weight=1) for one in members]
    )
    return p4r.TableAction(action_profile_action_set=found)


def _match(field: int, value: int | Lpm | Ternary | Range) -> Message:
    match = p4r.FieldMatch(field_id=field)
    if isinstance(value, Lpm):
        match.lpm.value, match.lpm.prefix_len = _octets(value.value), value.length
    elif isinstance(value, Ternary):
        match.ternary.value, match.ternary.mask = _octets(value.value), _octets(value.mask)
    elif isinstance(value, Range):
        match.range.low, match.range.high = _octets(value.low), _octets(value.high)
    else:
        match.exact.value = _octets(value)
    return match
