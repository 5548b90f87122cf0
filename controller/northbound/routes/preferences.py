"""Path preferences: the operator's order of a node's paths."""

from fastapi import Request, Response

from controller.mobility.address import Address, format_address
from controller.northbound import etags
from controller.northbound.control import Control, NotFoundError
from controller.northbound.fields import HomeAddressPath
from controller.northbound.guard import IdentityDependency
from controller.northbound.policy_models import PreferenceRequest, PreferenceResource, Preview
from controller.northbound.routes.common import (
    BODY,
    OPERATOR,
    ControlDependency,
    LockDependency,
    ValidateQuery,
    fails,
    known_node,
    leads_to,
    make_router,
    put_on,
    record,
)

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
    request: Request,
    response: Response,
    control: ControlDependency,
    identity: IdentityDependency,
    changing: LockDependency,
    home_address: HomeAddressPath,
    body: PreferenceRequest,
    validate: ValidateQuery = None,
    if_match: etags.IfMatch = None,
    if_none_match: etags.IfNoneMatch = None,
) -> PreferenceResource | Preview:
    """Say in which order a node's paths are preferred, in place of its own order (BID-PRI, RFC 6089). It is durable.

    It is about traffic that no policy and no flow binding names. A policy that is a fallback comes first.
    """
    async with changing:
        before = _shown(control, home_address)
        etags.require(_tag(before), if_match, if_none_match)
        if validate == "only":
            return Preview.of(control.preview_preference(home_address, body.bids))
        new = not await control.set_preference(home_address, body.bids)
        after = PreferenceResource.of(known_node(control, home_address), body.bids)
        if _tag(before) != _tag(after):
            await record(control, identity, "put", request.url.path, before, after)
    put_on(request, response, etags.tag(after, without=_UNSET), new=new)
    return after


@router.delete(_PATH, status_code=204, responses=fails(403, 404, 412, 503), dependencies=OPERATOR)
async def delete_preference(
    request: Request,
    control: ControlDependency,
    identity: IdentityDependency,
    changing: LockDependency,
    home_address: HomeAddressPath,
    if_match: etags.IfMatch = None,
) -> Response:
    """Let the node's own order count again."""
    async with changing:
        before = _shown(control, home_address)
        etags.require(_tag(before), if_match, None)
        if not await control.set_preference(home_address, None):
            raise NotFoundError(f"nothing is said about the paths of {format_address(home_address)}")
        await record(control, identity, "delete", request.url.path, before)
    return Response(status_code=204)


def _shown(control: Control, home_address: Address) -> PreferenceResource | None:
    node = known_node(control, home_address)
    bids = control.preference(home_address)
    return None if bids is None else PreferenceResource.of(node, bids)


def _tag(preference: PreferenceResource | None) -> str | None:
    return None if preference is None else etags.tag(preference, without=_UNSET)
