"""Pieces of pages as HTML, made from the views. Every text from outside is escaped."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from controller.mobility.address import Address, format_address
from controller.northbound.control import Control, NodeView, PolicyView
from controller.northbound.dashboard.door import PREFIX
from controller.northbound.dashboard.drawing import colour, sparkline
from controller.northbound.dashboard.sampler import Sampler
from controller.northbound.events import EventFeed, Happening, Kind
from controller.northbound.policy_models import PolicyResource, ScheduleResource
from controller.northbound.switch_views import SwitchState, SwitchView, Traffic

_STATES: Final = {SwitchState.READY: "good", SwitchState.SYNCING: "warn", SwitchState.STANDBY: "warn"}
_BAD: Final = {Kind.REFUSAL, Kind.SECURITY}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    """Return a table; cells are HTML."""
    body = "".join(
        "<tr>"
        + "".join(f'<td data-label="{escape(c)}">{cell}</td>' for c, cell in zip(columns, row, strict=True))
        + "</tr>"
        for row in rows
    )
    if not body:
        return f'<p class="quiet">{escape(empty)}</p>'
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    return f'<table class="data wide"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def card(title: str, content: str) -> str:
    """Return a titled card."""
    return f'<section class="card"><h2>{escape(title)}</h2>{content}</section>'


def chip(text: str, kind: str) -> str:
    """Return a short word in a frame; kind: good, warn or bad."""
    return f'<span class="chip {kind}">{escape(text)}</span>'


def mono(text: object) -> str:
    """Return an address or the like."""
    return f'<span class="mono">{escape(str(text))}</span>'


def node_link(address: Address) -> str:
    """Return a link to the page of a node."""
    text = format_address(address)
    return f'<a class="mono" href="{PREFIX}/node/{text}">{text}</a>'


def rate(bits: float) -> str:
    """Return a rate for people."""
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if bits < 1000:
            return f"{bits:.0f} {unit}" if bits >= 100 or unit == "bit/s" else f"{bits:.1f} {unit}"
        bits /= 1000
    return f"{bits:.1f} Gbit/s"


def tiles(control: Control, sampler: Sampler) -> str:
    """Return the numbers at the top."""
    census, health = control.census(), control.health()
    ready = sum(1 for state in health.switches.values() if state is SwitchState.READY)
    signalling = sampler.signalling()
    shown = [
        (str(census.registered), "nodes registered"),
        (str(census.bindings), "bindings"),
        (str(census.policies), "policies"),
        (f"{signalling[-1] if signalling else 0:.1f}", "registrations a second"),
        (f"{ready} of {len(health.switches)}", "switches ready"),
    ]
    problems = "".join(f"<p>{chip('look', 'bad')} {escape(text)}</p>" for text in health.problems)
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in shown)
        + f"</div>{problems}"
    )


def nodes(views: Iterable[NodeView], sampler: Sampler) -> str:
    """Return the table of nodes with their bindings and traffic."""
    rows = [
        (
            node_link(view.home_address),
            chip(view.state.value, "good" if view.bindings else "warn"),
            "".join(
                _binding(view, one.binding.bid, format_address(one.binding.care_of), sampler) for one in view.bindings
            )
            or '<span class="quiet">none</span>',
        )
        for view in views
    ]
    return table(("home address", "state", "bindings and traffic of the last minute"), rows, "No mobile nodes yet.")


def _binding(view: NodeView, bid: int, care_of: str, sampler: Sampler) -> str:
    rates = sampler.rates((view.home_address, bid))
    star = " ★" if bid == view.preferred_bid else ""
    return (
        f'<span class="bid"><span class="dot" style="background:{colour(bid)}"></span><b>{bid}{star}</b>'
        f"{mono(care_of)}{sparkline(rates, colour(bid))}<span>{rate(rates[-1] if rates else 0)}</span></span>"
    )


def bindings(view: NodeView, sampler: Sampler) -> str:
    """Return the table of one node's bindings."""
    rows = []
    for one in view.bindings:
        bid = one.binding.bid
        rates = sampler.rates((view.home_address, bid))
        counted = sampler.counted((view.home_address, bid))
        rows.append(
            (
                f'<span class="bid"><span class="dot" style="background:{colour(bid)}"></span><b>{bid}</b></span>',
                "at home" if one.binding.at_home else mono(format_address(one.binding.care_of)),
                str(one.binding.priority or "-"),
                f"{one.remaining:.0f} s of {one.binding.lifetime} s",
                chip(one.state.value, "good" if one.state == "active" else "warn"),
                f"{sparkline(rates, colour(bid), 200, 36)} {rate(rates[-1] if rates else 0)}",
                _counter(None if counted is None else counted.downstream),
                _counter(None if counted is None else counted.upstream),
            )
        )
    columns = (
        "BID",
        "care-of address",
        "priority",
        "left",
        "state",
        "traffic of the last minute",
        "to the node",
        "from it",
    )
    return table(columns, rows, "No bindings.")


def _counter(traffic: Traffic | None) -> str:
    return "-" if traffic is None else f"{traffic.packets} packets, {octets(traffic.bytes)}"


