"""Flow options, traffic selectors and revocation messages, built and taken apart octet by octet."""

import struct
from typing import Final

from conformance.packets import (
    DESTINATION_OPTIONS,
    MOBILITY,
    Ack,
    Option,
    Seen,
    ipv6,
    lay_out,
    mobility,
    options_of,
    raw_option,
    with_hao,
)

FIRST_PORT, LAST_PORT, PROTOCOL = 1 << 31 - 10, 1 << 31 - 11, 1 << 31 - 14
"""Flags K, L and O of an IPv6 selector (RFC 6088 section 3.2): destination ports and next header."""
REVOCATION: Final = 16
SWITCH: Final = 12


def selector(content: bytes, form: int = 2) -> bytes:
    """Return a Traffic Selector sub-option; `content` begins with the flags."""
    return bytes((3, 2 + len(content), form, 0)) + content


def udp(first: int | None = None, last: int | None = None) -> bytes:
    """Return a selector for UDP, to a destination port or a range of them."""
    flags, ports = PROTOCOL, b""
    for flag, port in ((FIRST_PORT, first), (LAST_PORT, last)):
        if port is not None:
            flags |= flag
            ports += struct.pack("!H", port)
    return selector(struct.pack("!I", flags) + ports + b"\x11")


def reference(*bids: int) -> bytes:
    """Return a Binding Reference sub-option."""
    return bytes((2, 2 * len(bids))) + b"".join(struct.pack("!H", bid) for bid in bids)


def flow(fid: int, priority: int, *parts: bytes, status: int = 0) -> Option:
    """Return a Flow Identification option."""
    return raw_option(45, struct.pack("!HHBB", fid, priority, 0, status) + b"".join(parts), 2, 0)


def summary(*fids: int) -> Option:
    """Return a Flow Summary option."""
    return raw_option(44, b"".join(struct.pack("!H", fid) for fid in fids), 2, 0)


def flows_of(ack: Ack) -> list[tuple[int, int]]:
    """Return FID and status of each Flow Identification option of an acknowledgement."""
    return [(int.from_bytes(data[:2]), data[5]) for kind, data in ack.options if kind == 45]


def answer(sequence: int, *, home: bytes, source: bytes, agent: bytes, status: int = 0) -> bytes:
    """Return the packet with a Binding Revocation Acknowledgement (RFC 5846 section 6.2)."""
    body = struct.pack("!BBHH", 2, status, sequence, 0) + lay_out((), 12)
    header = mobility(REVOCATION, body, home, agent)
    return ipv6(source, agent, DESTINATION_OPTIONS, with_hao(home, MOBILITY, header))


def indications(seen: list[Seen]) -> list[tuple[Seen, int, int, int, list[int]]]:
    """Return each Binding Revocation Indication among packets, with trigger, sequence, flags and the BIDs that it names."""
    found = []
    for one in seen:
        if one.protocol != MOBILITY or one.kind != REVOCATION:
            continue
        assert one.sound
        kind, trigger, sequence, flags = struct.unpack_from("!BBHH", one.payload, 6)
        assert kind == 1
        bids = []
        for option, data in options_of(one.payload, 12):
            assert (option, len(data)) == (35, 4)
            bids.append(int.from_bytes(data[:2]))
        found.append((one, trigger, sequence, flags, bids))
    return found
