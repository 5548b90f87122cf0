"""Who lies about its home address, its prefix or its key: refused with the right status, counted, logged once; no key is shown."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from controller.fabric.loader import load_topology, sample_topologies
from controller.mobility.address import Address, Prefix, format_address, parse_address
from controller.mobility.mobile_node import MobileNode, MobileNodeConfig
from controller.mobility.security.policy import NO_SECURITY, AuthPolicy, EspPolicy, SecurityPolicy
from testbed.lab import Lab
from testbed.settings import ControllerSettings, make_credentials, new_association, new_key

HOME, ROUTER = parse_address("2001:db8:0:1::100"), parse_address("2001:db8:0:1::200")
UNKNOWN, OUTSIDE = parse_address("2001:db8:0:1::999"), parse_address("2001:db8:77::1")
STRANGER = parse_address("2001:db8:a1::bad")
PREFIX, FOREIGN = Prefix.parse("2001:db8:f00::/56"), Prefix.parse("2001:db8:abc::/56")
TIMES = 20


@dataclass(frozen=True)
class Lie:
    """What is claimed, and what has to come of it."""

    home_address: Address
    proof: SecurityPolicy
    counter: str
    line: str
    """What the log says, once."""
    prefixes: tuple[Prefix, ...] = ()


def lies(mn: AuthPolicy, mr: EspPolicy) -> list[Lie]:
    wrong = AuthPolicy(mn.spi, new_key(), mn.node_identifier)
    of_another = AuthPolicy(mn.spi, mn.key, b"somebody@mcoa.example")
    return [
        Lie(HOME, NO_SECURITY, "dropped_unprotected", "unprotected"),
        Lie(HOME, wrong, "refused_146", f"refused {format_address(HOME)} from {format_address(STRANGER)}: status 146"),
        Lie(ROUTER, EspPolicy(new_association(mr.from_node.spi), mr.to_node), "dropped_integrity", "integrity"),
        # One node's key does not speak for another, nor under another name.
        Lie(HOME, mr, "dropped_foreign_association", "foreign_association"),
        Lie(
            HOME,
            of_another,
            "refused_146",
            f"refused {format_address(HOME)} from {format_address(STRANGER)}: status 146",
        ),
        # A right key, and a claim to what is not the node's.
        Lie(
            HOME,
            mn,
            "refused_139",
            f"refused {format_address(HOME)} from {format_address(STRANGER)}: status 139",
            (PREFIX,),
        ),
        Lie(
            ROUTER,
            mr,
            "refused_142",
            f"refused {format_address(ROUTER)} from {format_address(STRANGER)}: status 142",
            (FOREIGN,),
        ),
        Lie(UNKNOWN, NO_SECURITY, "refused_133", f"refused {format_address(UNKNOWN)}"),
        Lie(OUTSIDE, NO_SECURITY, "refused_132", f"refused {format_address(OUTSIDE)}"),
    ]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    topology = load_topology(sample_topologies() / "three-access.yaml")
    settings = ControllerSettings(credentials=make_credentials(topology))
    async with Lab(topology, tmp_path, settings) as running:
        for name in ("mn", "mr"):
            assert (await running.network.mobile_nodes[name].register(within=20)).status == 0
        yield running


def tell(lab: Lab, lie: Lie) -> None:
    """Send a lie, again and again."""
    node = lab.network.mobile_nodes["mn"]
    for number in range(TIMES):
        config = MobileNodeConfig(
            lie.home_address,
            node.home_agent,
            prefixes=lie.prefixes,
            mobile_router=bool(lie.prefixes),
            first_sequence=1000 + number,
            security=lie.proof,
        )
        liar = MobileNode(config, security=node.security)
        liar.attach(1, STRANGER)
        # A quarter of a second apart by their clocks: neither ESP's sequence numbers nor timestamps repeat. Whoever has the
        # node's own ESP key uses up its numbers, so a liar's clock goes ahead: what the node sends next stays within the window.
        ahead = 30 if isinstance(lie.proof, EspPolicy) else 0
        liar.register(lab.clock.time() + ahead + number * 0.26)
        for packet in liar.outbox():
            node.uplinks[1].interface.send(packet)


def secrets(lab: Lab) -> list[str]:
    keys = []
    for policy in lab.network.mobile_nodes.values():
        security = policy.engine.config.security
        if isinstance(security, AuthPolicy):
            keys.append(security.key)
        elif isinstance(security, EspPolicy):
            keys += [security.from_node.key, security.to_node.key]
    return [key.reveal().hex() for key in keys]


@pytest.mark.timeout(180)
async def test_every_lie_is_refused_counted_and_logged_once(lab: Lab, tmp_path: Path) -> None:
    policies = [lab.network.mobile_nodes[name].engine.config.security for name in ("mn", "mr")]
    assert isinstance(policies[0], AuthPolicy)
    assert isinstance(policies[1], EspPolicy)
    bindings = [await lab.rest.bindings(home_address) for home_address in (HOME, ROUTER)]
    for lie in lies(policies[0], policies[1]):
        before = await lab.rest.signalling()
        tell(lab, lie)
        counted = 0
        deadline = lab.clock.time() + 30
        while counted < TIMES and lab.clock.time() < deadline:
            await asyncio.sleep(0.05)
            counted = (await lab.rest.signalling())[lie.counter] - before[lie.counter]
        assert counted == TIMES, (lie, await lab.rest.signalling() - before)
        log = (tmp_path / "controller.log").read_text()
        assert log.count(lie.line) == 1, (lie, log)
    assert [await lab.rest.bindings(home_address) for home_address in (HOME, ROUTER)] == bindings
    # Whom they speak of is none the worse: it can still change what it has.
    assert (await lab.network.mobile_nodes["mr"].deregister(None, within=20)).status == 0
    await no_key_is_shown(lab, tmp_path)


async def no_key_is_shown(lab: Lab, folder: Path) -> None:
    shown = (folder / "controller.log").read_text()
    node = format_address(HOME)
    headers = {"Authorization": f"Bearer {lab.token}"}
    async with httpx.AsyncClient(base_url=lab.controller.url, headers=headers, trust_env=False) as client:
        for home_address in map(format_address, (HOME, ROUTER)):
            for what in ("", "/provision", "/bindings", "/flows", "/policies"):
                shown += (await client.get(f"/v1/nodes/{home_address}{what}")).text
        for path in ("nodes", "bindings", "switches", "home-networks", "topology", "events", "audit-log"):
            answer = await client.get(f"/v1/{path}")
            assert answer.status_code == 200, path
            shown += answer.text
        for path in ("/metrics", "/health", "/openapi.json"):
            shown += (await client.get(path)).text
        # Bad input that holds a key is not quoted either.
        secret = secrets(lab)[0]
        body = {"security": {"kind": "auth", "spi": 1, "key": secret}}
        answer = await client.put(f"/v1/nodes/{node}/provision", json=body)
        assert answer.is_error
        shown += answer.text
    assert format_address(ROUTER) in shown
    assert len(secrets(lab)) == 3
    for secret in secrets(lab):
        assert secret not in shown
        assert secret[:16] not in shown
        assert bytes.fromhex(secret).decode("latin-1") not in shown
