"""Updates drawn from a P4Info: mostly right, some wrong in one place or two. Few values, so that updates meet one another."""

from typing import TYPE_CHECKING, Any

from finsy.proto import p4i, p4r
from hypothesis import strategies as st

from p4rt_model import KINDS
from softswitch_kit import number

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = st.integers(0, 3)
KINDS_OF_UPDATE = st.sampled_from([1] * 12 + [2] * 4 + [3] * 3 + [0])


@st.composite
def values(draw: st.DrawFn, width: int) -> bytes:
    value = draw(st.sampled_from([0, 1, 2, (1 << width) - 1]))
    data = number(value & (1 << width) - 1)
    return draw(st.sampled_from([data, data, data, b"\0" + data]))


@st.composite
def match_fields(draw: st.DrawFn, field: p4i.MatchField) -> p4r.FieldMatch | None:
    kind, width = KINDS[field.match_type], field.bitwidth
    full = (1 << width) - 1
    match = p4r.FieldMatch(field_id=field.id)
    if kind == "exact":
        match.exact.value = draw(values(width))
        return match
    if draw(st.booleans()):
        return None
    if kind == "optional":
        match.optional.value = draw(values(width))
    elif kind == "lpm":
        length = draw(st.sampled_from([1, width // 2 or 1, width]))
        match.lpm.value, match.lpm.prefix_len = number(draw(SMALL) << width - length & full), length
    elif kind == "ternary":
        mask = draw(st.sampled_from([1, 3 & full, full]))
        match.ternary.value, match.ternary.mask = number(draw(SMALL) & mask), number(mask)
    else:
        low = draw(SMALL)
        match.range.low, match.range.high = number(low), number(low + draw(SMALL))
    return match


class Updates:
    """Strategies for one P4Info."""

    def __init__(self, info: p4i.P4Info) -> None:
        self.info = info
        self.actions = {action.preamble.id: action for action in info.actions}

    def any(self) -> st.SearchStrategy[p4r.Update]:
        return self._update()

    @st.composite
    @staticmethod
    def _draw(draw: st.DrawFn, self: "Updates") -> p4r.Update:
        info = self.info
        makers: list[Callable[[st.DrawFn, p4r.Entity], None]] = [self.entry] * 3 if info.tables else []
        makers += [self.member, self.member, self.group, self.group] if info.action_profiles else []
        makers += [self.counter] if info.counters else []
        makers += [self.meter] if info.meters else []
        makers += [self.register] if info.registers else []
        makers += [self.direct_counter] if info.tables and info.direct_counters else []
        makers += [self.direct_meter] if info.direct_meters else []
        makers.append(self.replication)
        update = p4r.Update(type=draw(KINDS_OF_UPDATE))
        maker = draw(st.sampled_from(makers))
        maker(draw, update.entity)
        if maker not in {self.entry, self.member, self.group, self.replication}:
            update.type = draw(st.sampled_from([2, 2, 2, 2, 1, 3]))
        for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2]))):
            break_one_field(draw, update.entity)
        return update

    def _update(self) -> st.SearchStrategy[p4r.Update]:
        return Updates._draw(self)

    # -- right messages ------------------------------------------------------------------------------------------------

    def entry(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        table = draw(st.sampled_from(list(self.info.tables)))
        entry = entity.table_entry
        self.key(draw, entry, table)
        entry.is_default_action = draw(st.sampled_from([False] * 9 + [True]))
        if entry.is_default_action:
            del entry.match[:]
            entry.priority = 0
        entry.metadata = draw(st.sampled_from([b"", b"m"]))
        if draw(st.integers(0, 9)) < 8:
            self.action(draw, entry, table)
        if draw(st.integers(0, 9)) == 0:
            entry.counter_data.packet_count = 5
        if draw(st.integers(0, 9)) == 0:
            self.rates(draw, entry.meter_config)

    def key(self, draw: st.DrawFn, entry: p4r.TableEntry, table: p4i.Table) -> None:
        entry.table_id = table.preamble.id
        for field in table.match_fields:
            match = draw(match_fields(field))
            if match is not None:
                entry.match.append(match)
        if any(KINDS[f.match_type] in {"ternary", "range", "optional"} for f in table.match_fields):
            entry.priority = draw(st.integers(1, 3))

    def action(self, draw: st.DrawFn, entry: p4r.TableEntry, table: p4i.Table) -> None:
        if table.implementation_id:
            which = draw(st.sampled_from(["member", "group", "set", "set"]))
            if which == "member":
                entry.action.action_profile_member_id = draw(SMALL)
            elif which == "group":
                entry.action.action_profile_group_id = draw(SMALL)
            else:
                entry.action.action_profile_action_set.SetInParent()
                for _ in range(draw(SMALL)):
                    item = entry.action.action_profile_action_set.action_profile_actions.add()
                    item.weight = draw(st.sampled_from([1, 1, 2, 7]))
                    self.call(draw, item.action, table)
        else:
            self.call(draw, entry.action.action, table)

    def call(self, draw: st.DrawFn, action: p4r.Action, table: p4i.Table) -> None:
        action.action_id = draw(st.sampled_from([ref.id for ref in table.action_refs]))
        for param in self.actions[action.action_id].params:
            action.params.add(param_id=param.id, value=draw(values(param.bitwidth)))

    def member(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        profile = draw(st.sampled_from(list(self.info.action_profiles)))
        member = entity.action_profile_member
        member.action_profile_id, member.member_id = profile.preamble.id, draw(st.integers(0, 6))
        table = next(t for t in self.info.tables if t.implementation_id == profile.preamble.id)
        self.call(draw, member.action, table)

    def group(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        group = entity.action_profile_group
        group.action_profile_id = draw(st.sampled_from([p.preamble.id for p in self.info.action_profiles]))
        group.group_id, group.max_size = draw(SMALL), draw(st.sampled_from([12, 12, 12, 6, 0, 13]))
        for member in draw(st.lists(SMALL, max_size=4)):
            group.members.add(member_id=member, weight=draw(st.sampled_from([1, 1, 2, 7])))

    def rates(self, draw: st.DrawFn, config: p4r.MeterConfig) -> None:
        config.cir = draw(SMALL)
        config.pir = config.cir + draw(SMALL)
        config.cburst, config.pburst = draw(SMALL), draw(SMALL)

    def index(self, draw: st.DrawFn, message: Any) -> None:
        index = draw(st.sampled_from([None, 0, 1, 3, -1, 1 << 20]))
        if index is not None:
            message.index.index = index

    def counter(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        entity.counter_entry.counter_id = draw(st.sampled_from([c.preamble.id for c in self.info.counters]))
        self.index(draw, entity.counter_entry)
        entity.counter_entry.data.packet_count = draw(SMALL)

    def meter(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        entity.meter_entry.meter_id = draw(st.sampled_from([m.preamble.id for m in self.info.meters]))
        self.index(draw, entity.meter_entry)
        self.rates(draw, entity.meter_entry.config)

    def register(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        register = draw(st.sampled_from(list(self.info.registers)))
        entity.register_entry.register_id = register.preamble.id
        self.index(draw, entity.register_entry)
        entity.register_entry.data.bitstring = draw(values(register.type_spec.bitstring.bit.bitwidth))

    def direct_counter(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        table = draw(st.sampled_from(list(self.info.tables)))
        self.key(draw, entity.direct_counter_entry.table_entry, table)
        entity.direct_counter_entry.data.packet_count = draw(SMALL)

    def direct_meter(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        table = draw(st.sampled_from(list(self.info.tables)))
        self.key(draw, entity.direct_meter_entry.table_entry, table)
        self.rates(draw, entity.direct_meter_entry.config)

    def replication(self, draw: st.DrawFn, entity: p4r.Entity) -> None:
        entry = entity.packet_replication_engine_entry
        if draw(st.booleans()):
            entry.multicast_group_entry.multicast_group_id = draw(SMALL)
            replicas = entry.multicast_group_entry.replicas
        else:
            entry.clone_session_entry.session_id = draw(st.sampled_from([0, 1, 2, 0x7FFF, 0x8000]))
            replicas = entry.clone_session_entry.replicas
        for _ in range(draw(SMALL)):
            replicas.add(port=draw(values(9)), instance=draw(st.sampled_from([0, 1, 1 << 16])))


def break_one_field(draw: st.DrawFn, entity: p4r.Entity) -> None:
    """Take one field of a message, at any depth, and empty it, change it or give it twice."""
    places = list(fields_of(entity))
    if not places:
        return
    message, field, index = draw(st.sampled_from(places))
    if index is not None:
        repeated = getattr(message, field.name)
        if draw(st.booleans()):
            del repeated[index]
        else:
            repeated.add().CopyFrom(repeated[index])
    elif field.cpp_type == field.CPPTYPE_MESSAGE:
        message.ClearField(field.name)
    elif field.cpp_type == field.CPPTYPE_BOOL:
        setattr(message, field.name, not getattr(message, field.name))
    elif field.cpp_type == field.CPPTYPE_STRING:
        setattr(message, field.name, draw(st.sampled_from([b"", b"\xff" * 20, b"\0\0\1", b"\1"])))
    else:
        setattr(message, field.name, draw(st.sampled_from([0, 1, 2, 5, 0x7FFFFFFF])))


def fields_of(message: Any) -> list[tuple[Any, Any, int | None]]:
    """Every field that is set, at any depth: its message, its descriptor, and the index in a repeated field of messages."""
    found: list[tuple[Any, Any, int | None]] = []
    for field, value in message.ListFields():
        if isinstance(value, (bytes, int, bool, str)):
            found.append((message, field, None))
        elif hasattr(value, "ListFields"):
            found += [(message, field, None), *fields_of(value)]
        else:
            for index, item in enumerate(value):
                found += [(message, field, index), *fields_of(item)]
    return found
