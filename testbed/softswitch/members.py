"""Action profile members and groups as P4Runtime writes and reads them, and what table entries say of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from finsy.proto import p4r

from testbed.softswitch import errors
from testbed.softswitch.errors import EntityError, invalid, not_found, unimplemented
from testbed.softswitch.profiles import Group, Member, Share, Target
from testbed.softswitch.schema import ProfileSchema, Schema
from testbed.softswitch.tables import Args, Entry
from testbed.softswitch.values import DELETE, INSERT, decode_action, encode_action

MAX_COPIES = 1 << 16
"""Sum of the weights in one group."""

_T = TypeVar("_T")
_Weighted: TypeAlias = p4r.ActionProfileGroup.Member | p4r.ActionProfileAction


class ProfileEntries:
    """Writes and reads the action profiles of one pipeline."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    # -- members -------------------------------------------------------------------------------------------------------

    def write_member(self, kind: int, message: p4r.ActionProfileMember) -> None:
        """Apply one update.

        Raises:
            EntityError: it is not valid or cannot be done; nothing is changed.
        """
        schema, number = self._profile(message.action_profile_id), message.member_id
        where, members = f"action profile {schema.name}", schema.profile.members
        _require_id(number, f"{where}: a member")
        if kind == INSERT:
            if number in members:
                raise EntityError(errors.ALREADY_EXISTS, f"{where}: the member {number} is there already")
            self._require_manual(schema)
            action, args = _member_action(message, schema)
            if 0 < schema.size <= len(members):
                raise EntityError(errors.RESOURCE_EXHAUSTED, f"{where}: full with {schema.size} members")
            schema.profile.insert(Member(action, args, number))
            return
        member = members.get(number)
        if member is None:
            raise not_found(f"{where}: no member {number}")
        if kind == DELETE:
            if member.weights or member.users:
                user = "a group" if member.weights else "a table entry"
                raise EntityError(errors.FAILED_PRECONDITION, f"{where}: the member {number} is in use by {user}")
            schema.profile.remove(member)
        else:
            member.set(*_member_action(message, schema))

    def read_member(self, message: p4r.ActionProfileMember) -> Iterator[p4r.Entity]:
        """Members that a request asks for; profile 0 is every profile, member 0 every member.

        Raises:
            EntityError: no such profile.
        """
        for schema in self._select(message.action_profile_id):
            for member in _pick(schema.profile.members, message.member_id):
                entity = p4r.Entity()
                entity.action_profile_member.action_profile_id = schema.id
                entity.action_profile_member.member_id = member.id
                encode_action(entity.action_profile_member.action, schema.by_index[member.action], member.args)
                yield entity

    # -- groups --------------------------------------------------------------------------------------------------------

    def write_group(self, kind: int, message: p4r.ActionProfileGroup) -> None:
        """Apply one update.

        Raises:
            EntityError: it is not valid or cannot be done; nothing is changed.
        """
        schema, number = self._profile(message.action_profile_id), message.group_id
        where, groups = f"action selector {schema.name}", schema.profile.groups
        if not schema.selector:
            raise invalid(f"action profile {schema.name}: it has no selector, so no groups")
        _require_id(number, f"{where}: a group")
        group = groups.get(number)
        if kind == INSERT:
            if group is not None:
                raise EntityError(errors.ALREADY_EXISTS, f"{where}: the group {number} is there already")
            self._require_manual(schema)
            _check_max_size(message.max_size, schema)
            group = Group(number, message.max_size)
            schema.profile.set_group(group, self._shares(message, schema, group))
        elif group is None:
            raise not_found(f"{where}: no group {number}")
        elif kind == DELETE:
            if group.users:
                raise EntityError(errors.FAILED_PRECONDITION, f"{where}: the group {number} is in use by a table entry")
            schema.profile.remove_group(group)
        else:
            if message.max_size != group.max_size:
                raise invalid(
                    f"{where}: the group {number} was made with max_size {group.max_size}, which cannot change"
                )
            schema.profile.set_group(group, self._shares(message, schema, group))

    @staticmethod
    def _shares(message: p4r.ActionProfileGroup, schema: ProfileSchema, group: Group) -> list[Share]:
        """What a group shall consist of, all checked."""
        where, members = f"action selector {schema.name}, group {message.group_id}", schema.profile.members
        numbers = [item.member_id for item in message.members]
        if len(set(numbers)) != len(numbers):
            raise invalid(f"{where}: a member is given twice; give it a weight instead")
        for item in message.members:
            _check_weight(item, schema, where)
        for number in numbers:
            if number not in members:
                raise not_found(f"{where}: no member {number}")
        shares = [Share(members[item.member_id], item.weight or 1) for item in message.members]
        limit = group.max_size or schema.max_group_size
        if 0 < limit < _size(shares, schema):
            raise EntityError(errors.RESOURCE_EXHAUSTED, f"{where}: larger than {limit}")
        _check_room(shares, group.shares, schema, where)
        return shares

    def read_group(self, message: p4r.ActionProfileGroup) -> Iterator[p4r.Entity]:
        """Groups that a request asks for; profile 0 is every profile, group 0 every group.

        Raises:
            EntityError: no such profile.
        """
        for schema in self._select(message.action_profile_id):
            for group in _pick(schema.profile.groups, message.group_id):
                entity = p4r.Entity()
                answer = entity.action_profile_group
                answer.action_profile_id, answer.group_id, answer.max_size = schema.id, group.id, group.max_size
                for share in group.shares:
                    answer.members.add(member_id=share.member.id, weight=0 if schema.weightless else share.weight)
                yield entity

    # -- for table entries ---------------------------------------------------------------------------------------------

    def check(self, action: p4r.TableAction, schema: ProfileSchema) -> None:
        """Whether an entry may have this action.

        Raises:
            EntityError: it may not.
        """
        self._resolve(action, schema)

    def take(self, action: p4r.TableAction, schema: ProfileSchema, instead: Target | None = None) -> Target:
        """What an entry refers to, which counts the reference; a one-shot group is made.

        Args:
            action: the entry's action.
            schema: the table's profile.
            instead: what the entry has referred to until now.

        Raises:
            EntityError: there is no such member or group, or the set is not valid; nothing is changed.
        """
        found = self._resolve(action, schema, instead)
        target = schema.profile.add_one_shot(found) if isinstance(found, list) else found
        target.users += 1
        return target

    @staticmethod
    def release(schema: ProfileSchema, target: Target | None) -> None:
        """An entry refers to this no longer."""
        if target is None:
            raise AssertionError("an entry of a table with an action profile refers to a member or group")
        target.users -= 1
        if isinstance(target, Group) and not target.id:
            schema.profile.remove_one_shot(target)

    def _resolve(
        self, action: p4r.TableAction, schema: ProfileSchema, instead: Target | None = None
    ) -> Target | list[Share]:
        which = action.WhichOneof("type")
        if which == "action_profile_member_id":
            self._require_manual(schema)
            return _one(schema.profile.members, action.action_profile_member_id, f"{schema.name}: no member")
        if which == "action_profile_group_id" and schema.selector:
            self._require_manual(schema)
            return _one(schema.profile.groups, action.action_profile_group_id, f"{schema.name}: no group")
        if which == "action_profile_action_set" and schema.selector:
            return self._one_shot(action.action_profile_action_set, schema, instead)
        kind = "action selector" if schema.selector else "action profile"
        raise invalid(f"{kind} {schema.name}: an entry of its tables cannot have an action of type {which}")

    @staticmethod
    def _one_shot(message: p4r.ActionProfileActionSet, schema: ProfileSchema, instead: Target | None) -> list[Share]:
        where = f"action selector {schema.name}, action set"
        if schema.profile.members or schema.profile.groups:
            raise invalid(f"{where}: the selector has members or groups; action sets cannot be mixed with them")
        if message.action_selection_mode or message.size_semantics:
            raise unimplemented(f"{where}: a selection mode or size semantics of its own")
        chosen = []
        for item in message.action_profile_actions:
            _check_weight(item, schema, where)
            ref, args = decode_action(item.action, schema.actions, where)
            chosen.append(Share(Member(ref.index, args), item.weight or 1))
        if 0 < schema.max_group_size < _size(chosen, schema):
            raise invalid(f"{where}: larger than {schema.max_group_size}, the largest group")
        _check_room(chosen, instead.shares if isinstance(instead, Group) else (), schema, where)
        return chosen

    @staticmethod
    def fill(message: p4r.TableAction, schema: ProfileSchema, entry: Entry) -> None:
        """Say in an entry that is read what it refers to."""
        target = entry.target
        if isinstance(target, Member):
            message.action_profile_member_id = target.id
        elif target is not None and target.id:
            message.action_profile_group_id = target.id
        elif target is not None:
            message.action_profile_action_set.SetInParent()
            for share in target.shares:
                item = message.action_profile_action_set.action_profile_actions.add(
                    weight=0 if schema.weightless else share.weight
                )
                encode_action(item.action, schema.by_index[share.member.action], share.member.args)

    # -- shared --------------------------------------------------------------------------------------------------------

    def _profile(self, number: int) -> ProfileSchema:
        if number not in self._schema.profiles:
            raise invalid(f"no action profile with id {number}")
        return self._schema.profiles[number]

    def _select(self, number: int) -> list[ProfileSchema]:
        return [self._profile(number)] if number else list(self._schema.profiles.values())

    @staticmethod
    def _require_manual(schema: ProfileSchema) -> None:
        if schema.profile.one_shots:
            raise invalid(
                f"action selector {schema.name}: its tables have action sets; members and groups cannot be mixed with them"
            )


