"""The step with a mobile router, and the one with those who only say that they are a node."""

import asyncio
from typing import Final

from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.security.policy import NO_SECURITY, AuthPolicy, EspPolicy, SecurityPolicy
from testbed.demo.plan import Router
from testbed.demo.stage import ANSWER_WITHIN, IN_FLIGHT, Stage, beside
from testbed.node.host import MobileNodeHost
from testbed.settings import new_association, new_key

_ATTEMPTS: Final = 5
"""Binding Updates of each kind of impostor."""
_PATIENCE: Final = 5.0
"""Seconds in which the controller has looked at all of them."""
_FORGED_SEQUENCE: Final = 1000
"""Above all that the nodes have used, so nothing but the proof is wrong."""


class Trust(Stage):
    """A mobile router under ESP; then impostors of both nodes."""

    async def drive(self, router: Router) -> None:
        """Register a mobile router, and reach the host behind it, both ways."""
        report, lab, plan = self._report, self._lab, self._plan
        node = router.node
        report.begin(
            "e", f"a mobile router, its Binding Updates in ESP: {router.host_name} in the network behind it is reached"
        )
        answer = await node.register(within=ANSWER_WITHIN)
        self._event("mobile router registered")
        self._answered(answer, "acknowledgement, in ESP")
        networks = await lab.rows("mobile_networks")
        report.equal("mobile network prefixes in the switch", len(networks), len(node.engine.config.prefixes))
        bid = router.bid
        before = (await lab.rest.bindings(node.home_address))[bid]
        since = lab.clock.time()
        for sender in (router.down, router.up):
            sender.start()
        await self._watch(0.8)
        for sender in (router.down, router.up):
            sender.stop()
        until = lab.clock.time()
        await asyncio.sleep(IN_FLIGHT)
        after = (await lab.rest.bindings(node.home_address))[bid]
        down, up = plan.router_down(since, until), plan.router_up(since, until)
        report.equal(f"to {router.host_name}: received", down.received, down.sent, "packets")
        counted = after.downstream.packets - before.downstream.packets
        report.equal(f"counted for the router's BID {bid}", counted, down.sent, "packets")
        report.equal(f"from {router.host_name}: received", up.received, up.sent, "packets")
        counted = after.upstream.packets - before.upstream.packets
        report.equal(f"counted for its BID {bid} upstream", counted, up.sent, "packets")
        router.down.start()

    async def defend(self) -> None:
        """Send Binding Updates in the nodes' names without their keys."""
        report, lab = self._report, self._lab
        report.begin("f", "impostors: Binding Updates for a node's home address without its key")
        bindings, before = await self._care_of(), await lab.rest.signalling()
        self._event("impostors")
        wanted = self._attack()
        for _ in range(int(_PATIENCE / 0.1)):
            counted = await lab.rest.signalling() - before
            if all(counted[name] >= _ATTEMPTS for name in wanted):
                break
            await asyncio.sleep(0.1)
        for name, text in wanted.items():
            report.equal(text, counted[name], _ATTEMPTS)
        report.equal(
            "bindings that are as before", len(bindings.items() & (await self._care_of()).items()), len(bindings)
        )

    def _attack(self) -> dict[str, str]:
        """Send what impostors send; return the counters that have to go up for it, each with what it means."""
        plan = self._plan
        wanted: dict[str, str] = {}
        own = plan.node.engine.config.security
        if isinstance(own, AuthPolicy):
            self._pretend(plan.node, NO_SECURITY)
            wanted["dropped_unprotected"] = "without authenticator: dropped"
            self._pretend(plan.node, AuthPolicy(own.spi, new_key(), own.node_identifier))
            wanted["refused_146"] = "authenticator under a wrong key: refused with status 146"
        routers = NO_SECURITY if plan.router is None else plan.router.node.engine.config.security
        if plan.router is not None and isinstance(routers, EspPolicy):
            self._pretend(plan.router.node, EspPolicy(new_association(routers.from_node.spi), routers.to_node))
            wanted["dropped_integrity"] = "ESP under a wrong key, for the mobile router: dropped"
        return wanted

    def _pretend(self, victim: MobileNodeHost, proof: SecurityPolicy) -> None:
        """Send Binding Updates that would take over a node's home address, from a neighbour of its first uplink."""
        bid, uplink = min(victim.uplinks.items())
        stranger = beside(uplink.care_of, 0x77)
        for number in range(_ATTEMPTS):
            # One engine for each: it would send a second message only after a second.
            config = MobileNodeConfig(
                victim.home_address,
                victim.home_agent,
                first_sequence=_FORGED_SEQUENCE + number,
                security=proof,
            )
            impostor = MobileNode(config, security=victim.security)
            impostor.attach(bid, stranger)
            impostor.register(self._lab.clock.time())
            for packet in impostor.outbox():
                uplink.interface.send(packet)
