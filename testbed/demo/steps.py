"""The steps of the demonstration, in their order; `trust` has two of them."""

import asyncio
from collections.abc import Iterable

from controller.mobility.address import Address, format_address
from testbed.demo.stage import ANSWER_WITHIN, IN_FLIGHT, Stage, beside
from testbed.demo.trust import Trust
from testbed.packets import encapsulate, udp
from testbed.tables import BINDING_TABLES, Row
from testbed.traffic import Measurement

OUTAGE_LIMIT = 100.0
"""Milliseconds, beyond what other flows see at the same time. The network's own share is nothing."""
_ATTEMPTS = 10
"""Packets of each kind that must not come through."""


class Demo(Stage):
    """All steps, in their order."""

    async def run(self) -> None:
        """Take all steps."""
        began = self._lab.clock.time()
        try:
            for step in (self._register, self._steer, self._bind_flow, self._reverse):
                await step()
            trust = Trust(self._plan, self._report, self._pace)
            if self._plan.router is not None:
                await trust.drive(self._plan.router)
            await trust.defend()
            for step in (self._hand_over, self._kill, self._leave):
                await step()
        finally:
            self._plan.stop()
            self._report.seconds = self._lab.clock.time() - began

    async def _register(self) -> None:
        report, lab = self._report, self._lab
        report.begin("a", "one bulk Binding Update registers three care-of addresses")
        sent = self._node.counters["binding_update"]
        answer = await self._node.register(within=ANSWER_WITHIN)
        self._event("three BIDs registered")
        self._answered(answer, "acknowledgement")
        report.equal("Binding Updates that it took", self._node.counters["binding_update"] - sent, 1)
        report.equal("BIDs in the acknowledgement", _words(answer.bids), _words(self._plan.lanes))
        tunnels = [row for row in await lab.rows("tunnels") if row.action == "encap_ipv6"]
        wanted = {int.from_bytes(uplink.care_of) for uplink in self._node.uplinks.values()}
        standing = len(wanted & {row.params[1] for row in tunnels})
        report.equal("tunnels in the switch, one to each care-of address", standing, len(wanted))
        active = [one for one in (await lab.rest.bindings(self._home)).values() if one.state == "active"]
        report.equal("active bindings by REST", len(active), len(wanted))

    async def _steer(self) -> None:
        report, lab, plan = self._report, self._lab, self._plan
        report.begin("b", "three flows, each steered by a REST policy to a BID of its own")
        states = [
            await lab.rest.put_policy(self._home, f"flow-{lane.bid}", lane.policy) for lane in plan.lanes.values()
        ]
        report.equal("active policies", states.count("active"), len(plan.lanes))
        before = await lab.rest.bindings(self._home)
        since = lab.clock.time()
        self._event("flows begin")
        for lane in plan.lanes.values():
            lane.down.start()
        await self._watch(2.0)
        for lane in plan.lanes.values():
            lane.down.stop()
        until = lab.clock.time()
        self._event("pause: counters are compared")
        await asyncio.sleep(IN_FLIGHT)
        after = await lab.rest.bindings(self._home)
        for bid, lane in plan.lanes.items():
            found = plan.down(bid, since, until)
            counted = after[bid].downstream.packets - before[bid].downstream.packets
            name = f"{lane.down.flow.name}: packets the switch counted for BID {bid} ({lane.access})"
            report.equal(name, counted, found.sent, "packets")
            report.equal(f"{lane.down.flow.name}: came by BID {bid}", found.paths.get(bid, 0), found.sent, "packets")

    async def _bind_flow(self) -> None:
        report, plan = self._report, self._plan
        preferred, bid = sorted(plan.lanes)[:2]
        name = plan.own.flow.name
        report.begin(
            "c", f"a flow that the node binds by itself: its Binding Update sends {name} to BID {bid} (RFC 6089)"
        )
        found, counted = await self._own_flow()
        report.equal(f"{name}, unbound: counted for BID {preferred}", counted[preferred], found.sent, "packets")
        answer = await self._node.bind_flow(plan.binding_of_own_flow(bid), within=ANSWER_WITHIN)
        self._event(f"the node binds {name} to BID {bid}")
        self._answered(answer, "acknowledgement")
        found, counted = await self._own_flow()
        report.equal(f"{name}, bound: counted for BID {bid}", counted[bid], found.sent, "packets")
        report.equal(f"{name}: came by BID {bid}", found.paths.get(bid, 0), found.sent, "packets")
        report.equal("counted for other BIDs", sum(counted.values()) - counted[bid], 0, "packets")
        for lane in plan.lanes.values():
            lane.down.start()

    async def _own_flow(self) -> tuple[Measurement, dict[int, int]]:
        """Send the node's own flow for a while; return what became of it, and what the switch counted for each BID."""
        lab, plan = self._lab, self._plan
        before = await lab.rest.bindings(self._home)
        since = lab.clock.time()
        plan.own.start()
        await self._watch(0.8)
        plan.own.stop()
        until = lab.clock.time()
        await asyncio.sleep(IN_FLIGHT)
        after = await lab.rest.bindings(self._home)
        counted = {bid: after[bid].downstream.packets - before[bid].downstream.packets for bid in plan.lanes}
        return plan.own_flow(since, until), counted

    async def _reverse(self) -> None:
        report, lab, plan = self._report, self._lab, self._plan
        report.begin("d", "the node's own traffic through the reverse tunnel, and two kinds of forgery")
        before = await lab.rest.bindings(self._home)
        drops = await lab.drops()
        since = lab.clock.time()
        self._event("flows go on; reverse tunnel, forgeries")
        for lane in plan.lanes.values():
            lane.up.start()
        await self._watch(1.0)
        self._forge()
        await self._watch(1.0)
        for lane in plan.lanes.values():
            lane.up.stop()
        until = lab.clock.time()
        await asyncio.sleep(IN_FLIGHT)
        after = await lab.rest.bindings(self._home)
        for bid, lane in plan.lanes.items():
            found = plan.up(bid, since, until)
            report.equal(f"{lane.up.flow.name} back by BID {bid}: received", found.received, found.sent, "packets")
            counted = after[bid].upstream.packets - before[bid].upstream.packets
            report.equal(f"counted for BID {bid} upstream", counted, found.sent, "packets")
        dropped = await lab.drops()
        for reason in ("forged_inner_source", "unregistered_outer_source"):
            counted = dropped[reason].packets - drops[reason].packets
            report.equal(f"dropped: {reason.replace('_', ' ')}", counted, _ATTEMPTS, "packets")
        report.equal("forged packets that reached the correspondent", plan.at_correspondent.foreign, 0, "packets")
        for lane in plan.lanes.values():
            lane.up.start()

    def _forge(self) -> None:
        """Send packets in another's name, and packets from an address that is nobody's care-of address."""
        node, target = self._node, min(self._plan.correspondent.addresses)
        bid = next(iter(self._plan.lanes))
        uplink = node.uplinks[bid]
        victim, stranger = beside(self._home, 0x77), beside(uplink.care_of, 0x77)
        for number in range(_ATTEMPTS):
            forged = udp(victim, target, (7, 7), b"in another's name %d" % number)
            uplink.interface.send(encapsulate(uplink.care_of, node.home_agent, forged))
            honest = udp(self._home, target, (7, 7), b"from nobody's address %d" % number)
            uplink.interface.send(encapsulate(stranger, node.home_agent, honest))

    async def _hand_over(self) -> None:
        report, lab, plan = self._report, self._lab, self._plan
        bid = sorted(plan.lanes)[1]
        lane, uplink = plan.lanes[bid], self._node.uplinks[bid]
        report.begin("g", f"handover: BID {bid} ({lane.access}) changes its care-of address under traffic")
        old, new = uplink.care_of, beside(uplink.care_of, 0x100)
        await self._watch(0.6)
        since = lab.clock.time() - 0.5 * self._pace
        asked = lab.clock.time()
        self._event(f"handover of BID {bid}")
        answer = await self._node.move(bid, new, within=ANSWER_WITHIN)
        self._answered(answer, "acknowledgement")
        await self._watch(1.6)
        until = lab.clock.time() - IN_FLIGHT
        down, up = plan.down(bid, since, until), plan.up(bid, since, until)
        # All flows pause together when a busy machine does not let this process run: that is no outage of the network.
        pause = max(plan.down(other, since, until).outage for other in plan.lanes if other != bid)
        outage, limit = round(down.outage * 1000, 2), OUTAGE_LIMIT + round(pause * 1000)
        report.at_most(f"outage of {lane.down.flow.name} to the node", outage, limit, "ms")
        report.equal(f"{lane.down.flow.name} to the node: lost", down.lost, 0, "packets")
        report.equal(f"{lane.down.flow.name} from the node: lost", up.lost, 0, "packets")
        report.equal("duplicates", down.duplicates + up.duplicates, 0, "packets")
        report.equal("other flows: lost", plan.lost(since, until) - down.lost - up.lost, 0, "packets")
        arrived = self._node.arrivals_at(new)
        wanted = plan.lanes[bid].down.flow.rate * self._pace / 2
        report.at_least("packets that came to the new care-of address", arrived, wanted, "packets")
        binding = (await lab.rest.bindings(self._home))[bid]
        report.equal("care-of address by REST", binding.care_of, format_address(new))
        await self._gone(old, asked)

    async def _gone(self, old: Address, asked: float) -> None:
        """Check that the old care-of address is refused once its grace period is over."""
        lab = self._lab
        number = int.from_bytes(old)
        while lab.clock.time() < asked + 5:
            left = sum(number in row.key or number in row.params for row in await lab.rows(*BINDING_TABLES))
            if not left:
                break
            await asyncio.sleep(0.1)
        self._report.equal("entries that still name the old care-of address", left, 0)

    async def _kill(self) -> None:
        report, lab, plan = self._report, self._lab, self._plan
        report.begin("h", "the controller is killed (SIGKILL) and started again")
        bindings, rows = await self._care_of(), set(await lab.rows(*BINDING_TABLES))
        since = lab.clock.time()
        await lab.controller.kill()
        self._event("controller killed")
        await self._watch(1.5)
        report.equal(
            "entries of bindings in the switch, nobody in control", len(await lab.rows(*BINDING_TABLES)), len(rows)
        )
        await lab.controller.start()
        waited = report.starting = await lab.controller.wait_ready()
        self._event("controller back")
        report.at_most("start to ready", round(waited * 1000), 20_000, "ms")
        report.equal("bindings that survived", len(bindings.items() & (await self._care_of()).items()), len(bindings))
        report.equal("entries that changed", len(rows ^ set(await lab.rows(*BINDING_TABLES))), 0)
        bid = sorted(plan.lanes)[1]
        answer = await self._node.move(bid, beside(self._node.uplinks[bid].care_of, -0x100), within=ANSWER_WITHIN)
        self._event(f"BID {bid} back at its first address")
        self._answered(answer, f"BID {bid} goes back to its first care-of address: acknowledgement")
        await asyncio.sleep(IN_FLIGHT + 0.2)
        report.equal(
            "lost while it was away and came back", plan.lost(since, lab.clock.time() - IN_FLIGHT), 0, "packets"
        )

    async def _leave(self) -> None:
        report, lab, plan = self._report, self._lab, self._plan
        *_, bid = sorted(plan.lanes)
        lane, following = plan.lanes[bid], min(plan.lanes)
        report.begin("i", f"BID {bid} ({lane.access}) goes away; then everything is deregistered")
        since = lab.clock.time()
        lane.up.stop()
        answer = await self._node.deregister(bid, within=ANSWER_WITHIN)
        self._event(f"BID {bid} deregistered")
        self._answered(answer, f"deregistration of BID {bid}: acknowledgement")
        moved = lab.clock.time()
        await asyncio.sleep(IN_FLIGHT)
        lab.network.wire(plan.node_name, self._node.uplinks[bid].interface.name).set_up(False)
        self._event(f"{lane.access} link pulled")
        await self._watch(1.2)
        until = lab.clock.time() - IN_FLIGHT
        after = plan.down(bid, moved, until)
        name = lane.down.flow.name
        report.equal(f"{name} now comes by BID {following}", after.paths.get(following, 0), after.sent, "packets")
        report.equal("lost in all flows", plan.lost(since, until), 0, "packets")
        policies = await lab.rest.policies(self._home)
        report.equal("state of the policy of that BID", policies[f"flow-{bid}"], "inactive")
        plan.stop()
        await asyncio.sleep(IN_FLIGHT)
        answer = await self._node.deregister(None, within=ANSWER_WITHIN)
        self._event("everything deregistered")
        self._answered(answer, "deregistration of everything: acknowledgement")
        if plan.router is not None:
            answer = await plan.router.node.deregister(None, within=ANSWER_WITHIN)
            self._event("mobile router deregistered")
            self._answered(answer, "deregistration of the mobile router: acknowledgement")
        await self._empty()

    async def _empty(self) -> None:
        """Check that nothing is left of the nodes, when the grace period is over."""
        lab, report = self._lab, self._report
        left: list[Row] = []
        for _ in range(40):
            left = await lab.rows(*BINDING_TABLES)
            if not left:
                break
            await asyncio.sleep(0.1)
        report.equal("entries of bindings by P4Runtime", len(left), 0)
        report.equal("bindings by REST", len(await self._care_of()), 0)
        expected = {"forged_inner_source", "unregistered_outer_source"}
        others = {reason: count.packets for reason, count in (await lab.drops()).items() if reason not in expected}
        report.equal("packets dropped for any other reason, in all", sum(others.values()), 0, "packets")


def _words(bids: Iterable[int]) -> str:
    return " ".join(map(str, sorted(bids)))
