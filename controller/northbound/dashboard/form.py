"""The fields of the policy editor: what is typed as the body of a request, as REST takes it, and a policy as what would be typed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from controller.northbound.policy_models import PolicyResource, ScheduleResource
from controller.northbound.schedule import DAYS

Values: TypeAlias = Mapping[str, Any]
"""What stands in the fields by name: text, but `fallback` is a bool and `days` a list of days. Empty: not said."""

TEXTS: Final = ("source", "destination", "protocol", "source_ports", "destination_ports")
"""Selectors that are texts to REST too."""
NUMBERS: Final = ("dscp", "flow_label", "spi")
"""Selectors that are numbers."""
SELECTORS: Final = (*TEXTS, *NUMBERS)
INSTANTS: Final = ("not_before", "not_after")
HOURS: Final = ("begins", "ends")


def body(values: Values) -> dict[str, Any]:
    """Return what the fields say, to be checked as a request is.

    Raises:
        ValueError: a number is none.
    """
    said = {name: value for name in SELECTORS if (value := _text(values, name))}
    selector: dict[str, Any] = {name: _number(name, text) if name in NUMBERS else text for name, text in said.items()}
    if (protocol := said.get("protocol", "")).isdecimal():
        selector["protocol"] = int(protocol)
    made: dict[str, Any] = {
        "action": values["action"],
        "priority": _number("priority", _text(values, "priority")),
        **_targets(values["action"], _text(values, "targets")),
        "selector": selector,
        "fallback": bool(values.get("fallback")),
    }
    if schedule := _schedule(values):
        made["schedule"] = schedule
    return made


def _targets(action: str, text: str) -> dict[str, Any]:
    if action == "steer":
        return {"bid": _number("BID", text)}
    if action == "drop":
        return {}
    parts = [part.strip() for part in text.split(",")]
    if action == "replicate":
        return {"bids": [_number("BID", part) for part in parts]}
    pairs = [part.partition(":") for part in parts]
    return {"shares": [{"bid": _number("BID", bid), "weight": _number("weight", w or "1")} for bid, _, w in pairs]}


def _schedule(values: Values) -> dict[str, Any]:
    schedule: dict[str, Any] = {name: text for name in HOURS if (text := _text(values, name))}
    # A browser's field for a time has no zone; ours are in UTC.
    schedule |= {name: f"{text}Z" for name in INSTANTS if (text := _text(values, name))}
    if days := [day for day in DAYS if day in (values.get("days") or ())]:
        schedule["days"] = days
    return schedule


def filled(policy: PolicyResource) -> dict[str, Any]:
    """Return what stands in the fields for a policy: `body` makes the same policy of it."""
    selector = policy.selector.model_dump()
    schedule = policy.schedule or ScheduleResource()
    return {
        "priority": str(policy.priority),
        "action": policy.action,
        "targets": _named(policy),
        **{name: "" if selector[name] is None else str(selector[name]) for name in SELECTORS},
        "fallback": policy.fallback,
        "not_before": _local(schedule.not_before),
        "not_after": _local(schedule.not_after),
        "days": list(schedule.days or ()),
        "begins": schedule.begins or "",
        "ends": schedule.ends or "",
    }


def _named(policy: PolicyResource) -> str:
    match policy.action:
        case "steer":
            return str(policy.bid)
        case "balance":
            return ",".join(f"{share.bid}:{share.weight}" for share in policy.shares or ())
        case "replicate":
            return ",".join(map(str, policy.bids or ()))
        case "drop":
            return ""


def _local(value: datetime | None) -> str:
    return "" if value is None else value.astimezone(UTC).replace(tzinfo=None).isoformat()


def _text(values: Values, name: str) -> str:
    return str(values.get(name) or "").strip()


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise ValueError(f"{name.replace('_', ' ')}: {text!r} is no number" if text else f"{name}: a number is missing")
    return int(text)
