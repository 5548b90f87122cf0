"""The codec: how fast a Binding Update with three care-of addresses is read."""

from bench.registry import Result, Results, Settings, bench, in_turns, rate
from controller.mobility.address import parse_address
from controller.mobility.wire.messages import BindingUpdate, decode_message, encode_message
from controller.mobility.wire.options import BindingIdentifier

_HOME = parse_address("2001:db8:0:1::100")
_AGENT = parse_address("2001:db8:0:1::1")


def update_of_three() -> bytes:
    """Return the Mobility Header of a bulk Binding Update with three BIDs."""
    options = tuple(
        BindingIdentifier(bid=bid, care_of=parse_address(f"2001:db8:a{bid}::100"), priority=bid) for bid in (1, 2, 3)
    )
    update = BindingUpdate(sequence=1, flags=0xC040, lifetime_units=900, options=options)
    return encode_message(update, _HOME, _AGENT)


@bench("codec.decode_bu3")
def decode_bu3(settings: Settings) -> Results:
    from scapy.layers.inet6 import MIP6MH_BU  # noqa: PLC0415 - slow to import, and only this bench needs it

    data = update_of_three()
    end = len(data)
    assert len(decode_message(data, 0, end, _HOME, _AGENT).options) == 3

    def ours() -> float:
        return rate(lambda: decode_message(data, 0, end, _HOME, _AGENT), settings.amount(20_000))

    def scapy() -> float:
        return rate(lambda: MIP6MH_BU(data), settings.amount(400))

    value, peer = in_turns(ours, scapy, settings.rounds)
    note = "ours verifies the checksum and every option; scapy does neither and knows no BID option: it keeps it raw"
    return {"codec.decode_bu3": Result(value, "messages/s", "scapy MIP6MH_BU", peer, note)}
