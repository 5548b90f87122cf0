"""Table entries and their direct counters and meters as P4Runtime writes and reads them."""

from collections.abc import Callable, Iterator

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.ageing import Ageing
from testbed.softswitch.errors import EntityError, invalid, not_found, unimplemented
from testbed.softswitch.layouts import Chosen, Layouts
from testbed.softswitch.members import ProfileEntries
from testbed.softswitch.meters import Meter, MeterConfig
from testbed.softswitch.profiles import Member, Target
from testbed.softswitch.schema import Schema, TableSchema
from testbed.softswitch.tables import Entry, Match
from testbed.softswitch.values import (
    DELETE,
    INSERT,
    MODIFY,
    decode_action,
    decode_key,
    encode_action,
    encode_key,
    fill_meter,
    meter_config,
)


class TableEntries:
    """Writes and reads entries of the tables of one pipeline.

    Args:
        schema: the pipeline.
        profiles: members and groups that entries may refer to.
        ageing: watches idle timeouts.
        clock: seconds; when a meter's buckets start to fill.
    """

    def __init__(self, schema: Schema, profiles: ProfileEntries, ageing: Ageing, clock: Callable[[], float]) -> None:
        self._schema = schema
        self._profiles = profiles
        self._ageing = ageing
        self._clock = clock
        self._layouts = {
            table.id: Layouts(table.fields, table.actions)
            for table in schema.tables.values()
            if table.profile is None and not table.constant and all(field.kind == "exact" for field in table.fields)
        }

    # -- write ---------------------------------------------------------------------------------------------------------

    def write(self, kind: int, message: p4r.TableEntry) -> None:
        """Apply one update.

        Raises:
            EntityError: the update is not valid or cannot be done; nothing is changed.
        """
        table = self._table(message)
        layouts = self._layouts.get(table.id)
        usual = layouts.decode(message) if layouts else None
        if usual is not None:
            match, chosen = usual
            self._write_entry(kind, message, table, match, 0, chosen)
            return
        if message.is_const:
            raise invalid(f"table {table.name}: only the program makes entries constant")
        if kind != DELETE:  # which looks at the key and at nothing else
            _refuse_extras(message, table)
        if message.is_default_action:
            self._write_default(kind, message, table)
            return
        if not table.fields:
            raise invalid(f"table {table.name}: it has no key, so no entries but the default entry")
        match, priority = self._identity(message, table)
        self._write_entry(kind, message, table, match, priority)
        if layouts and (kind != DELETE or not message.HasField("action")):
            layouts.learn(message)

    def _write_entry(
        self,
        kind: int,
        message: p4r.TableEntry,
        table: TableSchema,
        match: Match,
        priority: int,
        chosen: Chosen | None = None,
    ) -> None:
        """Carry out an update whose key is right; `chosen`: its action, if that was looked at already."""
        entry = table.table.entries.get(table.table.identity(match, priority))
        if table.constant and (kind != MODIFY or message.HasField("action")):
            raise EntityError(errors.PERMISSION_DENIED, f"table {table.name}: its entries are constant")
        if kind == INSERT:
            self._insert(message, table, entry, match, priority, chosen)
        elif entry is None:
            raise not_found(f"table {table.name}: no such entry")
        elif kind == DELETE:
            table.table.remove(entry)
            self._ageing.watch(table, entry, 0)
            self._release(table, entry)
        else:
            config = _meter_config(message)
            if message.HasField("action"):
                self._replace(message, table, entry, chosen)
            self._attach(message, table, entry, config)

    def _insert(
        self,
        message: p4r.TableEntry,
        table: TableSchema,
        entry: Entry | None,
        match: Match,
        priority: int,
        chosen: Chosen | None,
    ) -> None:
        if entry is not None:
            raise EntityError(errors.ALREADY_EXISTS, f"table {table.name}: the entry is there already")
        if not message.HasField("action"):
            raise invalid(f"table {table.name}: an entry needs an action")
        config = _meter_config(message)
        if table.profile is None:
            action, args = chosen or _action(message, table)
            _check_room(table)
            entry = Entry(action, args, match, priority)
        else:
            self._profiles.check(message.action, table.profile)
            _check_room(table)
            entry = Entry(table.table.default.action, (), match, priority)
            entry.target = self._profiles.take(message.action, table.profile)
        entry.last_hit = self._clock()
        self._attach(message, table, entry, config)
        table.table.insert(entry)

    def _replace(self, message: p4r.TableEntry, table: TableSchema, entry: Entry, chosen: Chosen | None) -> None:
        if table.profile is None:
            table.table.replace(entry, *(chosen or _action(message, table)))
        else:
            before = entry.target
            target = self._profiles.take(message.action, table.profile, instead=before)
            table.table.replace(entry, entry.action, (), target)
            self._release(table, entry, before)

    def _release(self, table: TableSchema, entry: Entry, target: Target | None = None) -> None:
        if table.profile is not None:
            self._profiles.release(table.profile, target or entry.target)

    def _attach(self, message: p4r.TableEntry, table: TableSchema, entry: Entry, config: MeterConfig | None) -> None:
        """Metadata, counter and meter that come with an entry; a meter without configuration goes back to green."""
        entry.metadata, entry.cookie = message.metadata, message.controller_metadata
        self._ageing.watch(table, entry, message.idle_timeout_ns)
        if message.HasField("counter_data"):
            entry.count(message.counter_data.packet_count, message.counter_data.byte_count)
        if table.meter:
            self._set_meter(entry, config)

    def _set_meter(self, entry: Entry, config: MeterConfig | None) -> None:
        if config is None:
            entry.meter = None
        else:
            if entry.meter is None:
                entry.meter = Meter()
            entry.meter.configure(config, self._clock())

    def _write_default(self, kind: int, message: p4r.TableEntry, table: TableSchema) -> None:
        if message.match or message.priority:
            raise invalid(f"table {table.name}: the default entry has neither match nor priority")
        if kind != MODIFY:
            raise invalid(f"table {table.name}: the default entry can only be modified")
        if table.const_default:
            raise EntityError(errors.PERMISSION_DENIED, f"table {table.name}: its default action is constant")
        if message.HasField("meter_config") or message.HasField("counter_data"):
            raise unimplemented(f"table {table.name}: the default entry has no counter or meter, as on BMv2")
        if not message.HasField("action"):
            table.table.set_default(table.table.initial)
            return
        entry = Entry(*_action(message, table, default=True), hit=False)
        if table.profile is not None:
            entry.target = Member(entry.action, entry.args)
        entry.metadata, entry.cookie = message.metadata, message.controller_metadata
        table.table.set_default(entry)

    def write_direct_counter(self, kind: int, message: p4r.DirectCounterEntry) -> None:
        """Set the counter of an entry.

        Raises:
            EntityError: as `write`.
        """
        table, entry = self._direct(kind, message.table_entry, "direct counter")
        if table.counter is None:
            raise invalid(f"table {table.name}: it has no direct counter")
        if message.HasField("data"):
            entry.count(message.data.packet_count, message.data.byte_count)

    def write_direct_meter(self, kind: int, message: p4r.DirectMeterEntry) -> None:
        """Configure the meter of an entry; without a configuration it is always green.

        Raises:
            EntityError: as `write`.
        """
        table, entry = self._direct(kind, message.table_entry, "direct meter")
        if table.meter is None:
            raise invalid(f"table {table.name}: it has no direct meter")
        if message.HasField("counter_data"):
            raise unimplemented("counters by colour of a meter")
        self._set_meter(entry, meter_config(message.config) if message.HasField("config") else None)

    def _direct(self, kind: int, message: p4r.TableEntry, what: str) -> tuple[TableSchema, Entry]:
        if kind != MODIFY:
            raise invalid(f"a {what} can only be modified")
        table = self._table(message)
        if message.is_default_action:
            raise unimplemented(f"table {table.name}: the default entry has no {what}, as on BMv2")
        entry = table.table.entries.get(table.table.identity(*self._identity(message, table)))
        if entry is None:
            raise not_found(f"table {table.name}: no such entry")
        return table, entry

    # -- read ----------------------------------------------------------------------------------------------------------

    def read(self, message: p4r.TableEntry) -> Iterator[p4r.Entity]:
        """Entries that a request asks for; an omitted table, match, priority or action stands for all.

        Raises:
            EntityError: an unknown table or a malformed match.
        """
        if message.HasField("time_since_last_hit") and message.table_id and not self._table(message).timeouts:
            raise invalid(f"table {self._table(message).name}: it has no idle timeouts")
        for table, entry in self._select(message):
            if message.HasField("action") and not _same_action(message, table, entry):
                continue
            if message.metadata not in {b"", entry.metadata} or message.controller_metadata not in {0, entry.cookie}:
                continue
            entity = p4r.Entity()
            self._fill(entity.table_entry, table, entry)
            if message.HasField("counter_data") and table.counter and entry.hit:
                _fill_counter(entity.table_entry.counter_data, table, entry)
            if message.HasField("time_since_last_hit") and entry.hit:
                elapsed = max(self._clock() - entry.last_hit, 0.0)
                entity.table_entry.time_since_last_hit.elapsed_ns = int(elapsed * 1e9)
            if message.HasField("meter_config") and entry.meter is not None:
                fill_meter(entity.table_entry.meter_config, entry.meter.config)
            yield entity

    def read_changed_defaults(self) -> Iterator[p4r.Entity]:
        """Default entries that were written."""
        for table in self._schema.tables.values():
            if table.table.default is not table.table.initial:
                entity = p4r.Entity()
                self._fill(entity.table_entry, table, table.table.default)
                yield entity

    def read_direct_counter(self, message: p4r.DirectCounterEntry) -> Iterator[p4r.Entity]:
        """Counters of the entries that a request asks for.

        Raises:
            EntityError: no such table, entry or counter.
        """
        for table, entry in self._select_direct(message.table_entry, "counter"):
            entity = p4r.Entity()
            self._fill(entity.direct_counter_entry.table_entry, table, entry, with_action=False)
            _fill_counter(entity.direct_counter_entry.data, table, entry)
            yield entity

    def read_direct_meter(self, message: p4r.DirectMeterEntry) -> Iterator[p4r.Entity]:
        """Meter configurations of the entries that a request asks for.

        Raises:
            EntityError: no such table, entry or meter.
        """
        for table, entry in self._select_direct(message.table_entry, "meter"):
            entity = p4r.Entity()
            self._fill(entity.direct_meter_entry.table_entry, table, entry, with_action=False)
            if entry.meter is not None:
                fill_meter(entity.direct_meter_entry.config, entry.meter.config)
            yield entity

    def _select_direct(self, message: p4r.TableEntry, what: str) -> Iterator[tuple[TableSchema, Entry]]:
        if message.table_id:
            table = self._table(message)
            if not (table.counter if what == "counter" else table.meter):
                raise invalid(f"table {table.name}: it has no direct {what}")
            if message.match and self._find(message, table) is None:
                raise not_found(f"table {table.name}: no such entry")
        for table, entry in self._select(message):
            if entry.hit and (table.counter if what == "counter" else table.meter):
                yield table, entry

    def _select(self, message: p4r.TableEntry) -> Iterator[tuple[TableSchema, Entry]]:
        tables = [self._table(message)] if message.table_id else list(self._schema.tables.values())
        if not message.table_id and (message.match or message.HasField("action")):
            raise invalid("a read of all tables can name neither match nor action")
        if message.HasField("action") and tables[0].profile is not None:
            raise invalid(f"table {tables[0].name}: its entries cannot be filtered by action")
        for table in tables:
            if message.is_default_action:
                yield table, table.table.default
            elif message.match:
                entry = self._find(message, table)
                if entry is not None:
                    yield table, entry
            else:
                for entry in list(table.table.entries.values()):
                    if not message.priority or entry.priority == message.priority:
                        yield table, entry

    def _find(self, message: p4r.TableEntry, table: TableSchema) -> Entry | None:
        return table.table.entries.get(table.table.identity(*self._identity(message, table)))

    def _fill(self, message: p4r.TableEntry, table: TableSchema, entry: Entry, *, with_action: bool = True) -> None:
        message.table_id = table.id
        if entry.hit:
            message.priority = entry.priority
            encode_key(message.match, table.fields, entry.match)
            message.idle_timeout_ns = entry.timeout_ns
            message.is_const = table.constant
        else:
            message.is_default_action = True
        message.metadata, message.controller_metadata = entry.metadata, entry.cookie
        if with_action and table.profile is not None and entry.hit:
            self._profiles.fill(message.action, table.profile, entry)
        elif with_action and table.profile is not None:
            message.action.action.action_id = next((a.id for a in table.actions.values() if a.name == "NoAction"), 0)
        elif with_action and entry.action in table.by_index:
            encode_action(message.action.action, table.by_index[entry.action], entry.args)

    # -- shared --------------------------------------------------------------------------------------------------------

    def _table(self, message: p4r.TableEntry) -> TableSchema:
        table = self._schema.tables.get(message.table_id)
        if table is None:
            raise invalid(f"no table with id {message.table_id}")
        return table

    def _identity(self, message: p4r.TableEntry, table: TableSchema) -> tuple[Match, int]:
        match = decode_key(message.match, table.fields, f"table {table.name}")
        if table.prioritised != (message.priority > 0) or message.priority < 0:
            rule = "must be greater than 0" if table.prioritised else "must be 0"
            raise invalid(f"table {table.name}: the priority {rule}, not {message.priority}")
        return match, message.priority


