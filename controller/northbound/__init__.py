"""The REST northbound: resources for operators, over what the service hands in as `Control`."""

from controller.northbound.access import Access, RateLimit
from controller.northbound.app import create_app
from controller.northbound.control import Control
from controller.northbound.server import NorthboundServer, ServerError
from controller.northbound.tokens import Role, TokenError, TokenFile

__all__ = [
    "Access",
    "Control",
    "NorthboundServer",
    "RateLimit",
    "Role",
    "ServerError",
    "TokenError",
    "TokenFile",
    "create_app",
]
