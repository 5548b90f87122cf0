"""Reads a switch's tables through P4Runtime, as a client that never becomes primary.

It shares no code with the controller's session, so it can bear witness for it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
from finsy.proto import p4i, p4r, p4r_grpc

BINDING_TABLES = (
    "tunnel_termination",
    "home_sources",
    "network_sources",
    "source_bindings",
    "home_addresses",
    "mobile_networks",
    "flow_bindings",
    "default_binding",
    "balancers",
    "tunnel_rates",
    "tunnels",
)
"""Tables whose entries come and go with bindings."""

_OPTIONS = [("grpc.max_receive_message_length", 256 << 20)]
"""BMv2 answers a read in one message: see the field notes on gRPC settings."""

Message: TypeAlias = Any
"""A protobuf message: finsy ships no types for them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One table entry, values as integers."""

    table: str
    key: tuple[int | tuple[int, int] | None, ...]
    """A field each, in the order of P4Info: a value, (value, prefix length or mask), (low, high), or None for any."""
    action: str
    params: tuple[int, ...]
    priority: int


class TableReader:
    """A connection to read tables.

    Args:
        address: host:port of the switch's P4Runtime server.
        device_id: its P4Runtime device id.
    """

    def __init__(self, address: str, device_id: int) -> None:
        self._device_id = device_id
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._info: p4i.P4Info | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close(None)

    async def rows(self, tables: Iterable[str] = ()) -> list[Row]:
        """Return the entries of some tables, or of all; default entries left out.

        Raises:
            grpc.aio.AioRpcError: the switch cannot be reached, or has no pipeline yet.
        """
        info = await self._p4info()
        wanted = set(tables)
        names = {table.preamble.id: table for table in info.tables}
        actions = {action.preamble.id: action.preamble.alias for action in info.actions}
        request = p4r.ReadRequest(device_id=self._device_id, entities=[p4r.Entity(table_entry=p4r.TableEntry())])
        found: list[Row] = []
        async for response in self._stub.Read(request):
            for entity in response.entities:
                entry = entity.table_entry
                table = names[entry.table_id]
                if not entry.is_default_action and (not wanted or table.preamble.alias in wanted):
                    found.append(_row(entry, table, actions))
        return found

    async def count(self, tables: Iterable[str] = BINDING_TABLES) -> dict[str, int]:
        """Return how many entries each of some tables has; 0 for empty ones."""
        names = tuple(tables)
        counted = Counter(row.table for row in await self.rows(names))
        return {name: counted[name] for name in names}

    async def _p4info(self) -> Message:
        if self._info is None:
            kind = p4r.GetForwardingPipelineConfigRequest.ResponseType.P4INFO_AND_COOKIE
            request = p4r.GetForwardingPipelineConfigRequest(device_id=self._device_id, response_type=kind)
            self._info = (await self._stub.GetForwardingPipelineConfig(request)).config.p4info
        return self._info


def _row(entry: Message, table: Message, actions: dict[int, str]) -> Row:
    fields = {match.field_id: match for match in entry.match}
    key = tuple(_match(fields.get(field.id)) for field in table.match_fields)
    # Of a set, the parameters of all of its actions.
    several = [one.action for one in entry.action.action_profile_action_set.action_profile_actions]
    several = several or [entry.action.action]
    params = tuple(
        int.from_bytes(param.value)
        for action in several
        for param in sorted(action.params, key=lambda param: param.param_id)
    )
    return Row(table.preamble.alias, key, actions[several[0].action_id], params, entry.priority)


def _match(match: Message) -> int | tuple[int, int] | None:
    if match is None:
        return None
    kind = match.WhichOneof("field_match_type")
    if kind == "exact":
        return int.from_bytes(match.exact.value)
    if kind == "lpm":
        return int.from_bytes(match.lpm.value), match.lpm.prefix_len
    if kind == "ternary":
        return int.from_bytes(match.ternary.value), int.from_bytes(match.ternary.mask)
    if kind == "range":
        return int.from_bytes(match.range.low), int.from_bytes(match.range.high)
    raise ValueError(f"a match of kind {kind!r} is not known here: add it to testbed.tables")