def _meter_config(message: p4r.TableEntry) -> MeterConfig | None:
    return meter_config(message.meter_config) if message.HasField("meter_config") else None


def _refuse_extras(message: p4r.TableEntry, table: TableSchema) -> None:
    if message.HasField("counter_data") and table.counter is None:
        raise invalid(f"table {table.name}: it has no direct counter")
    if message.HasField("meter_config") and table.meter is None:
        raise invalid(f"table {table.name}: it has no direct meter")
    if message.HasField("meter_counter_data"):
        raise unimplemented("counters by colour of a meter")
    if message.HasField("time_since_last_hit"):
        raise invalid(f"table {table.name}: the time since the last hit can only be read")
    if message.idle_timeout_ns and (not table.timeouts or message.is_default_action or table.constant):
        raise invalid(f"table {table.name}: {'its default entry' if table.timeouts else 'it'} has no idle timeout")
    if message.idle_timeout_ns < 0:
        raise invalid(f"table {table.name}: an idle timeout cannot be negative")


def _action(message: p4r.TableEntry, table: TableSchema, *, default: bool = False) -> Chosen:
    """Number and arguments of an entry's action."""
    if message.action.WhichOneof("type") != "action":
        raise invalid(f"table {table.name}: it takes actions directly, not by {message.action.WhichOneof('type')}")
    ref, args = decode_action(message.action.action, table.actions, f"table {table.name}")
    if not (ref.as_default if default else ref.in_table):
        what = "the default entry" if default else "an entry"
        raise EntityError(errors.PERMISSION_DENIED, f"table {table.name}: {ref.name} cannot be the action of {what}")
    return ref.index, args


def _check_room(table: TableSchema) -> None:
    if len(table.table.entries) >= table.size:
        raise EntityError(errors.RESOURCE_EXHAUSTED, f"table {table.name}: full with {table.size} entries")


def _same_action(message: p4r.TableEntry, table: TableSchema, entry: Entry) -> bool:
    """Whether an entry has the action that a read filters for; the parameters are not looked at."""
    ref = table.by_index.get(entry.action)
    return ref is not None and ref.id == message.action.action.action_id


def _fill_counter(message: p4r.CounterData, table: TableSchema, entry: Entry) -> None:
    message.SetInParent()
    if table.counter and table.counter.bytes:
        message.byte_count = entry.bytes
    if table.counter and table.counter.packets:
        message.packet_count = entry.packets
