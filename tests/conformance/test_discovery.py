"""DHD: discovery of home agents and of home prefixes (RFC 6275 sections 6.5 to 6.8, 10.5 and 10.6)."""

import random
import struct
from collections import Counter
from itertools import pairwise

import pytest

from conformance import packets, requirement
from conformance.harness import ALL_NODES, COA1, COA2, COA3, HA, HOA, Bed, make_config
from conformance.packets import DESTINATION_OPTIONS, ICMPV6, MOBILITY, Seen, bid, icmp, ip, ipv6, with_hao
from controller.mobility.security.policy import SecurityContext

ANYCAST = ip("2001:db8:0:1:fdff:ffff:ffff:fffe")


def request(identifier: int, *, destination: bytes = ANYCAST, source: bytes = COA1, routers: bool = False) -> bytes:
    """Return a Home Agent Address Discovery Request."""
    body = struct.pack("!HH", identifier, 0x8000 if routers else 0)
    return ipv6(source, destination, ICMPV6, icmp(144, 0, body, source, destination))


def listed(reply: Seen) -> list[bytes]:
    """Return the addresses of a Home Agent Address Discovery Reply."""
    assert (reply.protocol, reply.kind, reply.payload[1], reply.routing, reply.home) == (ICMPV6, 145, 0, None, None)
    assert reply.sound
    assert len(reply.octets) <= 1280
    return [reply.payload[at : at + 16] for at in range(8, len(reply.payload), 16)]


def router(
    source: str,
    *addresses: str,
    home_agent: bool = True,
    preference: int | None = None,
    lifetime: int | None = None,
    router_lifetime: int = 1800,
    r_flag: bool = True,
    mobile_routers: bool = False,
) -> bytes:
    """Return a Router Advertisement with its global addresses."""
    body = struct.pack("!BBHII", 64, 0x20 if home_agent else 0, router_lifetime, 0, 0)
    for address in addresses:
        flags = 0xC0 | (0x20 if r_flag else 0)
        body += struct.pack("!BBBBIII", 3, 4, 64, flags, 86400, 86400, 0) + ip(address)
    if preference is not None or lifetime is not None:
        reserved = 0x8000 if mobile_routers else 0
        body += struct.pack("!BBHhH", 8, 1, reserved, preference or 0, 1800 if lifetime is None else lifetime)
    message = icmp(134, 0, body, ip(source), ALL_NODES)
    return ipv6(ip(source), ALL_NODES, ICMPV6, message, hop_limit=255)


def solicit(identifier: int, *, source: bytes = COA1, home: bytes | None = HOA) -> bytes:
    """Return a Mobile Prefix Solicitation."""
    message = icmp(146, 0, struct.pack("!HH", identifier, 0), home or source, HA)
    if home is None:
        return ipv6(source, HA, ICMPV6, message)
    return ipv6(source, HA, DESTINATION_OPTIONS, with_hao(home, ICMPV6, message))


def advertised(seen: Seen) -> tuple[int, list[tuple[int, int, int, int, bytes]]]:
    """Return identifier and prefixes (length, flags, valid, preferred, address) of a Mobile Prefix Advertisement."""
    assert (seen.protocol, seen.kind, seen.payload[1]) == (ICMPV6, 147, 0)
    assert seen.sound
    identifier, flags = struct.unpack_from("!HH", seen.payload, 4)
    assert flags == 0
    found = []
    for at in range(8, len(seen.payload), 32):
        kind, units, length, bits, valid, preferred = struct.unpack_from("!BBBBII", seen.payload, at)
        assert (kind, units) == (3, 4)
        found.append((length, bits, valid, preferred, seen.payload[at + 16 : at + 32]))
    return identifier, found


@requirement("DHD-01")
@pytest.mark.parametrize("destination", [ANYCAST, HA], ids=["anycast", "unicast"])
def test_dhd_01_a_request_is_answered(bed: Bed, destination: bytes) -> None:
    (reply,) = bed.send(request(0x55, destination=destination))
    assert (reply.source, reply.destination) == (HA, COA1)
    assert struct.unpack_from("!H", reply.payload, 4) == (0x55,)
    assert listed(reply) == [HA]


@requirement("DHD-01")
def test_dhd_01_not_on_another_prefix_and_not_a_damaged_one(bed: Bed) -> None:
    bed.silence(request(1, destination=ip("2001:db8:0:2:fdff:ffff:ffff:fffe")))
    damaged = bytearray(request(1))
    damaged[43] ^= 1
    bed.silence(bytes(damaged))
    bed.silence(request(1, source=ip("ff02::1")))


@requirement("DHD-02")
def test_dhd_02_the_list_is_in_order_of_preference(bed: Bed) -> None:
    bed.send(router("fe80::2", "2001:db8:0:1::2", preference=10))
    bed.send(router("fe80::3", "2001:db8:0:1::3", preference=-5))
    bed.send(router("fe80::4", "2001:db8:0:1::4", preference=20))
    (reply,) = bed.send(request(1))
    assert listed(reply) == [ip(f"2001:db8:0:1::{last}") for last in (4, 2, 1, 3)]


@requirement("DHD-02")
def test_dhd_02_equals_come_in_random_order() -> None:
    bed = Bed(security=SecurityContext(0.0, random.Random(7).randbytes))
    bed.send(router("fe80::2", "2001:db8:0:1::2", "2001:db8:0:1::22"))
    bed.send(router("fe80::3", "2001:db8:0:1::3"))
    orders = Counter(tuple(listed(bed.send(request(number))[0])) for number in range(200))
    assert len(orders) == 12  # three home agents, one with two addresses that stay together
    assert max(orders.values()) < 50


