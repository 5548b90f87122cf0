"""Traffic of bindings over the last minute: measured once a second for all who look, and not at all when nobody does."""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from controller.northbound.control import BindingKey, BindingTraffic, Control
from controller.northbound.switch_views import Traffic

if TYPE_CHECKING:
    from collections.abc import Mapping

HISTORY: Final = 60
"""Seconds that are shown."""
MAX_NODES: Final = 200
"""Nodes whose traffic is measured, in the order of their home addresses."""
_IDLE: Final = 5.0
"""Seconds without anybody looking after which it stops."""


class Sampler:
    """Measures.

    Args:
        control: has the counters.
    """

    def __init__(self, control: Control) -> None:
        self._control: Final = control
        self._rates: dict[BindingKey, deque[float]] = {}
        self._last: dict[BindingKey, tuple[float, int]] = {}
        self._counted: Mapping[BindingKey, BindingTraffic] = {}
        self._signalling: deque[float] = deque(maxlen=HISTORY)
        self._accepted: tuple[float, int] | None = None
        self._looked = 0.0
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Say that somebody looks."""
        self._looked = time.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="dashboard")

    def rates(self, key: BindingKey) -> list[float]:
        """Return bits a second, both ways together, second by second, the newest last."""
        return list(self._rates.get(key, ()))

    def counted(self, key: BindingKey) -> BindingTraffic | None:
        """Return the counters of a binding as they were last read; None: they could not be."""
        return self._counted.get(key)

    def signalling(self) -> list[float]:
        """Return accepted Binding Updates a second, second by second."""
        return list(self._signalling)

    async def _run(self) -> None:
        while time.monotonic() - self._looked < _IDLE:
            await self._sample()
            await asyncio.sleep(1.0)
        self._rates.clear()
        self._last.clear()
        self._counted = {}

    async def _sample(self) -> None:
        addresses = self._control.addresses()[:MAX_NODES]
        counted = self._counted = await self._control.traffic(addresses)
        now = time.monotonic()
        for key, traffic in counted.items():
            total = _octets(traffic.downstream) + _octets(traffic.upstream)
            then, before = self._last.get(key, (now, total))
            self._last[key] = (now, total)
            if now > then:
                # A tunnel that was taken down and put up again counts from zero.
                rate = 8 * max(0, total - before) / (now - then)
                self._rates.setdefault(key, deque(maxlen=HISTORY)).append(rate)
        for key in self._rates.keys() - counted.keys():
            del self._rates[key]
            self._last.pop(key, None)
        accepted = self._control.signalling().get("accepted", 0)
        if self._accepted is not None and now > self._accepted[0]:
            self._signalling.append(max(0, accepted - self._accepted[1]) / (now - self._accepted[0]))
        self._accepted = (now, accepted)


def _octets(traffic: Traffic) -> int:
    return traffic.bytes
