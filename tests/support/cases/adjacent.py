"""Neighbour discovery that the switch answers by itself, and what of it the controller still sees."""

from typing import Any

from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
)
from scapy.layers.l2 import Dot1Q, Ether

from cases.case import Case, dropped
from controller.dataplane.entries import Entry
from controller.dataplane.pipeline import DropReason, PuntReason
from frames import CN_PORT, HA, HA_ID, HOA, HOME_MAC, HOME_PORT, SWITCH_MAC, IPv6, exactly, mac, number, signalling

NEIGHBOUR = "2001:db8:0:1::5"
OTHER_MAC = "02:00:00:00:01:99"
ROUTER = "2001:db8:0:1::300"
GROUP, GROUP_MAC = "ff02::1:ff00:100", "33:33:ff:00:01:00"
ENTRIES = [
    Entry("interfaces", (HOME_PORT,), "interface", (HA_ID, mac(SWITCH_MAC), number(HA))),
    Entry("neighbour_proxy", (number(HOA),), "answer_for_node", (HA_ID, 0)),
    Entry("neighbour_proxy", (number(ROUTER),), "answer_for_node", (HA_ID, 1)),
    Entry("neighbour_proxy", (number(HA),), "answer_for_us"),
    signalling("punt", (2,), 60, destination=None, protocol=exactly(58, 8), icmp_type=exactly(135, 8)),
]


def asked(
    target: str, *options: Any, source: str = NEIGHBOUR, hlim: int = 255, to: str = GROUP, **fields: Any
) -> bytes:
    message = IPv6(src=source, dst=to, hlim=hlim) / ICMPv6ND_NS(tgt=target, **fields)
    for option in options:
        message /= option
    station = GROUP_MAC if to.startswith("ff") else SWITCH_MAC
    return bytes(Ether(dst=station, src=HOME_MAC) / message)


def answer(
    target: str, source: str, *, r: int = 0, s: int = 1, o: int = 0, to: str = NEIGHBOUR, station: str = HOME_MAC
) -> bytes:
    packet = (
        IPv6(src=source, dst=to, hlim=255)
        / ICMPv6ND_NA(R=r, S=s, O=o, tgt=target)
        / ICMPv6NDOptDstLLAddr(lladdr=SWITCH_MAC)
    )
    return bytes(Ether(dst=station, src=SWITCH_MAC) / packet)


def probed(target: str, source: str, **flags: int) -> bytes:
    return answer(target, source, s=0, to="ff02::1", station="33:33:00:00:00:01", **flags)


SLLA = ICMPv6NDOptSrcLLAddr(lladdr=OTHER_MAC)
NONCE = ICMPv6NDOptUnknown(type=14, len=1, data=b"nonce!")


def answered(name: str, question: bytes, reply: bytes) -> Case:
    return Case(name, [(HOME_PORT, question)], [(HOME_PORT, reply)], entries=ENTRIES)


def left(name: str, question: bytes, port: int = HOME_PORT) -> Case:
    return Case(name, [(port, question)], punted=[(port, PuntReason.NEIGHBOUR_DISCOVERY, question)], entries=ENTRIES)


def with_checksum(frame: bytes, change: int) -> bytes:
    """Return a solicitation with another checksum."""
    changed = int.from_bytes(frame[56:58]) ^ change
    return frame[:56] + changed.to_bytes(2) + frame[58:]


VLAN = Dot1Q(vlan=7)
TAGGED = asked(HOA)

CASES = [
    answered("for a node that is away", asked(HOA, SLLA), answer(HOA, HA, station=OTHER_MAC)),
    answered("for a mobile router", asked(ROUTER, SLLA), answer(ROUTER, HA, r=1, station=OTHER_MAC)),
    answered("for the home agent", asked(HA, SLLA), answer(HA, HA, r=1, o=1, station=OTHER_MAC)),
    answered("asked of the switch alone", asked(HA, SLLA, to=HA), answer(HA, HA, r=1, o=1, station=OTHER_MAC)),
    answered("without the neighbour's link-layer address", asked(HOA), answer(HOA, HA)),
    answered("with another option", asked(HOA, NONCE), answer(HOA, HA)),
    answered("a probe whether the address is free", asked(HOA, source="::"), probed(HOA, HA)),
    answered("a probe with a nonce", asked(HOA, NONCE, source="::"), probed(HOA, HA)),
    answered("a probe of the home agent's own", asked(HA, source="::"), probed(HA, HA, r=1, o=1)),
    answered(
        "on a VLAN",
        TAGGED[:12] + bytes(VLAN)[:2].join([b"\x81\x00", b""]) + TAGGED[12:],
        answer(HOA, HA)[:12] + bytes(VLAN)[:2].join([b"\x81\x00", b""]) + answer(HOA, HA)[12:],
    ),
    left("for somebody unknown", asked("2001:db8:0:1::999", SLLA)),
    left("two options", asked(HOA, SLLA, NONCE)),
    left("it was forwarded", asked(HOA, SLLA, hlim=254)),
    left("a code that is not 0", asked(HOA, SLLA, code=1)),
    left("a probe that names its sender", asked(HOA, SLLA, source="::")),
    left("not on the home link", asked(HOA, SLLA), CN_PORT),
    left("for the home agent, where it is no neighbour", asked(HA, SLLA), CN_PORT),
    dropped("a wrong checksum", DropReason.MALFORMED, (HOME_PORT, with_checksum(asked(HOA, SLLA), 1)), entries=ENTRIES),
    dropped(
        "a wrong checksum without options",
        DropReason.MALFORMED,
        (HOME_PORT, with_checksum(asked(HOA), 1)),
        entries=ENTRIES,
    ),
]
