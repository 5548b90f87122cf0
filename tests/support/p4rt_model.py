"""What the P4Runtime specification says of an update: a modelled server, in plain Python over P4Info.

Written from the specification, not from the switch: it keeps messages, no tables, and never looks at a packet. For an update it gives
the error codes that the specification allows for what is wrong with it; an empty set means that the update must be accepted.
"""

from collections.abc import Iterable
from typing import Any

from finsy.proto import p4i, p4r

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
INVALID, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, PRECONDITION, RANGE, UNIMPLEMENTED = 3, 5, 6, 7, 8, 9, 11, 12

KINDS = {
    p4i.MatchField.EXACT: "exact",
    p4i.MatchField.LPM: "lpm",
    p4i.MatchField.TERNARY: "ternary",
    p4i.MatchField.RANGE: "range",
    p4i.MatchField.OPTIONAL: "optional",
}
Codes = set[int]


def fits(data: bytes, width: int) -> bool:
    return bool(data) and int.from_bytes(data) < 1 << width


def shortest(data: bytes) -> bytes:
    return data.lstrip(b"\0") or b"\0"


class Model:
    """The entities of one pipeline.

    Args:
        info: the P4Info.
        initial: entries that the program brings, as a read gives them.
    """

    def __init__(self, info: p4i.P4Info, initial: Iterable[p4r.Entity] = ()) -> None:
        self.info = info
        self.tables = {table.preamble.id: table for table in info.tables}
        self.actions = {action.preamble.id: action for action in info.actions}
        self.profiles = {profile.preamble.id: profile for profile in info.action_profiles}
        self.entries: dict[Any, p4r.TableEntry] = {}
        self.members: dict[tuple[int, int], p4r.Action] = {}
        self.groups: dict[tuple[int, int], p4r.ActionProfileGroup] = {}
        self.replication: dict[tuple[str, int], p4r.PacketReplicationEngineEntry] = {}
        self.digests: set[int] = set()
        for entity in initial:
            entry = entity.table_entry
            entry.ClearField("is_const")
            self.entries[self._key(entry)] = entry

    def judge(self, update: p4r.Update) -> Codes:
        """The codes that are right for an update; when there are none, it is taken into the model."""
        which = update.entity.WhichOneof("entity")
        if update.type not in {INSERT, MODIFY, DELETE} or which is None:
            return {INVALID}
        judge = getattr(self, f"_{which}")
        codes: Codes = judge(update.type, getattr(update.entity, which))
        return codes

    # -- table entries -------------------------------------------------------------------------------------------------

    def _key(self, entry: p4r.TableEntry) -> Any:
        fields = []
        for match in sorted(entry.match, key=lambda m: m.field_id):
            kind = match.WhichOneof("field_match_type")
            value = getattr(match, kind) if kind else None
            parts = (
                [(f.name, shortest(v) if isinstance(v, bytes) else v) for f, v in value.ListFields()] if value else []
            )
            fields.append((match.field_id, kind, tuple(parts)))
        return entry.table_id, tuple(fields), entry.priority

    def _table_entry(self, kind: int, entry: p4r.TableEntry) -> Codes:
        table = self.tables.get(entry.table_id)
        if table is None:
            return {INVALID}
        if entry.is_default_action:
            return self._default(kind, entry, table)
        codes = self._key_codes(entry, table)
        codes |= {INVALID} if entry.is_const else set()
        if kind != DELETE:
            codes |= self._extras(entry, table)
        known = self.entries.get(self._key(entry))
        if table.is_const_table and (kind != MODIFY or entry.HasField("action")):
            codes.add(DENIED)
        codes |= {EXISTS} if kind == INSERT and known else {NOT_FOUND} if kind != INSERT and not known else set()
        if kind != DELETE and (entry.HasField("action") or kind == INSERT):
            codes |= self._table_action(entry, table, known)
        full = sum(other.table_id == entry.table_id for other in self.entries.values()) >= table.size
        if kind == INSERT and full:
            codes.add(EXHAUSTED)
        if not codes:
            self._take_entry(kind, entry, known)
        return codes

    def _take_entry(self, kind: int, entry: p4r.TableEntry, known: p4r.TableEntry | None) -> None:
        key = self._key(entry)
        if kind == DELETE:
            del self.entries[key]
            return
        kept = p4r.TableEntry()
        kept.CopyFrom(entry)
        if known and not entry.HasField("action"):
            kept.action.CopyFrom(known.action)
        self.entries[key] = kept

    def _key_codes(self, entry: p4r.TableEntry, table: p4i.Table) -> Codes:
        wrong = match_is_wrong(entry.match, table.match_fields) or not table.match_fields
        ordered = any(KINDS[f.match_type] in {"ternary", "range", "optional"} for f in table.match_fields)
        wrong = wrong or (entry.priority > 0) != ordered or entry.priority < 0
        return {INVALID, RANGE} if wrong else set()

    def _extras(self, entry: p4r.TableEntry, table: p4i.Table) -> Codes:
        codes: Codes = set()
        direct = set(table.direct_resource_ids)
        if entry.HasField("counter_data") and not direct & {c.preamble.id for c in self.info.direct_counters}:
            codes.add(INVALID)
        if entry.HasField("meter_config") and not direct & {m.preamble.id for m in self.info.direct_meters}:
            codes.add(INVALID)
        if entry.HasField("meter_config"):
            codes |= meter_codes(entry.meter_config)
        timed = table.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL
        if entry.HasField("time_since_last_hit") or (entry.idle_timeout_ns and not timed):
            codes.add(INVALID)
        return codes

    def _default(self, kind: int, entry: p4r.TableEntry, table: p4i.Table) -> Codes:
        codes: Codes = {INVALID} if entry.match or entry.priority or kind != MODIFY else set()
        codes |= self._extras(entry, table) if kind != DELETE else set()
        if table.const_default_action_id or table.implementation_id:
            codes.add(DENIED)
        if entry.HasField("counter_data") or entry.HasField("meter_config"):
            codes.add(UNIMPLEMENTED)  # BMv2 keeps neither for misses
        if kind != DELETE and entry.HasField("action") and not table.implementation_id:
            if entry.action.WhichOneof("type") != "action":
                codes.add(INVALID)
            else:
                codes |= self._action(entry.action.action, table, p4i.ActionRef.TABLE_ONLY)
        if kind != DELETE and entry.HasField("action") and table.implementation_id:
            codes.add(INVALID)
        return codes

    def _action(self, action: p4r.Action, table: p4i.Table, excluded: int) -> Codes:
        scopes = {ref.id: ref.scope for ref in table.action_refs}
        if action.action_id not in scopes:
            return {INVALID}
        codes = {DENIED} if scopes[action.action_id] == excluded else set()
        return codes | self._params(action)

    def _params(self, action: p4r.Action) -> Codes:
        declared = {param.id: param.bitwidth for param in self.actions[action.action_id].params}
        ids = [param.param_id for param in action.params]
        if sorted(ids) != sorted(declared) or not all(fits(p.value, declared[p.param_id]) for p in action.params):
            return {INVALID, RANGE}
        return set()

    def _table_action(self, entry: p4r.TableEntry, table: p4i.Table, known: p4r.TableEntry | None) -> Codes:
        which = entry.action.WhichOneof("type")
        if not table.implementation_id:
            return (
                {INVALID} if which != "action" else self._action(entry.action.action, table, p4i.ActionRef.DEFAULT_ONLY)
            )
        profile = self.profiles[table.implementation_id]
        if which == "action_profile_member_id":
            codes = (
                {NOT_FOUND}
                if (profile.preamble.id, entry.action.action_profile_member_id) not in self.members
                else set()
            )
            return codes | ({INVALID} if self._one_shots(profile, None) else set())
        if which == "action_profile_group_id" and profile.with_selector:
            codes = (
                {NOT_FOUND} if (profile.preamble.id, entry.action.action_profile_group_id) not in self.groups else set()
            )
            return codes | ({INVALID} if self._one_shots(profile, None) else set())
        if which == "action_profile_action_set" and profile.with_selector:
            return self._action_set(entry.action.action_profile_action_set, profile, known)
        return {INVALID}

    # -- action profiles -----------------------------------------------------------------------------------------------

    def _one_shots(self, profile: p4i.ActionProfile, besides: p4r.TableEntry | None) -> list[p4r.TableEntry]:
        return [
            entry
            for entry in self.entries.values()
            if entry.table_id in profile.table_ids
            and entry.action.HasField("action_profile_action_set")
            and entry is not besides
        ]

    def _action_set(
        self, chosen: p4r.ActionProfileActionSet, profile: p4i.ActionProfile, known: p4r.TableEntry | None
    ) -> Codes:
        codes: Codes = set()
        number = profile.preamble.id
        if any(key[0] == number for key in (*self.members, *self.groups)):
            codes.add(INVALID)
        for item in chosen.action_profile_actions:
            codes |= self._profile_action(item.action, profile)
            codes |= {INVALID} if item.weight < 1 else set()
        total = sum(item.weight for item in chosen.action_profile_actions)
        if profile.max_group_size and total > profile.max_group_size:
            codes.add(INVALID)
        others = self._one_shots(profile, known)
        used = sum(i.weight for e in others for i in e.action.action_profile_action_set.action_profile_actions)
        if profile.size and used + total > profile.size:
            codes.add(EXHAUSTED)
        return codes

    def _profile_action(self, action: p4r.Action, profile: p4i.ActionProfile) -> Codes:
        tables = [self.tables[number] for number in profile.table_ids]
        offered = {ref.id for table in tables for ref in table.action_refs if ref.scope != p4i.ActionRef.DEFAULT_ONLY}
        return self._params(action) if action.action_id in offered else {INVALID}

    def _action_profile_member(self, kind: int, member: p4r.ActionProfileMember) -> Codes:
        profile = self.profiles.get(member.action_profile_id)
        if profile is None:
            return {INVALID}
        key = (member.action_profile_id, member.member_id)
        codes: Codes = {INVALID} if not member.member_id else set()
        codes |= {EXISTS} if kind == INSERT and key in self.members else set()
        codes |= {NOT_FOUND} if kind != INSERT and key not in self.members else set()
        if kind == DELETE:
            codes |= {PRECONDITION} if self._is_used(*key) else set()
        elif not member.HasField("action"):
            codes.add(INVALID)
        else:
            codes |= self._profile_action(member.action, profile)
        if kind == INSERT:
            codes |= {INVALID} if self._one_shots(profile, None) else set()
            codes |= {EXHAUSTED} if sum(k[0] == key[0] for k in self.members) >= profile.size else set()
        if not codes:
            if kind == DELETE:
                del self.members[key]
            else:
                self.members[key] = p4r.Action()
                self.members[key].CopyFrom(member.action)
        return codes

    def _is_used(self, profile: int, member: int) -> bool:
        tables = set(self.profiles[profile].table_ids)
        in_entries = any(
            entry.table_id in tables and entry.action.WhichOneof("type") == "action_profile_member_id"
            and entry.action.action_profile_member_id == member
            for entry in self.entries.values()
        )  # fmt: skip
        groups = (group for key, group in self.groups.items() if key[0] == profile)
        return in_entries or any(item.member_id == member for group in groups for item in group.members)

    def _action_profile_group(self, kind: int, group: p4r.ActionProfileGroup) -> Codes:
        profile = self.profiles.get(group.action_profile_id)
        if profile is None or not profile.with_selector:
            return {INVALID}
        key = (group.action_profile_id, group.group_id)
        known = self.groups.get(key)
        codes: Codes = {INVALID} if not group.group_id else set()
        codes |= {EXISTS} if kind == INSERT and known else set()
        codes |= {NOT_FOUND} if kind != INSERT and not known else set()
        if kind == DELETE:
            used = any(
                entry.table_id in profile.table_ids and entry.action.WhichOneof("type") == "action_profile_group_id"
                and entry.action.action_profile_group_id == group.group_id
                for entry in self.entries.values()
            )  # fmt: skip
            codes |= {PRECONDITION} if used else set()
        else:
            codes |= self._group_codes(kind, group, profile, known)
        if not codes:
            if kind == DELETE:
                del self.groups[key]
            else:
                self.groups[key] = p4r.ActionProfileGroup()
                self.groups[key].CopyFrom(group)
        return codes

    def _group_codes(
        self, kind: int, group: p4r.ActionProfileGroup, profile: p4i.ActionProfile, known: p4r.ActionProfileGroup | None
    ) -> Codes:
        codes: Codes = set()
        number, ids = profile.preamble.id, [item.member_id for item in group.members]
        if len(set(ids)) < len(ids) or any(item.weight < 1 for item in group.members):
            codes.add(INVALID)
        if any((number, member) not in self.members for member in ids):
            codes.add(NOT_FOUND)
        if kind == INSERT and (
            group.max_size < 0 or (profile.max_group_size and not 0 < group.max_size <= profile.max_group_size)
        ):
            codes.add(INVALID)
        if known and known.max_size != group.max_size:
            codes.add(INVALID)
        if kind == INSERT and self._one_shots(profile, None):
            codes.add(INVALID)
        total = sum(item.weight for item in group.members)
        others = (g for key, g in self.groups.items() if key[0] == number and g is not known)
        used = sum(item.weight for other in others for item in other.members)
        limit = group.max_size or profile.max_group_size
        if (limit and total > limit) or (profile.size and used + total > profile.size):
            codes.add(EXHAUSTED)
        return codes

    # -- arrays --------------------------------------------------------------------------------------------------------

    def _cells(self, kind: int, number: int, index: Any, arrays: Iterable[Any]) -> Codes:
        sizes = {array.preamble.id: array.size for array in arrays}
        if number not in sizes:
            return {INVALID}
        codes = {INVALID} if kind != MODIFY else set()
        if index is not None:
            codes |= {INVALID} if index < 0 else {RANGE} if index >= sizes[number] else set()
        return codes

    def _counter_entry(self, kind: int, entry: p4r.CounterEntry) -> Codes:
        index = entry.index.index if entry.HasField("index") else None
        return self._cells(kind, entry.counter_id, index, self.info.counters)

    def _meter_entry(self, kind: int, entry: p4r.MeterEntry) -> Codes:
        index = entry.index.index if entry.HasField("index") else None
        codes = self._cells(kind, entry.meter_id, index, self.info.meters)
        return codes | (meter_codes(entry.config) if entry.HasField("config") else set())

    def _register_entry(self, kind: int, entry: p4r.RegisterEntry) -> Codes:
        index = entry.index.index if entry.HasField("index") else None
        codes = self._cells(kind, entry.register_id, index, self.info.registers)
        widths = {r.preamble.id: r.type_spec.bitstring.bit.bitwidth for r in self.info.registers}
        if entry.data.WhichOneof("data") != "bitstring":
            return codes | {INVALID}
        right = fits(entry.data.bitstring, widths.get(entry.register_id, 64))
        return codes | (set() if right else {INVALID, RANGE})

    def _direct(self, kind: int, entry: p4r.TableEntry, resources: Iterable[Any]) -> Codes:
        table = self.tables.get(entry.table_id)
        if table is None:
            return {INVALID}
        codes = {INVALID} if kind != MODIFY else set()
        codes |= {INVALID} if not set(table.direct_resource_ids) & {r.preamble.id for r in resources} else set()
        codes |= self._key_codes(entry, table)
        return codes | ({NOT_FOUND} if self._key(entry) not in self.entries else set())

    def _direct_counter_entry(self, kind: int, entry: p4r.DirectCounterEntry) -> Codes:
        return self._direct(kind, entry.table_entry, self.info.direct_counters)

    def _direct_meter_entry(self, kind: int, entry: p4r.DirectMeterEntry) -> Codes:
        codes = meter_codes(entry.config) if entry.HasField("config") else set()
        return codes | self._direct(kind, entry.table_entry, self.info.direct_meters)

    # -- replication ---------------------------------------------------------------------------------------------------

    def _packet_replication_engine_entry(self, kind: int, entry: p4r.PacketReplicationEngineEntry) -> Codes:
        which = entry.WhichOneof("type")
        if which is None:
            return {INVALID}
        message = getattr(entry, which)
        number = message.multicast_group_id if which == "multicast_group_entry" else message.session_id
        highest = 0xFFFF if which == "multicast_group_entry" else 0x7FFF
        codes = {INVALID} if not 0 < number <= highest else set()
        known = (which, number) in self.replication
        codes |= {EXISTS} if kind == INSERT and known else {NOT_FOUND} if kind != INSERT and not known else set()
        if kind != DELETE:
            pairs = [(shortest(r.port), r.instance) for r in message.replicas]
            wrong = len(set(pairs)) < len(pairs) or any(r.instance > 0xFFFF for r in message.replicas)
            wrong = wrong or not all(r.WhichOneof("port_kind") == "port" and fits(r.port, 9) for r in message.replicas)
            codes |= {INVALID, RANGE} if wrong else set()
        if not codes:
            if kind == DELETE:
                del self.replication[which, number]
            else:
                self.replication[which, number] = p4r.PacketReplicationEngineEntry()
                self.replication[which, number].CopyFrom(entry)
        return codes


