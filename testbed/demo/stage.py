"""What every step of the demonstration has at hand."""

import asyncio
from typing import Final

from controller.mobility.address import Address
from testbed.demo.checks import Report
from testbed.demo.plan import Plan
from testbed.node.host import Answer

ANSWER_WITHIN: Final = 5.0
"""Seconds to wait for a Binding Acknowledgement; the engine sends again by itself meanwhile."""
ANSWER_LIMIT: Final = 1000.0
"""Milliseconds from Binding Update to acknowledgement at the node, the access networks' delays included."""
IN_FLIGHT: Final = 0.4
"""Seconds after which nothing is on its way any more: more than the slowest path takes."""


class Stage:
    """A part of the demonstration on a running lab.

    Args:
        plan: actors and traffic.
        report: where findings go.
        pace: multiplies the time for which traffic is watched; 1 is made for people.
    """

    def __init__(self, plan: Plan, report: Report, pace: float = 1.0) -> None:
        self._pace: Final = pace
        self._plan: Final = plan
        self._lab: Final = plan.lab
        self._node: Final = plan.node
        self._report: Final = report
        self._home: Final = plan.node.home_address

    async def _watch(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._pace)

    async def _care_of(self) -> dict[tuple[Address, int], str]:
        """Return the care-of address of each binding of the demonstration's nodes, by REST."""
        router = self._plan.router
        homes = [self._home] if router is None else [self._home, router.node.home_address]
        found = {home: await self._lab.rest.bindings(home) for home in homes}
        return {(home, bid): one.care_of for home, bindings in found.items() for bid, one in bindings.items()}

    def _answered(self, answer: Answer, name: str) -> None:
        """Note a Binding Acknowledgement's status and how long it took."""
        self._report.equal(f"{name}: status", answer.status, 0)
        self._report.at_most(f"{name}: time", round(answer.seconds * 1000, 1), ANSWER_LIMIT, "ms")

    def _event(self, text: str) -> None:
        self._report.event(self._lab.clock.time(), text)


def beside(address: Address, distance: int) -> Address:
    """Return another address in the same network."""
    return Address((int.from_bytes(address) + distance).to_bytes(16))