def _member_action(message: p4r.ActionProfileMember, schema: ProfileSchema) -> tuple[int, Args]:
    where = f"action profile {schema.name}, member {message.member_id}"
    if not message.HasField("action"):
        raise invalid(f"{where}: a member needs an action")
    ref, args = decode_action(message.action, schema.actions, where)
    return ref.index, args


def _require_id(number: int, what: str) -> None:
    if not number:
        raise invalid(f"{what} needs an id other than 0")


def _check_max_size(size: int, schema: ProfileSchema) -> None:
    if size < 0 or (schema.max_group_size and not 0 < size <= schema.max_group_size):
        rule = f"in 1 to {schema.max_group_size}" if schema.max_group_size else "0 or more"
        raise invalid(f"action selector {schema.name}: the max_size of a group must be {rule}, not {size}")


def _check_weight(item: _Weighted, schema: ProfileSchema, where: str) -> None:
    if schema.weightless:
        if item.weight:
            raise invalid(f"{where}: the switch determines the weights here; leave them out")
    elif item.weight < 1 or 0 < schema.max_weight < item.weight:
        rule = f"in 1 to {schema.max_weight}" if schema.max_weight else "1 or more"
        raise invalid(f"{where}: a weight must be {rule}, not {item.weight}")
    if item.WhichOneof("watch_kind") is not None:
        raise unimplemented(f"{where}: watch ports")


def _size(shares: Iterable[Share], schema: ProfileSchema) -> int:
    """A group's size as the selector counts it."""
    return sum(1 if schema.by_members else share.weight for share in shares)


def _check_room(shares: Iterable[Share], before: Iterable[Share], schema: ProfileSchema, where: str) -> None:
    if sum(share.weight for share in shares) > MAX_COPIES:
        raise EntityError(errors.RESOURCE_EXHAUSTED, f"{where}: the weights are more than {MAX_COPIES} in all")
    used = schema.profile.shares if schema.by_members else schema.profile.weight
    if 0 < schema.size < used - _size(before, schema) + _size(shares, schema):
        raise EntityError(
            errors.RESOURCE_EXHAUSTED, f"{where}: the selector's groups would exceed {schema.size} in all"
        )


def _one(known: Mapping[int, _T], number: int, what: str) -> _T:
    if number not in known:
        raise not_found(f"{what} {number}")
    return known[number]


def _pick(known: Mapping[int, _T], number: int) -> list[_T]:
    """All, or the one that is asked for, when it exists: a read is a filter."""
    if number:
        return [known[number]] if number in known else []
    return list(known.values())