def match_is_wrong(matches: Iterable[p4r.FieldMatch], declared: Iterable[p4i.MatchField]) -> bool:
    fields = {field.id: field for field in declared}
    given = list(matches)
    ids = [match.field_id for match in given]
    exact = {field.id for field in fields.values() if field.match_type == p4i.MatchField.EXACT}
    if len(set(ids)) < len(ids) or not set(ids) <= fields.keys() or not exact <= set(ids):
        return True
    return any(field_is_wrong(match, fields[match.field_id]) for match in given)


def field_is_wrong(match: p4r.FieldMatch, field: p4i.MatchField) -> bool:
    kind, width = KINDS[field.match_type], field.bitwidth
    if match.WhichOneof("field_match_type") != kind:
        return True
    value = getattr(match, kind)
    if not all(fits(data, width) for data in strings(kind, value)):
        return True
    full, numbers = (1 << width) - 1, [int.from_bytes(data) for data in strings(kind, value)]
    if kind == "range":
        return numbers[0] > numbers[1] or numbers == [0, full]
    if kind == "lpm":
        return not 0 < value.prefix_len <= width or bool(numbers[0] & full >> value.prefix_len)
    return kind == "ternary" and (numbers[1] == 0 or numbers[0] & numbers[1] != numbers[0])


def strings(kind: str, value: Any) -> list[bytes]:
    """The byte strings of a match."""
    if kind == "range":
        return [value.low, value.high]
    return [value.value, value.mask] if kind == "ternary" else [value.value]


def meter_codes(config: p4r.MeterConfig) -> Codes:
    numbers = (config.cir, config.cburst, config.pir, config.pburst)
    return {INVALID} if config.eburst or min(numbers) < 0 or config.pir < config.cir else set()
