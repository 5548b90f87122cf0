"""Binary traffic selectors (RFC 6088 section 3): octets to values and back.

A selector is a flag word and then, in the order of the flags, the fields whose flag is set. Fields come in pairs, first and last
of an inclusive range; without the last one it is a single value.
"""

from typing import Final, NamedTuple

from controller.mobility.flows import FlowSelector, Span
from controller.mobility.wire.flow_options import SelectorFormat, TrafficSelectorOption

DSCP_MASK: Final = 0xFC
"""The two low bits of the traffic class are ECN and do not count (RFC 6088 sections 3.1 and 3.2)."""
FLOW_LABEL_MASK: Final = 0xFFFFF
"""A flow label has 20 bits (RFC 8200 section 6); RFC 6088 section 3.2 draws it in a field of 32."""


class _Pair(NamedTuple):
    """Two consecutive fields, two consecutive flags."""

    name: str
    """Of the field in `FlowSelector`."""
    octets: int
    mask: int


_FULL: Final = (1 << 128) - 1
_LAYOUTS: Final[dict[int, tuple[_Pair, ...]]] = {
    SelectorFormat.IPV4_BINARY: (
        _Pair("source", 4, _FULL),
        _Pair("destination", 4, _FULL),
        _Pair("spi", 4, _FULL),
        _Pair("source_ports", 2, _FULL),
        _Pair("destination_ports", 2, _FULL),
        _Pair("traffic_class", 1, DSCP_MASK),
        _Pair("protocol", 1, _FULL),
    ),
    SelectorFormat.IPV6_BINARY: (
        _Pair("source", 16, _FULL),
        _Pair("destination", 16, _FULL),
        _Pair("spi", 4, _FULL),
        _Pair("flow_label", 4, FLOW_LABEL_MASK),
        _Pair("source_ports", 2, _FULL),
        _Pair("destination_ports", 2, _FULL),
        _Pair("traffic_class", 1, DSCP_MASK),
        _Pair("protocol", 1, _FULL),
    ),
}


def knows_format(number: int) -> bool:
    """Tell whether a selector format can be read."""
    return number in _LAYOUTS


def decode_selector(option: TrafficSelectorOption) -> FlowSelector:
    """Return what a traffic selector says.

    Raises:
        ValueError: its format is not known, it is too short or too long for its flags, has the end of a range without its
            start, or a range that is empty.
    """
    layout = _LAYOUTS.get(option.format)
    if layout is None:
        raise ValueError(f"traffic selector format {option.format} is not known")
    content = option.content
    if len(content) < 4:
        raise ValueError(f"a traffic selector of {len(content)} octets has no room for its flags")
    flags = int.from_bytes(content[:4])
    offset = 4
    spans: dict[str, Span] = {}
    for position, pair in enumerate(layout):
        has_start, has_end = flags >> 31 - 2 * position & 1, flags >> 30 - 2 * position & 1
        if has_end and not has_start:
            raise ValueError(f"the range of {pair.name} has an end and no start")
        if not has_start:
            continue
        ends: list[int] = []
        for _ in range(has_start + has_end):
            if offset + pair.octets > len(content):
                raise ValueError(f"the traffic selector ends inside {pair.name}")
            ends.append(int.from_bytes(content[offset : offset + pair.octets]) & pair.mask)
            offset += pair.octets
        if ends[-1] < ends[0]:
            raise ValueError(f"the range of {pair.name} is empty: {ends[0]} to {ends[-1]}")
        spans[pair.name] = Span(ends[0], ends[-1])
    if offset != len(content):
        raise ValueError(f"{len(content) - offset} octets follow the fields that the flags name")
    return FlowSelector(ipv4=option.format == SelectorFormat.IPV4_BINARY, **spans)


def encode_selector(selector: FlowSelector) -> TrafficSelectorOption:
    """Return the traffic selector that says this, in its shortest form.

    Raises:
        ValueError: a range is empty or does not fit its field, or an IPv4 selector names a flow label.
    """
    number = SelectorFormat.IPV4_BINARY if selector.ipv4 else SelectorFormat.IPV6_BINARY
    if selector.ipv4 and selector.flow_label is not None:
        raise ValueError("IPv4 packets have no flow label")
    flags = 0
    fields: list[bytes] = []
    for position, pair in enumerate(_LAYOUTS[number]):
        span: Span | None = getattr(selector, pair.name)
        if span is None:
            continue
        if not 0 <= span.low <= span.high < 1 << 8 * pair.octets or span.high > pair.mask:
            raise ValueError(f"{span.low} to {span.high} is no range of {pair.name}")
        flags |= 1 << 31 - 2 * position
        fields.append(span.low.to_bytes(pair.octets))
        if span.high != span.low:
            flags |= 1 << 30 - 2 * position
            fields.append(span.high.to_bytes(pair.octets))
    return TrafficSelectorOption(number, flags.to_bytes(4) + b"".join(fields))
