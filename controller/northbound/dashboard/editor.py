"""The policy editor: what it takes is what REST takes, it is checked in the same way, and the audit log has it."""

import re
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from nicegui import ui
from pydantic import ValidationError

from controller.mobility.address import Address, format_address
from controller.northbound import fields
from controller.northbound.access import Access, Identity
from controller.northbound.control import Control
from controller.northbound.errors import ControlError
from controller.northbound.policy_models import PolicyRequest
from controller.northbound.routes.common import record
from controller.northbound.routes.policies import find_policy
from controller.northbound.tokens import Role


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
            with ui.row().classes("w-full items-end gap-3"):
                if self.home_address is None:
                    self._text("home_address", "Home address", "w-72")
                self._text("name", "Name", "w-40")
                self._text("priority", "Priority", "w-28")
                choices = {"steer": "Steer to one BID", "balance": "Balance", "replicate": "Replicate", "drop": "Drop"}
                self._inputs["action"] = ui.select(choices, value="steer", label="Action").classes("w-48")
                self._text("targets", "BIDs, as in 2 or 1:3,2:1", "w-52")
            with ui.row().classes("w-full items-end gap-3"):
                self._text("source", "Source prefix", "w-56")
                protocols = {"": "any", **{name: name for name in fields.PROTOCOLS}}
                self._inputs["protocol"] = ui.select(protocols, value="", label="Protocol").classes("w-32")
                self._text("source_ports", "Source ports", "w-40")
                self._text("destination_ports", "Destination ports", "w-44")
                self._text("dscp", "DSCP", "w-24")
            with ui.row().classes("gap-2 items-center"):
                ui.button("Check", on_click=self._check).props("outline no-caps")
                ui.button("Save", on_click=self._save).props("unelevated no-caps")
                ui.button("Delete", on_click=self._delete).props("flat no-caps color=negative")
                self._verdict = ui.label("").classes("mono").props('role="status"')

    def _text(self, name: str, label: str, width: str) -> None:
        self._inputs[name] = ui.input(label).classes(width).props(f'data-field="{name}"')

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
        selector: dict[str, Any] = {}
        for name in ("source", "protocol", "source_ports", "destination_ports"):
            if value := self._value(name):
                selector[name] = value
        if dscp := self._value("dscp"):
            selector["dscp"] = int(dscp)
        body: dict[str, Any] = {"priority": int(self._value("priority") or 0), "selector": selector}
        action, targets = self._value("action"), self._value("targets")
        body["action"] = action
        if action == "steer":
            body["bid"] = int(targets or 0)
        elif action == "balance":
            parts = [part.partition(":") for part in targets.split(",")]
            body["shares"] = [{"bid": int(bid), "weight": int(weight or 1)} for bid, _, weight in parts]
        elif action == "replicate":
            body["bids"] = [int(part) for part in targets.split(",")]
        return PolicyRequest.model_validate(body)

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
            updates = self.control.preview_policy(request.to_policy(who, self._name()))
        except (ValueError, ControlError) as error:
            self._tell(_reason(error), good=False)
            return
        tables = ", ".join(f"{one.op} {one.table}" for one in updates) or "nothing now"
        self._tell(f"good; would write: {tables}", good=True)

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


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False)
        return "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}".removeprefix(": ")
            for one in found[:3]
        )
    return str(error)
