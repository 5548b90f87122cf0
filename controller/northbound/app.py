"""The application: resources, limits, failures as problems, and the OpenAPI document with its page."""

import asyncio
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from controller.northbound import page, problems
from controller.northbound.access import Access
from controller.northbound.control import Control
from controller.northbound.guard import OPEN, Guard
from controller.northbound.limits import BodyLimit
from controller.northbound.quick import Quick
from controller.northbound.routes import bindings, bulk, events, network, nodes, policies, preferences, system
from controller.northbound.shelf import Repeater, Shelf
from controller.northbound.version import mcoa_version

_DASHBOARD = "/dashboard"
"""Where the dashboard is: it has a door of its own."""

_DESCRIPTION = (
    "Mobile nodes, their bindings and the switches that carry them; policies that steer flows to binding identifiers."
    " Every failure is a problem document (RFC 9457)."
)


class Northbound(FastAPI):
    """The REST northbound as an ASGI application."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document; failures in it have the media type that they have on the wire."""
        if self.openapi_schema is None:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            scheme = {"type": "http", "scheme": "bearer", "description": "Made with `mcoa token create`."}
            document["components"]["securitySchemes"] = {"token": scheme}
            for path, methods in document["paths"].items():
                for operation in methods.values():
                    if path not in OPEN:
                        operation["security"] = [{"token": []}]
                    for status, response in operation["responses"].items():
                        content = response.get("content", {})
                        if int(status) >= 400 and content:
                            (schema,) = content.values()
                            response["content"] = {problems.MEDIA_TYPE: schema}
            self.openapi_schema = document
        return self.openapi_schema


def _operation_id(route: APIRoute) -> str:
    return route.name


def create_app(control: Control, access: Access, *, dashboard: bool = False) -> FastAPI:
    """Return the REST northbound.

    Args:
        control: what it shows and does; called in the event loop that serves the application.
        access: who may ask.
        dashboard: serve the dashboard too; one application in a process may.

    Raises:
        ModuleNotFoundError: the extra ``dashboard`` is not installed.
    """
    app = Northbound(
        title="mcoa",
        version=mcoa_version(),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.control = control
    app.state.access = access
    app.state.changing = asyncio.Lock()
    app.state.streams = 0
    shelf = Shelf()
    app.state.quick = Quick(control, access, shelf)
    parts = (nodes, bindings, policies, preferences, network, events, bulk, system)
    routers = [*(part.router for part in parts), system.open_router]
    for router in routers:
        app.include_router(router)
    elsewhere = _DASHBOARD if dashboard else ""
    app.add_middleware(Repeater, shelf=shelf)
    app.add_middleware(BodyLimit, elsewhere=elsewhere)
    app.add_middleware(Guard, access=access, elsewhere=elsewhere)

    if dashboard:
        from controller.northbound.dashboard import Door, mount  # noqa: PLC0415  an extra, and slow to import

        mount(app, control)
        app.add_middleware(Door, access=access)

    @app.get("/docs", include_in_schema=False)
    async def reference() -> HTMLResponse:
        return HTMLResponse(page.render(app.openapi()))

    problems.install(app, [*app.routes, *(route for router in routers for route in router.routes)])
    return app
