"""Entries as P4Runtime messages, for tests: shares no code with the controller's southbound."""

from collections.abc import Iterator, Sequence
from typing import Any

from finsy.proto import p4r

from controller.dataplane.entries import Entry, Lpm, Match, Range, Ternary
from controller.dataplane.pipeline import COPY_PORT, MULTICAST_GROUPS


class Words:
    """Translates with a P4Info."""

    def __init__(self, info: Any) -> None:
        self._tables = {table.preamble.alias: table for table in info.tables}
        self._actions = {action.preamble.alias: action for action in info.actions}

    def entity(self, entry: Entry) -> Any:
        """Return an entry as `p4.v1.Entity`."""
        entity = p4r.Entity()
        if entry.table == MULTICAST_GROUPS:
            group = entity.packet_replication_engine_entry.multicast_group_entry
            group.multicast_group_id = entry.match[0]
            for bid in entry.params:
                group.replicas.add(egress_port=COPY_PORT, instance=bid)
        else:
            entity.table_entry.CopyFrom(self._message(entry))
        return entity

    def key(self, table: str, match: Sequence[Match], priority: int = 0) -> Any:
        """Return a `p4.v1.TableEntry` with a key alone."""
        message = p4r.TableEntry(table_id=self._tables[table].preamble.id, priority=priority)
        message.match.extend(self._match(self._tables[table], match))
        return message

    def _message(self, entry: Entry) -> Any:
        action = self._actions[entry.action]
        message = self.key(entry.table, entry.match, entry.priority)
        if self._tables[entry.table].implementation_id:
            size = len(action.params)
            for start in range(0, len(entry.params), size):
                member = message.action.action_profile_action_set.action_profile_actions.add(weight=1)
                self._call(member.action, action, entry.params[start : start + size])
        else:
            self._call(message.action.action, action, entry.params)
        if entry.rate is not None:
            meter = message.meter_config
            meter.cir = meter.pir = entry.rate.per_second
            meter.cburst = meter.pburst = entry.rate.burst
        return message

    @staticmethod
    def _call(message: Any, action: Any, params: Sequence[int]) -> None:
        message.action_id = action.preamble.id
        for param, value in zip(action.params, params, strict=True):
            message.params.add(param_id=param.id, value=octets(value))

    @staticmethod
    def _match(table: Any, values: Sequence[Match]) -> Iterator[Any]:
        for field, value in zip(table.match_fields, values, strict=True):
            match value:
                case None:
                    continue
                case Lpm(number, length):
                    found = p4r.FieldMatch(lpm=p4r.FieldMatch.LPM(value=octets(number), prefix_len=length))
                case Ternary(number, mask):
                    found = p4r.FieldMatch(ternary=p4r.FieldMatch.Ternary(value=octets(number), mask=octets(mask)))
                case Range(low, high):
                    found = p4r.FieldMatch(range=p4r.FieldMatch.Range(low=octets(low), high=octets(high)))
                case int(number):
                    found = p4r.FieldMatch(exact=p4r.FieldMatch.Exact(value=octets(number)))
            found.field_id = field.id
            yield found


def octets(value: int) -> bytes:
    """Return the canonical byte string of a value (P4Runtime section 8.4)."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8))