def octets(number: float) -> str:
    """Return an amount of data for people."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if number >= 100 or unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def policies(views: Sequence[PolicyView]) -> str:
    """Return the table of policies."""
    rows = []
    for view in views:
        item = PolicyResource.of(view)
        selector = item.selector.model_dump(exclude_none=True)
        words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in selector.items())
        kind = {"active": "good", "waiting": "warn"}.get(item.state.value, "bad")
        rows.append(
            (
                node_link(view.policy.home_address),
                str(item.priority),
                escape(item.name),
                escape(words or ("what nothing else takes" if item.fallback else "all packets")),
                _where(item),
                escape("always" if item.schedule is None else _when(item.schedule)),
                chip(item.state.value, kind),
            )
        )
    return table(
        ("home address", "priority", "name", "packets", "go to", "when (UTC)", "state"), rows, "No policies yet."
    )


def _when(schedule: ScheduleResource) -> str:
    parts = [
        f"{word} {moment.astimezone(UTC):%Y-%m-%d %H:%M}"
        for word, moment in (("from", schedule.not_before), ("until", schedule.not_after))
        if moment is not None
    ]
    if schedule.days is not None:
        parts.append(" ".join(schedule.days))
    if schedule.begins is not None or schedule.ends is not None:
        parts.append(f"{schedule.begins or '00:00'} to {schedule.ends or '24:00'}")
    return ", ".join(parts) or "always"


def _where(item: PolicyResource) -> str:
    if item.action == "steer":
        return _bids([item.bid or 0])
    if item.action == "replicate":
        return "copies to " + _bids(item.bids or [])
    if item.action == "balance":
        return "one of " + " ".join(f"{_bids([one.bid])}({one.weight})" for one in item.shares or [])
    return "nowhere"


def _bids(bids: Iterable[int]) -> str:
    return " ".join(
        f'<span class="bid"><span class="dot" style="background:{colour(bid)}"></span><b>{bid}</b></span>'
        for bid in bids
    )


def switches(views: Iterable[SwitchView]) -> str:
    """Return the table of switches."""
    rows = [
        (
            f'<a href="{PREFIX}/switch/{escape(view.name)}">{escape(view.name)}</a>',
            chip(view.state.value, _STATES.get(view.state, "bad")),
            escape(view.target),
            mono(view.address),
            str(sum(one.entries for one in view.tables)),
            str(sum(one.packets for one in view.drops.values())),
            chip("none", "good") if not view.drift else chip(str(view.drift), "bad"),
        )
        for view in views
    ]
    return table(
        ("switch", "state", "target", "P4Runtime", "entries", "dropped packets", "drift"), rows, "No switches."
    )


def tables(view: SwitchView) -> str:
    """Return how full a switch's tables are."""
    rows = []
    for one in view.tables:
        share = one.entries / one.size if one.size else 0.0
        full = " full" if share > 0.9 else ""
        bar = f'<div class="bar-outer"><div class="bar-inner{full}" style="width:{100 * min(1.0, share):.1f}%"></div></div>'
        rows.append((escape(one.name), f"{one.entries} of {one.size or '?'}", bar))
    return table(("table", "entries", "occupancy"), rows, "Its tables cannot be read now.")


def drops(view: SwitchView) -> str:
    """Return what a switch dropped, and why."""
    rows = [
        (escape(why.replace("_", " ")), str(one.packets), str(one.bytes))
        for why, one in view.drops.items()
        if one.packets
    ]
    return table(("dropped because", "packets", "bytes"), rows, "Nothing was dropped, or it cannot be read now.")


def log(happenings: Iterable[Happening]) -> str:
    """Return events as a list."""
    lines = "".join(_event(one) for one in happenings)
    return f'<ol class="log">{lines}</ol>' if lines else '<p class="quiet">Nothing has happened yet.</p>'


def _event(one: Happening) -> str:
    when = datetime.fromtimestamp(one.time, UTC).strftime("%H:%M:%S")
    told = ", ".join(
        f"{key.replace('_', ' ')} {_value(value)}"
        for key, value in one.details().items()
        if value not in (None, [], "")
    )
    kind = "bad" if one.kind in _BAD else "warn" if one.kind in {Kind.SWITCH, Kind.DRAIN, Kind.DRILL} else "good"
    return (
        f'<li><time class="quiet">{when}</time><span>{chip(one.kind.value, kind)}</span>'
        f'<span class="what">{escape(told)}</span></li>'
    )


def _value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_value, value))
    if isinstance(value, dict) and "care_of_address" in value:
        return f"{value['bid']}→{value['care_of_address']}"
    if isinstance(value, dict):
        return " ".join(f"{key} {_value(one)}" for key, one in value.items())
    return str(value)


def latest(
    feed: EventFeed, limit: int, kinds: frozenset[Kind] = frozenset(), about: str | None = None
) -> list[Happening]:
    """Return the latest events, newest first; of some kinds, about one home address."""
    found: list[Happening] = []
    number = feed.last
    while number >= feed.oldest and len(found) < limit and feed.last - number < 2000:
        (one,) = feed.after(number - 1, 1)
        if (not kinds or one.kind in kinds) and (about is None or one.details().get("home_address") == about):
            found.append(one)
        number -= 1
    return found
