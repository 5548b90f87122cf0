"""Mobility options of flow bindings: Flow Identification and Flow Summary with their sub-options (RFC 6089 section 4, RFC 7109).

The type numbers are those of the body of RFC 6089, of IANA and of every implementation; its own IANA section swaps them.
A sub-option that cannot be read spoils its Flow Identification option only, never the Binding Update, so nothing here raises on
what a packet holds.
"""

from enum import IntEnum
from struct import Struct
from typing import ClassVar, Final, TypeAlias

from controller.mobility.wire.codes import OptionType
from controller.values import value

_HEAD: Final = Struct("!HHxB")
_HEAD_LENGTH: Final = 6
_U16: Final = Struct("!H")
_ADDRESS_FLAGS: Final = 0xF0000000
_WORD_FLAGS: Final = 0x0F000000
_PORT_FLAGS: Final = 0x00F00000
_IPV4_WORD_FLAGS: Final = 0xFC000000
_IPV4_PORT_FLAGS: Final = 0x03C00000


class FlowStatus(IntEnum):
    """Status of a Flow Identification option (RFC 6089 section 4.2)."""

    ACCEPTED = 0
    ADMINISTRATIVELY_PROHIBITED = 128
    REASON_UNSPECIFIED = 129
    MALFORMED = 130
    BID_NOT_FOUND = 131
    FID_NOT_FOUND = 132
    SELECTOR_FORMAT_NOT_SUPPORTED = 133


class SubOptionType(IntEnum):
    """Sub-options of a Flow Identification option (IANA "Flow Identification Sub-Options")."""

    PAD1 = 0
    PADN = 1
    BINDING_REFERENCE = 2
    TRAFFIC_SELECTOR = 3
    FLOW_BINDING_ACTION = 4
    TARGET_CARE_OF_ADDRESS = 5


class SelectorFormat(IntEnum):
    """Formats of a traffic selector (IANA "Traffic Selector Format"; RFC 6088)."""

    IPV4_BINARY = 1
    IPV6_BINARY = 2


@value
class BindingReference:
    """The BIDs to which a flow is bound (RFC 6089 section 4.2.1.3)."""

    type: ClassVar[int] = SubOptionType.BINDING_REFERENCE
    alignment: ClassVar[tuple[int, int]] = (2, 0)
    bids: tuple[int, ...]

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return b"".join(map(_U16.pack, self.bids))


@value
class TrafficSelectorOption:
    """A traffic selector as it came (RFC 6089 section 4.2.1.4); `selectors` reads and writes what it holds."""

    type: ClassVar[int] = SubOptionType.TRAFFIC_SELECTOR
    format: int
    """One of `SelectorFormat`, or another that we do not know."""
    content: bytes
    """What follows the reserved octet, at most 253 octets: flags and fields."""

    @property
    def alignment(self) -> tuple[int, int]:
        """What the largest field asks for (RFC 6088 sections 3.1 and 3.2)."""
        flags = int.from_bytes(self.content[:4])
        if self.format == SelectorFormat.IPV6_BINARY:
            sizes = ((_ADDRESS_FLAGS, 8), (_WORD_FLAGS, 4), (_PORT_FLAGS, 2))
        else:
            sizes = ((_IPV4_WORD_FLAGS, 4), (_IPV4_PORT_FLAGS, 2), (0, 1))
        return next((size for mask, size in sizes if flags & mask), 1), 0

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return bytes((self.format, 0)) + self.content


@value
class RawSubOption:
    """A sub-option that is kept as it came: of RFC 7109, experimental, or unknown."""

    alignment: ClassVar[tuple[int, int]] = (1, 0)
    type: int
    content: bytes

    def data(self) -> bytes:
        """Return what follows the length octet."""
        return self.content


SubOption: TypeAlias = BindingReference | TrafficSelectorOption | RawSubOption


