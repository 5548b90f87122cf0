"""From a signalled traffic selector to keys that a switch can match: ranges become values under masks.

A switch matches most fields as value under mask. So a range of addresses or code points becomes the fewest aligned blocks that
cover it exactly; a range of ports too, on switches that have no ranges. What a selector asks of a packet without saying so (that
it has ports, or a security parameter index) becomes the protocols that have them.
"""

from itertools import product
from typing import Final, NamedTuple

from controller.mobility.flows import FlowSelector, Span
from controller.values import value

WITH_PORTS: Final = (6, 17, 132, 136)
"""Protocols of which a switch reads the ports: TCP, UDP, SCTP, UDP-Lite. Of every other packet it takes them as 0."""
WITH_SPI: Final = (50, 51)
"""Protocols of which it reads the security parameter index: ESP and AH. Of every other packet it takes it as 0."""
MAX_KEYS: Final = 64
"""Most keys into which one selector may expand."""


@value
class KeyShape:
    """What the keys of flows can say in a switch; with several switches, what they can say in all of them."""

    port_ranges: bool = True
    """Any range of ports is one key; otherwise aligned blocks are, as of all else."""
    spi: bool = True
    """The security parameter index has a field of its own; otherwise its halves stand where the ports of other packets do, so
    that ports and SPIs say something only together with the protocol."""
    ip_version: bool = True
    """A key can ask for the IP version; otherwise only addresses tell which one a packet has."""


FULL: Final = KeyShape()
"""Of the embedded switch and of BMv2."""


class Masked(NamedTuple):
    """A value under a mask; bits outside of the mask are zero."""

    value: int
    mask: int


@value
class FlowKey:
    """One key of a switch. None in a field: any value."""

    source: Masked | None
    destination: Masked | None
    protocol: Masked | None
    source_ports: Span | None
    destination_ports: Span | None
    traffic_class: Masked | None
    flow_label: Masked | None
    spi: Masked | None


class ExpansionError(ValueError):
    """A selector needs more keys than a flow may have."""


def expand(selector: FlowSelector, limit: int = MAX_KEYS, shape: KeyShape = FULL) -> tuple[FlowKey, ...]:
    """Return keys that match exactly the IPv6 packets that a selector takes; none when no packet can match.

    Where keys do not have the IP version, they match IPv4 packets too, unless they have addresses.

    Args:
        selector: what a flow takes.
        limit: most keys.
        shape: what keys can say.

    Raises:
        ExpansionError: it would be more than `limit`.
    """
    if selector.ipv4:
        return ()  # an IPv4 selector takes IPv4 packets only, and a switch carries IPv6
    fields: tuple[tuple[Masked | None, ...], ...] = (
        _blocks(selector.source, 128),
        _blocks(selector.destination, 128),
        _protocols(selector, shape),
        _blocks(_codepoints(selector.traffic_class), 8),
        _blocks(selector.flow_label, 20),
        _blocks(selector.spi, 32),
    )
    sources, destinations = (_ports(ports, shape) for ports in (selector.source_ports, selector.destination_ports))
    count = len(sources) * len(destinations)
    for alternatives in fields:
        count *= len(alternatives)
    if count > limit:
        raise ExpansionError(f"the selector needs {count} keys in a switch; {limit} are the most")
    return tuple(
        FlowKey(source, destination, protocol, source_ports, destination_ports, traffic_class, flow_label, spi)
        for source, destination, protocol, traffic_class, flow_label, spi in product(*fields)
        for source_ports in sources
        for destination_ports in destinations
    )


def _codepoints(span: Span | None) -> Span | None:
    """Return a range of traffic classes with the ECN bits, which do not count, filled in (RFC 6088 section 3.2)."""
    return None if span is None else Span(span.low & 0xFC, span.high | 0x03)


def _ports(span: Span | None, shape: KeyShape) -> tuple[Span | None, ...]:
    if span is None or span == Span(0, 0xFFFF):
        return (None,)
    if shape.port_ranges:
        return (span,)
    return tuple(
        Span(block.value, block.value | 0xFFFF ^ block.mask) for block in _blocks(span, 16) if block is not None
    )


def _protocols(selector: FlowSelector, shape: KeyShape) -> tuple[Masked | None, ...]:
    """Return the protocols that a selector asks for, by name or by the fields that a packet has to have."""
    wanted = selector.protocol
    needed: set[int] | None = None
    for asked, having in (
        (selector.source_ports, WITH_PORTS),
        (selector.destination_ports, WITH_PORTS),
        (selector.spi, WITH_SPI),
    ):
        # A value that excludes 0 needs no protocol where the field is nothing else's: packets without it read as 0 there.
        if asked is not None and (asked.low == 0 or wanted is not None or not shape.spi):
            needed = set(having) if needed is None else needed & set(having)
    if selector.spi is not None and (selector.source_ports is not None or selector.destination_ports is not None):
        return ()  # no packet has both where a switch can see them
    if needed is None:
        return _blocks(wanted, 8)
    return tuple(Masked(one, 0xFF) for one in sorted(needed) if wanted is None or wanted.low <= one <= wanted.high)


def _blocks(span: Span | None, width: int) -> tuple[Masked | None, ...]:
    """Return the fewest aligned blocks that cover a range exactly; (None,) when that is everything."""
    full = (1 << width) - 1
    if span is None or span == Span(0, full):
        return (None,)
    blocks: list[Masked | None] = []
    low = span.low
    while low <= span.high:
        # The largest block that begins here: as aligned as its start, and not beyond the end.
        size = min((low & -low).bit_length() - 1 if low else width, (span.high - low + 1).bit_length() - 1)
        blocks.append(Masked(low, full ^ ((1 << size) - 1)))
        low += 1 << size
    return tuple(blocks)
