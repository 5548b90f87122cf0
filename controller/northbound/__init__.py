"""The REST northbound: resources for operators, over what the service hands in as `Control`."""

from controller.northbound.app import create_app
from controller.northbound.control import Control
from controller.northbound.server import NorthboundServer, ServerError

__all__ = ["Control", "NorthboundServer", "ServerError", "create_app"]