@value
class FlowIdentification:
    """A flow binding: its identifier, its place in the order, and what it takes where (RFC 6089 section 4.2)."""

    type: ClassVar[int] = OptionType.FLOW_IDENTIFICATION
    fid: int
    """1 to 65535; 0 is reserved."""
    priority: int = 0
    """FID-PRI, 1 (first) to 65535; 0 is reserved."""
    status: int = 0
    """Meaningful in a Binding Acknowledgement; see `FlowStatus`."""
    sub_options: tuple[SubOption, ...] = ()
    damaged: bool = False
    """Its sub-options could not be read."""

    @property
    def alignment(self) -> tuple[int, int]:
        """2n (RFC 6089 section 4.2), or more when a sub-option needs it: those are aligned to the message too."""
        return max(2, *(one.alignment[0] for one in self.sub_options), 2), 0

    def data(self) -> bytes:
        """Return what follows the length octet."""
        parts = [_HEAD.pack(self.fid, self.priority, self.status)]
        offset = 2 + _HEAD_LENGTH
        for one in self.sub_options:
            modulus, remainder = one.alignment
            padding = (remainder - offset) % modulus
            body = one.data()
            parts += (_padding(padding), bytes((one.type, len(body))), body)
            offset += padding + 2 + len(body)
        if offset > 257:
            raise ValueError(f"the option of FID {self.fid} would have {offset - 2} octets: 255 are the most")
        return b"".join(parts)


@value
class FlowSummary:
    """Flows to keep as they are (RFC 6089 section 4.3)."""

    type: ClassVar[int] = OptionType.FLOW_SUMMARY
    alignment: ClassVar[tuple[int, int]] = (2, 0)
    fids: tuple[int, ...]
    """At most 127."""

    def data(self) -> bytes:
        """Return what follows the length octet."""
        if len(self.fids) > 127:
            raise ValueError(f"a Flow Summary option holds 127 FIDs at most, not {len(self.fids)}")
        return b"".join(map(_U16.pack, self.fids))


def _padding(count: int) -> bytes:
    # The text of RFC 6089 section 4.2.1.2 contradicts itself; as everywhere else the length counts the octets after it.
    return bytes(count) if count < 2 else bytes((SubOptionType.PADN, count - 2)) + bytes(count - 2)


def read_flow_identification(data: bytes, start: int, length: int) -> FlowIdentification | None:
    """Return the option whose content is `length` octets from `start`; None when not even its FID can be read."""
    if length < 2:
        return None
    if length < _HEAD_LENGTH:
        return FlowIdentification(int.from_bytes(data[start : start + 2]), damaged=True)
    fid, priority, status = _HEAD.unpack_from(data, start)
    sub_options = _read_sub_options(data, start + _HEAD_LENGTH, start + length)
    return FlowIdentification(fid, priority, status, sub_options or (), sub_options is None)


def _read_sub_options(data: bytes, start: int, end: int) -> tuple[SubOption, ...] | None:
    """Return the sub-options without padding; None when one of them overruns or has an impossible length."""
    found: list[SubOption] = []
    offset = start
    while offset < end:
        kind = data[offset]
        if kind == SubOptionType.PAD1:
            offset += 1
            continue
        body = offset + 2
        if body > end or (offset := body + data[body - 1]) > end:
            return None
        content = data[body:offset]
        if kind == SubOptionType.BINDING_REFERENCE:
            if len(content) % 2:
                return None
            found.append(BindingReference(tuple(bid for (bid,) in _U16.iter_unpack(content))))
        elif kind == SubOptionType.TRAFFIC_SELECTOR:
            if len(content) < 2:
                return None
            found.append(TrafficSelectorOption(content[0], content[2:]))
        elif kind != SubOptionType.PADN:
            found.append(RawSubOption(kind, content))
    return tuple(found)


def read_flow_summary(data: bytes, start: int, length: int) -> FlowSummary:
    """Return the option whose content is `length` octets from `start`; half a FID at its end is left out."""
    content = data[start : start + length - length % 2]
    return FlowSummary(tuple(fid for (fid,) in _U16.iter_unpack(content)))
