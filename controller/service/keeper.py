"""Calls of the store on behalf of an operator."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from controller.northbound.errors import UnavailableError
from controller.store import StoreError

T = TypeVar("T")


class StoreThread(Protocol):
    """Runs a blocking call of the store in the store's own thread."""

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        """Run it and return what it returns."""


class Keeper:
    """Runs calls of the store; a store that fails is the controller's trouble, not the operator's.

    Args:
        in_thread: runs a call in the store's thread.
    """

    def __init__(self, in_thread: StoreThread) -> None:
        self._in_thread: Final = in_thread

    async def __call__(self, call: Callable[[], T]) -> T:
        """Return what a call returns.

        Raises:
            UnavailableError: the store cannot be read or written; nothing was changed.
        """
        try:
            return await self._in_thread(call)
        except StoreError as error:
            raise UnavailableError(str(error)) from error