@requirement("DHD-02")
def test_dhd_02_at_most_77_addresses(bed: Bed) -> None:
    for number in range(100):
        bed.send(router(f"fe80::{number + 2:x}", f"2001:db8:0:1::{number + 2:x}"))
    (reply,) = bed.send(request(1))
    assert len(listed(reply)) == len(set(listed(reply))) == 77


@requirement("DHD-03")
@pytest.mark.parametrize(
    "gone",
    [
        router("fe80::2", "2001:db8:0:1::2", home_agent=False),
        router("fe80::2", "2001:db8:0:1::2", lifetime=0),
        router("fe80::2", "2001:db8:0:1::2", router_lifetime=0),
    ],
    ids=["H clear", "home agent lifetime 0", "router lifetime 0"],
)
def test_dhd_03_a_home_agent_that_says_so_is_removed(bed: Bed, gone: bytes) -> None:
    bed.send(router("fe80::2", "2001:db8:0:1::2"))
    assert len(listed(bed.send(request(1))[0])) == 2
    bed.send(gone)
    assert listed(bed.send(request(2))[0]) == [HA]


@requirement("DHD-03")
def test_dhd_03_and_one_that_is_silent(bed: Bed) -> None:
    bed.send(router("fe80::2", "2001:db8:0:1::2", lifetime=30))
    bed.advance(31)
    assert listed(bed.send(request(1))[0]) == [HA]


@requirement("DHD-04")
def test_dhd_04_only_prefixes_with_the_r_flag_give_addresses(bed: Bed) -> None:
    bed.send(router("fe80::2", "2001:db8:0:1::2", r_flag=False))
    assert listed(bed.send(request(1))[0]) == [HA]
    bed.send(router("fe80::2", "2001:db8:0:1::2", "2001:db8:0:9::2"))
    assert ip("2001:db8:0:9::2") not in listed(bed.send(request(1))[0])
    assert ip("2001:db8:0:1::2") in listed(bed.send(request(1))[0])


@requirement("DHD-05")
def test_dhd_05_a_solicitation_is_answered() -> None:
    bed = Bed(network={"valid_until": 5000.0, "preferred_until": 4000.0})
    bed.register(bid(1, COA1), bid(2, COA2))
    (reply,) = bed.send(solicit(0x77, source=COA2))
    assert (reply.source, reply.destination, reply.routing) == (HA, COA2, HOA)
    assert advertised(reply) == (0x77, [(64, 0xE0, 4000, 3000, HA)])


@requirement("DHD-05")
def test_dhd_05_as_configured_it_is_not() -> None:
    bed = Bed(prefix_discovery=False)
    bed.register()
    bed.silence(solicit(1))


@requirement("DHD-06")
@pytest.mark.parametrize("source", [COA1, COA3])
def test_dhd_06_without_binding_it_gets_a_binding_error(bed: Bed, source: bytes) -> None:
    if source == COA3:
        bed.register()
    (error,) = bed.send(solicit(1, source=source))
    assert (error.protocol, error.kind, error.payload[6], error.payload[8:24]) == (MOBILITY, 7, 1, HOA)
    assert error.destination == source


@requirement("DHD-06")
def test_dhd_06_without_home_address_option_it_is_dropped(bed: Bed) -> None:
    bed.register()
    bed.silence(solicit(1, home=None))


@requirement("DHD-07")
def test_dhd_07_one_answer_a_second(bed: Bed) -> None:
    bed.register()
    assert len(bed.send(solicit(1))) == 1
    bed.advance(0.1)
    assert bed.send(solicit(2)) == []
    bed.advance(1)
    assert len(bed.send(solicit(3))) == 1


@requirement("DHD-08")
def test_dhd_08_a_change_is_advertised_until_it_is_acknowledged() -> None:
    bed = Bed(max_lifetime=262140, security=SecurityContext(0.0, random.Random(1).randbytes))
    bed.register(lifetime=65535)
    bed.engine.set_prefix_lifetimes(bed.engine_config.networks[0].prefix, None, bed.now + 3000, bed.now)
    assert bed.advance(599) == []
    first = bed.engine.next_timer()
    assert first is not None
    assert 1600 <= first <= 4000
    times = []
    while (when := bed.engine.next_timer()) is not None and when < 10000:
        times += [when for seen in bed.advance(when - bed.now) if seen.protocol == ICMPV6 and seen.kind == 147]
    assert [round(b - a, 3) for a, b in pairwise(times)] == [3, 6, 12]


@requirement("DHD-08")
def test_dhd_08_an_acknowledgement_ends_it(bed: Bed) -> None:
    bed.register(lifetime=900)
    bed.engine.set_prefix_lifetimes(bed.engine_config.networks[0].prefix, None, bed.now + 700, bed.now)
    (seen,) = bed.advance(602)
    assert (seen.destination, seen.routing) == (COA1, HOA)
    assert advertised(seen)[1][0][3] <= 100
    bed.send(solicit(1))
    assert not [one for one in bed.advance(60) if one.protocol == ICMPV6]


@requirement("DHD-08")
def test_dhd_08_so_does_the_end_of_the_binding() -> None:
    bed = Bed(make_config())
    bed.register(lifetime=100)
    bed.engine.set_prefix_lifetimes(bed.engine_config.networks[0].prefix, None, bed.now + 700, bed.now)
    assert packets.ICMPV6 not in {seen.protocol for seen in bed.advance(2000)}
