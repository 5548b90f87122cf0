"""The dashboard's pages, and how they become part of the northbound."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from nicegui import ui

from controller.mobility.address import format_address
from controller.northbound import fields
from controller.northbound.access import Identity
from controller.northbound.control import Control
from controller.northbound.dashboard import drawing, fragments
from controller.northbound.dashboard.door import PREFIX
from controller.northbound.dashboard.editor import Editor
from controller.northbound.dashboard.sampler import MAX_NODES, Sampler
from controller.northbound.events import Kind
from controller.northbound.switch_views import SwitchState

_STYLE: Final = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_PERIOD: Final = 0.5
"""Seconds between two looks."""
_PAGES: Final = (
    ("", "Overview"),
    ("nodes", "Nodes"),
    ("switches", "Switches"),
    ("policies", "Policies"),
    ("events", "Events"),
)

Content = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class _Pages:
    """What all pages share."""

    app: FastAPI
    control: Control
    sampler: Sampler

    def frame(self, here: str, title: str) -> None:
        """Begin a page: style, title bar, links."""
        ui.add_css(_STYLE)
        ui.page_title(f"{title} · mcoa")
        ui.colors(primary="#1f5fbf", negative="#b3261e")
        dark = ui.dark_mode(None)
        health = self.control.health()
        ready = all(state is SwitchState.READY for state in health.switches.values()) and not health.problems
        links = "".join(
            f'<a href="{PREFIX}/{path}"{" aria-current=page" if path == here else ""}>{name}</a>'
            for path, name in _PAGES
        )
        with ui.header().classes("bar"), ui.element("div").classes("inner"):
            ui.html(f'<a class="brand" href="{PREFIX}/">mcoa</a>', sanitize=False)
            ui.html(f'<nav aria-label="Pages">{links}</nav>', sanitize=False).classes("links").style(
                "flex: 1 1 16rem; min-width: 0"
            )
            ui.html(fragments.chip("ok" if ready else "degraded", "good" if ready else "bad"), sanitize=False)
            ui.button(icon="contrast", on_click=dark.toggle).props('flat round dense aria-label="Light or dark"')
            ui.html(f'<a href="{PREFIX}/logout">Log out</a>', sanitize=False)

    async def live(self, content: Content) -> None:
        """Put something on the page that is looked at again and again; it is sent only when it has changed.

        A page stays open for long: it shows nothing more when its token is good no more.
        """
        shown = ui.html(await content(), sanitize=False).classes("w-full")
        identity, access = _identity(ui.context.client.request), self.app.state.access

        async def refresh() -> None:
            if not access.still_good(identity):
                timer.deactivate()
                ui.navigate.to(f"{PREFIX}/login")
                return
            self.sampler.look()
            text = await content()
            if text != shown.content:
                shown.set_content(text)

        timer = ui.timer(_PERIOD, refresh)

    # Pages

    async def overview(self) -> None:
        """Show the whole."""
        self.frame("", "Overview")

        async def content() -> str:
            addresses = self.control.addresses()[:MAX_NODES]
            views = [view for view in map(self.control.node, addresses[:50]) if view is not None]
            left = fragments.card("Network and paths", drawing.network(self.control.topology(addresses[:20])))
            right = fragments.card("Latest events", fragments.log(fragments.latest(self.control.feed, 12)))
            nodes = fragments.card("Mobile nodes", fragments.nodes(views, self.sampler))
            tiles = fragments.tiles(self.control, self.sampler)
            return (
                f'<div class="stack">{tiles}<div class="two"><div class="stack">{left}{nodes}</div>{right}</div></div>'
            )

        await self.live(content)

    async def nodes(self) -> None:
        """Show all nodes, up to a limit."""
        self.frame("nodes", "Nodes")

        async def content() -> str:
            addresses = self.control.addresses()
            views = [view for view in map(self.control.node, addresses[:MAX_NODES]) if view is not None]
            more = len(addresses) - len(views)
            rest = f'<p class="quiet">And {more} more: `mcoa nodes` lists all.</p>' if more else ""
            return fragments.card("Mobile nodes", fragments.nodes(views, self.sampler) + rest)

        await self.live(content)

    async def node(self, request: Request, text: str) -> None:
        """Show one node."""
        self.frame("nodes", text)
        try:
            address = fields.home_address(text)
        except ValueError as error:
            ui.label(str(error))
            return
        name = format_address(address)

        async def content() -> str:
            view = self.control.node(address)
            if view is None:
                return fragments.card(name, '<p class="quiet">This node is not known any more.</p>')
            flows = [
                (
                    str(one.flow.fid),
                    str(one.flow.priority),
                    ", ".join(map(str, one.flow.bids)),
                    ", ".join(map(str, one.active_bids)) or "none",
                )
                for one in self.control.flows(address)
            ]
            signalled = fragments.table(("FID", "priority", "BIDs", "active"), flows, "It has signalled none.")
            happened = fragments.latest(self.control.feed, 20, about=name)
            network = drawing.network(self.control.topology([address]))
            return (
                fragments.card(f"Bindings of {name}", fragments.bindings(view, self.sampler))
                + f'<div class="two" style="margin:1rem 0">{fragments.card("Paths", network)}'
                + f"{fragments.card('Timeline', fragments.log(happened))}</div>"
                + fragments.card("Policies", fragments.policies(self.control.policies(address)))
                + f'<div style="margin-top:1rem">{fragments.card("Flows that it signalled", signalled)}</div>'
            )

        await self.live(content)
        Editor(self.app, self.control, _identity(request), address).build()

    async def switches(self) -> None:
        """Show all switches."""
        self.frame("switches", "Switches")

        async def content() -> str:
            return fragments.card("Switches", fragments.switches(await self.control.switches()))

        await self.live(content)

    async def switch(self, name: str) -> None:
        """Show one switch."""
        self.frame("switches", name)

        async def content() -> str:
            view = await self.control.switch(name)
            if view is None:
                return fragments.card(name, '<p class="quiet">There is no such switch.</p>')
            doubts = "".join(
                f"<p>{fragments.chip('doubtful', 'bad')} {fragments.mono(one)}</p>" for one in view.suspicions
            )
            error = "" if view.last_error is None else f"<p>last error: {fragments.mono(view.last_error)}</p>"
            return (
                fragments.card(f"Switch {name}", fragments.switches([view]) + error + doubts)
                + f'<div class="two" style="margin-top:1rem">{fragments.card("Tables", fragments.tables(view))}'
                + f"{fragments.card('Drops', fragments.drops(view))}</div>"
            )

        await self.live(content)

    async def policies(self, request: Request) -> None:
        """Show and edit all policies."""
        self.frame("policies", "Policies")

        async def content() -> str:
            return fragments.card("Policies", fragments.policies(self.control.policies()[:MAX_NODES]))

        await self.live(content)
        Editor(self.app, self.control, _identity(request)).build()

    async def events(self) -> None:
        """Show the event log."""
        self.frame("events", "Events")
        choice = ui.select(
            {"": "all kinds", **{kind.value: kind.value for kind in Kind}}, value="", label="Kind"
        ).classes("w-48")

        async def content() -> str:
            kinds = frozenset({Kind(choice.value)}) if choice.value else frozenset[Kind]()
            return fragments.card("Events", fragments.log(fragments.latest(self.control.feed, 100, kinds)))

        await self.live(content)


def _identity(request: Request) -> Identity:
    identity: Identity = request.scope["state"]["identity"]
    return identity


def mount(app: FastAPI, control: Control) -> None:
    """Make the dashboard a part of an application; once in a process.

    Args:
        app: the northbound; it needs the `Door` as a middleware.
        control: the service.
    """
    pages = _Pages(app, control, Sampler(control))

    @ui.page("/")
    async def overview() -> None:
        await pages.overview()

    @ui.page("/nodes")
    async def nodes() -> None:
        await pages.nodes()

    @ui.page("/node/{address}")
    async def node(request: Request, address: str) -> None:
        await pages.node(request, address)

    @ui.page("/switches")
    async def switches() -> None:
        await pages.switches()

    @ui.page("/switch/{name}")
    async def switch(name: str) -> None:
        await pages.switch(name)

    @ui.page("/policies")
    async def policies(request: Request) -> None:
        await pages.policies(request)

    @ui.page("/events")
    async def events() -> None:
        await pages.events()

    ui.run_with(app, mount_path=PREFIX, title="mcoa", dark=None, show_welcome_message=False, reconnect_timeout=10.0)
