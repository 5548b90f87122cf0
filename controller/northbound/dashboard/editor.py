"""The policy editor: what it takes is what REST takes, it is checked in the same way, and the audit log has it."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from fastapi import FastAPI
from nicegui import ui
from pydantic import ValidationError

from controller.mobility.address import Address, format_address
from controller.northbound import fields
from controller.northbound.access import Access, Identity
from controller.northbound.control import Control
from controller.northbound.dashboard import form
from controller.northbound.errors import ControlError
from controller.northbound.policy_models import PolicyRequest
from controller.northbound.routes.common import record
from controller.northbound.routes.policies import find_policy
from controller.northbound.schedule import DAYS
from controller.northbound.tokens import Role
from controller.northbound.views import TableUpdate

_LISTED: Final = 4
"""Updates of one table that a check shows."""


@dataclass(slots=True)
class Editor:
    """A form for one policy.

    Args:
        app: the application that the dashboard is part of.
        control: the service.
        identity: who edits.
        home_address: whose policy; None: the form asks.
    """

    app: FastAPI
    control: Control
    identity: Identity
    home_address: Address | None = None
    _inputs: dict[str, Any] = field(default_factory=dict)
    _days: dict[str, Any] = field(default_factory=dict)
    _verdict: Any = None

    def build(self) -> None:
        """Put the form on the page."""
        with ui.element("section").classes("card").props('aria-label="Policy editor"'):
            ui.html("<h2>Set a policy</h2>", sanitize=False)
            if not self.identity.role.includes(Role.OPERATOR):
                ui.html(
                    '<p class="quiet">Your token may look, not change: that needs the role operator.</p>',
                    sanitize=False,
                )
                return
            self._policy()
            self._packets()
            self._times()
            with ui.row().classes("gap-2 items-center"):
                ui.button("Load", on_click=self._load).props("flat no-caps")
                ui.button("Check", on_click=self._check).props("outline no-caps")
                ui.button("Save", on_click=self._save).props("unelevated no-caps")
                ui.button("Delete", on_click=self._delete).props("flat no-caps color=negative")
            self._verdict = ui.label("").classes("mono verdict").props('role="status"')

    def _policy(self) -> None:
        with _fieldset("Policy"):
            if self.home_address is None:
                self._text("home_address", "Home address")
            self._text("name", "Name")
            self._text("priority", "Priority", "inputmode=numeric")
            choices = {"steer": "Steer to one BID", "balance": "Balance", "replicate": "Replicate", "drop": "Drop"}
            self._inputs["action"] = ui.select(choices, value="steer", label="Action")
            self._text("targets", "BIDs, as in 2 or 1:3,2:1")

    def _packets(self) -> None:
        with _fieldset("Packets towards the node; empty: any"):
            self._text("source", "Source prefix")
            self._text("destination", "Destination prefix")
            self._text("protocol", "Protocol", known=[*fields.PROTOCOLS])
            self._text("source_ports", "Source ports")
            self._text("destination_ports", "Destination ports")
            self._text("dscp", "DSCP", "inputmode=numeric")
            self._text("flow_label", "Flow label", "inputmode=numeric")
            self._text("spi", "SPI", "inputmode=numeric")
            self._inputs["fallback"] = ui.checkbox("Fallback: what nothing else takes")

    def _times(self) -> None:
        with _fieldset("Times in UTC; empty: always"):
            self._text("not_before", "From", "type=datetime-local step=1")
            self._text("not_after", "Until", "type=datetime-local step=1")
            self._text("begins", "Hours begin", "type=time")
            self._text("ends", "Hours end", "type=time")
            with ui.element("div").classes("days").props('role="group" aria-label="Days on which the hours begin"'):
                self._days = {day: ui.checkbox(day.capitalize()) for day in DAYS}

    def _text(self, name: str, label: str, props: str = "", known: list[str] | None = None) -> None:
        self._inputs[name] = ui.input(label, autocomplete=known).props(f'data-field="{name}" stack-label {props}')

    def _value(self, name: str) -> str:
        return str(self._inputs[name].value or "").strip()

    def _name(self) -> str:
        name = self._value("name")
        if not re.fullmatch(fields.NAME, name):
            raise ValueError(f"name: {name!r} is none: letters, digits, dot, dash, underscore; at most 63")
        return name

    def _who(self) -> Address:
        return self.home_address if self.home_address is not None else fields.home_address(self._value("home_address"))

    def _request(self) -> PolicyRequest:
        """Return what the form says.

        Raises:
            ValueError: a field is wrong.
        """
        values = {name: field.value for name, field in self._inputs.items()}
        values["days"] = [day for day, box in self._days.items() if box.value]
        return PolicyRequest.model_validate(form.body(values))

    def _load(self) -> None:
        """Fill the form with a policy that is there, to change it."""
        try:
            policy = find_policy(self.control, self._who(), self._value("name"))
        except ValueError as error:
            self._tell(str(error), good=False)
            return
        if policy is None:
            self._tell(f"there is no policy {self._value('name')!r}", good=False)
            return
        values = form.filled(policy)
        for day, box in self._days.items():
            box.set_value(day in values["days"])
        for name, value in values.items():
            if name in self._inputs:
                self._inputs[name].set_value(value)
        self._tell(f"{policy.name}: loaded, {policy.state.value}", good=True)

    def _tell(self, text: str, *, good: bool) -> None:
        self._verdict.set_text(text)
        self._verdict.style(f"color: var(--{'good' if good else 'bad'})")

    def _allowed(self) -> bool:
        access: Access = self.app.state.access
        if access.still_good(self.identity):
            return True
        self._tell("your token is not good any more: log in again", good=False)
        return False

    def _check(self) -> None:
        try:
            request, who = self._request(), self._who()
            schedule = request.to_schedule()
            updates = self.control.preview_policy(request.to_policy(who, self._name()), schedule)
        except (ValueError, ControlError) as error:
            self._tell(_reason(error), good=False)
            return
        waits = schedule is not None and not schedule.is_open(time.time())
        head = "good; it would wait for its time" if waits else "good"
        self._tell(f"{head}; would write: {_listed(updates)}", good=True)

    async def _save(self) -> None:
        if not self._allowed():
            return
        try:
            request, who, name = self._request(), self._who(), self._name()
            async with self.app.state.changing:
                before = find_policy(self.control, who, name)
                await self.control.put_policy(request.to_policy(who, name), request.to_schedule())
                after = find_policy(self.control, who, name)
                await record(self.control, self.identity, "put", self._path(who, name), before, after)
        except (ValueError, ControlError) as error:
            self._tell(_reason(error), good=False)
            return
        self._tell(f"{name}: saved", good=True)

    async def _delete(self) -> None:
        if not self._allowed():
            return
        try:
            who, name = self._who(), self._value("name")
            async with self.app.state.changing:
                before = find_policy(self.control, who, name)
                found = await self.control.delete_policy(who, name)
                if found:
                    await record(self.control, self.identity, "delete", self._path(who, name), before)
        except (ValueError, ControlError) as error:
            self._tell(_reason(error), good=False)
            return
        self._tell(f"{name}: deleted" if found else f"there is no policy {name!r}", good=found)

    @staticmethod
    def _path(who: Address, name: str) -> str:
        return f"/v1/nodes/{format_address(who)}/policies/{name}"


@contextmanager
def _fieldset(legend: str) -> Iterator[None]:
    """Group fields under a heading that screen readers tell too."""
    with ui.element("fieldset").classes("fields"):
        ui.html(legend, sanitize=False, tag="legend")
        yield


def _listed(updates: Sequence[TableUpdate]) -> str:
    """Return what a check would write: of each table the first few, as a balanced flow alone has 64 buckets."""
    lines: list[str] = []
    for (op, table), group in groupby(updates, key=lambda one: (one.op, one.table)):
        first, *more = (f"{op} {table} {_pairs(one.match)} → {one.action}({_pairs(one.params)})" for one in group)
        lines += [first, *more[: _LISTED - 1]]
        if len(more) >= _LISTED:
            lines.append(f"{op} {table}: {len(more) - _LISTED + 1} more")
    return "\n".join(["", *lines]) if lines else "nothing now"


def _pairs(named: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in named.items())


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False)
        return "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}".removeprefix(": ")
            for one in found[:3]
        )
    return str(error)
