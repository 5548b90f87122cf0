"""Path preferences: the operator's order of a node's paths."""

from typing import NoReturn

from fastapi import Response

from controller.mobility.address import Address, format_address
from controller.northbound import etags
from controller.northbound.control import Control
from controller.northbound.errors import NotFoundError
from controller.northbound.fields import HomeAddressPath
from controller.northbound.policy_models import PreferenceRequest, PreferenceResource, Preview
from controller.northbound.routes.common import (
    BODY,
    OPERATOR,
    ControlDependency,
    fails,
    known_node,
    leads_to,
    make_router,
)
from controller.northbound.routes.exchange import PREVIEWED, RemovalDependency, ReplacementDependency

router = make_router("policies")

_PATH = "/v1/nodes/{home_address}/path-preference"
_NEXT = leads_to("get_preference", "put_preference", "delete_preference", "get_node", home_address="home_address")
_UNSET = frozenset({"preferred_bid"})
"""What of a preference is no operator's doing."""


@router.get(_PATH, responses=fails(404))
async def get_preference(
    control: ControlDependency, response: Response, home_address: HomeAddressPath
) -> PreferenceResource:
    """Show in which order a node's paths are preferred. 404: the node's own order counts."""
    found = _shown(control, home_address)
    if found is None:
        raise NotFoundError(f"nothing is said about the paths of {format_address(home_address)}: its own order counts")
    etags.put_on(response, etags.tag(found, without=_UNSET))
    return found


@router.put(
    _PATH,
    responses={
        200: {"description": "The order is so.", **_NEXT},
        201: {"model": PreferenceResource, "description": "Nothing was said before.", **_NEXT},
        **fails(403, 404, 412, 503, *BODY),
    },
    dependencies=OPERATOR,
)
async def put_preference(
    replacement: ReplacementDependency, home_address: HomeAddressPath, body: PreferenceRequest
) -> PreferenceResource | Preview:
    """Say in which order a node's paths are preferred, in place of its own order (BID-PRI, RFC 6089). It is durable.

    It is about traffic that no policy and no flow binding names. A policy that is a fallback comes first.
    """
    control = replacement.control

    async def put() -> tuple[bool, PreferenceResource]:
        new = not await control.set_preference(home_address, body.bids)
        return new, PreferenceResource.of(known_node(control, home_address), body.bids)

    return await replacement.carry_out(
        lambda: _shown(control, home_address),
        lambda: Preview.of(control.preview_preference(home_address, body.bids)),
        put,
        _UNSET,
    )


@router.delete(_PATH, status_code=204, responses={**PREVIEWED, **fails(403, 404, 412, 503)}, dependencies=OPERATOR)
async def delete_preference(removal: RemovalDependency, home_address: HomeAddressPath) -> Response:
    """Let the node's own order count again."""
    control = removal.control

    def preview() -> Preview:
        if _shown(control, home_address) is None:
            _nothing_said(home_address)
        return Preview.of(control.preview_preference(home_address, None))

    async def remove() -> None:
        if not await control.set_preference(home_address, None):
            _nothing_said(home_address)

    return await removal.carry_out(lambda: _shown(control, home_address), preview, remove, _UNSET)


def _nothing_said(home_address: Address) -> NoReturn:
    raise NotFoundError(f"nothing is said about the paths of {format_address(home_address)}")


def _shown(control: Control, home_address: Address) -> PreferenceResource | None:
    node = known_node(control, home_address)
    bids = control.preference(home_address)
    return None if bids is None else PreferenceResource.of(node, bids)
