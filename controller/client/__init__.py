"""A client of the REST interface, for programs: what the command line is made with."""

from controller.client.client import Client, Item
from controller.client.errors import ClientError, InvalidUrlError, RefusedError, StrangerError, UnreachableError
from controller.client.events import Event
from controller.client.settings import Connection

__all__ = [
    "Client",
    "ClientError",
    "Connection",
    "Event",
    "InvalidUrlError",
    "Item",
    "RefusedError",
    "StrangerError",
    "UnreachableError",
]
