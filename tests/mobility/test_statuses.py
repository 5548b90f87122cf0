"""Every status that the home agent gives, and every reason for giving none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.mobility.address import UNSPECIFIED, Address, Prefix, parse_address
from controller.mobility.events import Dropped, DropReason, Refused
from controller.mobility.wire import (
    AlternateCareOf,
    BindingAcknowledgement,
    BindingError,
    BindingIdentifier,
    CareOfTestInit,
    HomeTestInit,
    Message,
    NetworkPrefix,
    NonceIndices,
    Option,
    RawOption,
    Status,
    UnknownMessage,
    decode_packet,
    encode_packet,
    ipv6_header,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mobility.conftest import Bench

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a1::1")
COA2 = parse_address("2001:db8:a2::1")
COA3 = parse_address("2001:db8:a3::1")
NETWORK = Prefix.parse("2001:db8:1:2::/64")
PLAIN, OVERWRITE, ROUTER, PROXY = 0xC000, 0xC040, 0xC400, 0xC200
UNROUTABLE = [parse_address(text) for text in ("::", "::1", "fe80::1", "ff02::1", "::ffff:192.0.2.1")]


def bid(number: int, care_of: bytes | None = None, priority: int = 0, **more: bool) -> BindingIdentifier:
    return BindingIdentifier(number, care_of, priority, **more)


def option_statuses(answer: BindingAcknowledgement) -> dict[int, int]:
    return {option.bid: option.status for option in answer.options if isinstance(option, BindingIdentifier)}


# Accepted


def test_0_plain_registration(bench: Bench) -> None:
    answer = bench.exchange(lifetime=60)
    assert answer == BindingAcknowledgement(0, 1, 60)
    assert bench.care_of() == {0: COA1}


def test_0_without_acknowledge_flag(bench: Bench) -> None:
    assert bench.exchange(flags=0x4000).status == 0


def test_4_some_succeed(bench: Bench) -> None:
    answer = bench.exchange(bid(1, COA1, 10), bid(2), flags=OVERWRITE)
    assert answer.status == Status.MCOA_NOTCOMPLETE
    assert option_statuses(answer) == {1: 0, 2: Status.MCOA_UNKNOWN_COA}
    assert bench.care_of() == {1: COA1}


def test_lifetime_is_granted_up_to_the_limit(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(config_max_lifetime=102)
    assert bench.exchange(lifetime=20).lifetime_units == 20
    assert bench.exchange(lifetime=25).lifetime_units == 25
    assert bench.exchange(lifetime=26).lifetime_units == 25
    (binding,) = bench.record().bindings
    assert (binding.lifetime, binding.expires) == (100, bench.now + 100)


# Refused


def refused(bench: Bench, answer: BindingAcknowledgement, status: Status, *, kept: dict[int, Address]) -> None:
    assert answer.status == status
    assert answer.lifetime_units == 0
    assert bench.care_of() == kept
    assert bench.engine.counters[f"refused_{int(status)}"] == 1
    assert [event.status for event in bench.engine.events() if isinstance(event, Refused)] == [status]


def test_133_unknown_home_address(bench: Bench) -> None:
    stranger = parse_address("2001:db8:0:1::999")
    answer = bench.exchange(home_address=stranger)
    refused(bench, answer, Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE, kept={})
    assert list(bench.engine.records()) == []


def test_129_ipv4_care_of_address(bench: Bench) -> None:
    answer = bench.exchange(bid(1, COA1), bid(2, bytes((192, 0, 2, 9))))
    assert answer.status == 4
    assert option_statuses(answer) == {1: 0, 2: 129}


def test_130_too_many_bindings_of_a_node(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(max_bindings=2)
    answer = bench.exchange(bid(1, COA1), bid(2, COA2), bid(3, COA3))
    assert option_statuses(answer) == {1: 0, 2: 0, 3: Status.INSUFFICIENT_RESOURCES}
    assert bench.exchange(bid(1, COA3), bid(2)).status == 0, "what is registered can be changed"
    assert bench.exchange(bid(9, COA1)).status == 130
    assert bench.exchange(bid(9)).status == 167, "what is wrong with the option itself comes first"
    assert bench.exchange(bid(9, COA1), flags=OVERWRITE).status == 0


def test_130_too_many_bindings_of_all(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(config_max_bindings=2)
    bench.exchange(bid(1, COA1), bid(2, COA2))
    assert bench.exchange(bid(3, COA3)).status == 130
    assert bench.exchange(bid(3, COA3), bid(1)).status == 4
    assert bench.exchange(bid(2), lifetime=0).status == 0
    assert bench.exchange(bid(3, COA3)).status == 0


def test_132_home_address_of_another_network(bench: Bench) -> None:
    answer = bench.exchange(home_address=parse_address("2001:db8:0:2::100"))
    refused(bench, answer, Status.NOT_HOME_SUBNET, kept={})


@pytest.mark.parametrize("options", [(), (bid(1),), (bid(1), bid(2))])
def test_133_nothing_to_remove(bench: Bench, options: tuple[Option, ...]) -> None:
    answer = bench.exchange(*options, lifetime=0)
    refused(bench, answer, Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE, kept={})


def test_133_unknown_bid(bench: Bench) -> None:
    bench.exchange(bid(1, COA1))
    refused(bench, bench.exchange(bid(99), lifetime=0), Status.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE, kept={1: COA1})


def test_133_in_the_option_when_another_is_known(bench: Bench) -> None:
    bench.exchange(bid(1, COA1), bid(2, COA2))
    answer = bench.exchange(bid(1), bid(99), lifetime=0)
    assert (answer.status, option_statuses(answer)) == (4, {1: 0, 99: 133})
    assert bench.care_of() == {2: COA2}


@pytest.mark.parametrize(
    ("last", "sequence", "accepted"),
    [
        (15, 0, False),
        (15, 14, False),
        (15, 15, False),
        (15, 16, True),
        (15, 32782, True),
        (15, 32783, False),
        (15, 65535, False),
        (65535, 0, True),
        (32783, 14, True),
        (0, 32767, True),
        (0, 32768, False),
    ],
)
def test_135_sequence_window(bench: Bench, last: int, sequence: int, *, accepted: bool) -> None:
    bench.exchange(sequence=last)
    before = bench.record()
    answer = bench.exchange(sequence=sequence, flags=0x4000)
    if accepted:
        assert (answer.status, answer.sequence) == (0, sequence)
    else:
        assert (answer.status, answer.sequence) == (135, last)
        assert bench.record() == before


@pytest.mark.parametrize("first", [0, 1, 40000, 65535])
def test_any_first_sequence_number_is_taken(bench: Bench, first: int) -> None:
    assert bench.exchange(sequence=first).status == 0
    assert bench.record().sequence == first


def test_139_correspondent_registration_on_a_home_binding(bench: Bench) -> None:
    bench.exchange()
    refused(bench, bench.exchange(flags=0x8000), Status.REGISTRATION_TYPE_CHANGE_DISALLOWED, kept={0: COA1})
    assert bench.record().sequence == 1, "it does not count as accepted"


def test_139_mobile_router_flag_changes(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(mobile_router=True, prefixes=(NETWORK,))
    bench.exchange(flags=ROUTER)
    assert bench.exchange(flags=PLAIN).status == 139
    assert bench.exchange(flags=PLAIN, lifetime=0).status == 0, "a removal need not repeat it"
    assert bench.exchange(flags=PLAIN).status == 0
    assert bench.exchange(flags=ROUTER).status == 139


def test_140_mobile_router_not_permitted(bench: Bench) -> None:
    refused(bench, bench.exchange(flags=ROUTER), Status.MOBILE_ROUTER_OPERATION_NOT_PERMITTED, kept={})


def test_140_mobile_router_without_home_flag(bench: Bench) -> None:
    assert bench.exchange(flags=0x8400).status == 140


@pytest.mark.parametrize(
    ("prefix", "status"),
    [
        ("2001:db8:1:2::/64", 0),
        ("2001:db8:1:2::/63", 141),
        ("2001:db8:1:2::/65", 141),
        ("2001:db8:1::/48", 141),
        ("fe80::/64", 141),
        ("ff0e::/64", 141),
        ("2001:db8:1:3::/64", 142),
    ],
)
def test_141_142_explicit_prefixes(make_bench: Callable[..., Bench], prefix: str, status: int) -> None:
    bench = make_bench(mobile_router=True, prefixes=(NETWORK, Prefix.parse("2001:db8:1:8::/64")))
    answer = bench.exchange(NetworkPrefix(Prefix.parse(prefix)), bid(1, COA1), flags=ROUTER)
    assert answer.status == status
    assert answer.flags == (0x40 if status == 0 else 0)
    if status == 0:
        assert bench.record().prefixes == (NETWORK,)
    else:
        assert bench.engine.record(HOA) is None


@pytest.mark.parametrize(("network", "length"), [(NETWORK.network, 0), (NETWORK.network, 129), (HOA, 64)])
def test_141_prefixes_that_are_none(make_bench: Callable[..., Bench], network: Address, length: int) -> None:
    bench = make_bench(mobile_router=True, prefixes=(NETWORK,))
    good = NetworkPrefix(NETWORK)
    assert bench.exchange(good, NetworkPrefix(Prefix(network, length)), flags=ROUTER).status == 141


def test_143_implicit_prefixes(make_bench: Callable[..., Bench]) -> None:
    assert make_bench(mobile_router=True).exchange(flags=ROUTER).status == Status.FORWARDING_SETUP_FAILED
    bench = make_bench(mobile_router=True, prefixes=(NETWORK,))
    assert bench.exchange(flags=ROUTER).status == 0
    assert bench.record().prefixes == (NETWORK,)


def test_152_proxy_registration(bench: Bench) -> None:
    assert bench.exchange(flags=PROXY).status == Status.PROXY_REGISTRATION_NOT_ENABLED


@pytest.mark.parametrize("length", [0, 2, 3, 5, 6, 12, 16, 24])
def test_164_illegal_length_spoils_the_whole(bench: Bench, length: int) -> None:
    bad = RawOption(35, bytes((0, 2, 0, 0x85))[:length] + bytes(max(0, length - 4)))
    answer = bench.exchange(bid(1, COA1, 10), bad)
    refused(bench, answer, Status.MCOA_MALFORMED, kept={})
    echoes = [BindingIdentifier(1, None, 10)]
    if length > 4:
        echoes.append(BindingIdentifier(2, None, 5, 0, at_home=True))
    assert list(answer.options) == echoes


@pytest.mark.parametrize("care_of", [*UNROUTABLE, bytes(4), bytes((127, 0, 0, 1)), bytes((224, 0, 0, 1)), b"\xff" * 4])
def test_164_care_of_address_in_the_option(bench: Bench, care_of: bytes) -> None:
    answer = bench.exchange(bid(1, COA1), bid(2, care_of))
    assert (answer.status, option_statuses(answer)) == (4, {1: 0, 2: 164})


def test_164_reserved_bid(bench: Bench) -> None:
    assert bench.exchange(bid(0, COA1)).status == 164
    assert bench.engine.record(HOA) is None


def test_164_bid_named_twice(bench: Bench) -> None:
    answer = bench.exchange(bid(1, COA1), bid(1, COA2))
    assert [option.status for option in answer.options if isinstance(option, BindingIdentifier)] == [0, 164]
    assert bench.care_of() == {1: COA1}


def test_165_binding_without_bid_exists(bench: Bench) -> None:
    bench.exchange()
    refused(bench, bench.exchange(bid(1, COA2)), Status.MCOA_NON_MCOA_BINDING_EXISTS, kept={0: COA1})
    assert bench.exchange(bid(1, COA2), flags=OVERWRITE).status == 0
    assert bench.care_of() == {1: COA2}


def test_166_multiple_care_of_addresses_prohibited(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(multiple_care_of=False)
    answer = bench.exchange(bid(1, COA1), flags=OVERWRITE)
    refused(bench, answer, Status.MCOA_PROHIBITED, kept={})
    assert option_statuses(answer) == {1: 0}
    assert bench.exchange().status == 0


def test_167_unknown_care_of_address(bench: Bench) -> None:
    refused(bench, bench.exchange(bid(9)), Status.MCOA_UNKNOWN_COA, kept={})


def test_168_bulk_prohibited(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(bulk=False)
    answer = bench.exchange(bid(1, COA1), bid(2, COA2))
    refused(bench, answer, Status.MCOA_BULK_REGISTRATION_PROHIBITED, kept={})
    assert bench.exchange(bid(1, COA1)).status == 0
    assert bench.exchange(bid(2, COA2)).status == 0
    assert bench.exchange(bid(1), bid(2), lifetime=0).status == 0, "removals are no registrations"


@pytest.mark.parametrize("home_address", [HOA, None])
def test_169_home_and_foreign_links(bench: Bench, home_address: Address | None) -> None:
    answer = bench.exchange(bid(3, HOA, at_home=True), source=HOA, home_address=home_address)
    refused(bench, answer, Status.MCOA_SIMULTANEOUS_HOME_AND_FOREIGN_PROHIBITED, kept={})
    (option,) = answer.options
    assert isinstance(option, BindingIdentifier)
    assert option.at_home


def test_169_in_the_option(bench: Bench) -> None:
    answer = bench.exchange(bid(1, COA1), bid(3, HOA, at_home=True))
    assert (answer.status, option_statuses(answer)) == (4, {1: 0, 3: 169})


def test_174_tunnel_into_itself(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(mobile_router=True, prefixes=(NETWORK,))
    inside = Address(NETWORK.network[:15] + b"\x05")
    assert bench.exchange(bid(1, inside), flags=ROUTER).status == 174
    assert bench.exchange(bid(1, HOA), flags=ROUTER).status == 174
    assert bench.exchange(bid(1, HA), flags=ROUTER).status == 174
    assert bench.exchange(source=HOA).status == 174


def test_all_options_fail_differently(bench: Bench) -> None:
    bench.exchange(bid(5, COA1))
    answer = bench.exchange(bid(1), bid(0, COA2), bid(2, HOA, at_home=True), flags=OVERWRITE)
    assert answer.status == Status.MCOA_UNKNOWN_COA
    assert option_statuses(answer) == {1: 167, 0: 164, 2: 169}
    assert bench.care_of() == {5: COA1}, "an overwrite of which nothing succeeds overwrites nothing"


def test_all_options_fail_alike(bench: Bench) -> None:
    answer = bench.exchange(bid(1), bid(2))
    assert (answer.status, option_statuses(answer)) == (167, {1: 0, 2: 0})


# Dropped


@pytest.mark.parametrize("home_address", UNROUTABLE)
def test_dropped_home_address(bench: Bench, home_address: Address) -> None:
    assert bench.silence(home_address=home_address) == DropReason.HOME_ADDRESS


@pytest.mark.parametrize("source", UNROUTABLE)
def test_dropped_source(bench: Bench, source: Address) -> None:
    assert bench.silence(source=source) == DropReason.CARE_OF_ADDRESS


@pytest.mark.parametrize("alternate", UNROUTABLE)
def test_dropped_alternate_care_of_address(bench: Bench, alternate: Address) -> None:
    assert bench.silence(AlternateCareOf(alternate)) == DropReason.CARE_OF_ADDRESS


def test_dropped_nonce_indices(bench: Bench) -> None:
    assert bench.silence(NonceIndices(1, 2)) == DropReason.NONCE_INDICES


def test_dropped_correspondent_registration(bench: Bench) -> None:
    assert bench.silence(NonceIndices(1, 2), flags=0x8000) == DropReason.NOT_A_CORRESPONDENT


def test_dropped_registration_without_home_address_option(bench: Bench) -> None:
    assert bench.silence(source=HOA, home_address=None) == DropReason.NO_HOME_ADDRESS_OPTION
    assert bench.silence(bid(1, COA1), source=HOA, home_address=None) == DropReason.NO_HOME_ADDRESS_OPTION


def test_dropped_removal_from_away_without_home_address_option(bench: Bench) -> None:
    bench.exchange()
    assert bench.silence(lifetime=0, home_address=None) == DropReason.NO_HOME_ADDRESS_OPTION


def test_dropped_not_for_us(bench: Bench) -> None:
    elsewhere = parse_address("2001:db8:0:1::2")
    assert bench.silence(home_agent=elsewhere) == DropReason.NOT_FOR_US


def deliver(bench: Bench, message: Message, source: Address = COA1, home_address: Address | None = None) -> list[bytes]:
    bench.engine.receive(encode_packet(source, HA, message, home_address=home_address), bench.now)
    assert not bench.engine.transactions()
    return bench.engine.outbox()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (HomeTestInit(bytes(8)), DropReason.NOT_A_CORRESPONDENT),
        (CareOfTestInit(bytes(8)), DropReason.NOT_A_CORRESPONDENT),
        (BindingAcknowledgement(0, 1, 60), DropReason.UNEXPECTED_MESSAGE),
        (BindingError(1, HOA), DropReason.UNEXPECTED_MESSAGE),
    ],
)
def test_dropped_messages(bench: Bench, message: Message, reason: DropReason) -> None:
    assert deliver(bench, message) == []
    assert bench.engine.counters[f"dropped_{reason}"] == 1
    (event,) = bench.engine.events()
    assert isinstance(event, Dropped)
    assert (event.reason, event.source) == (reason, COA1)


def test_dropped_no_signalling(bench: Bench) -> None:
    bench.engine.receive(ipv6_header(COA1, HA, 17, 8) + bytes(8), bench.now)
    assert bench.engine.counters["dropped_not_signalling"] == 1


# Errors


@pytest.mark.parametrize("home_address", [HOA, None])
def test_binding_error_on_unknown_type(bench: Bench, home_address: Address | None) -> None:
    (report,) = deliver(bench, UnknownMessage(200, bytes(10)), home_address=home_address)
    packet = decode_packet(report)
    assert packet.message == BindingError(2, home_address or UNSPECIFIED)
    assert (packet.source, packet.destination, packet.routing_address) == (HA, COA1, None)


@pytest.mark.parametrize("source", [UNSPECIFIED, parse_address("ff02::1")])
def test_no_binding_error_to_what_is_no_single_node(bench: Bench, source: Address) -> None:
    assert deliver(bench, UnknownMessage(200, bytes(10)), source=source) == []


def test_binding_errors_are_limited(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(config_error_rate=2.0, config_error_burst=5)
    assert sum(len(deliver(bench, UnknownMessage(200, bytes(2)))) for _ in range(1000)) == 5
    assert bench.engine.counters["dropped_error_rate"] == 995
    bench.now += 1
    assert sum(len(deliver(bench, UnknownMessage(200, bytes(2)))) for _ in range(1000)) == 2


def reseal(packet: bytes, offset: int, header: bytes) -> bytes:
    """Return the packet with another start of its Mobility Header, the checksum made right."""
    mobility = header + packet[offset + len(header) :]
    mobility = mobility[:4] + bytes(2) + mobility[6 : 8 + 8 * mobility[1]]
    total = sum(
        int.from_bytes((HOA + HA + len(mobility).to_bytes(4) + (135).to_bytes(4) + mobility)[index : index + 2])
        for index in range(0, 40 + len(mobility), 2)
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return packet[:offset] + mobility[:4] + (0xFFFF - total).to_bytes(2) + mobility[6:]


@pytest.mark.parametrize(("header", "pointer"), [(bytes((17, 1, 5)), 64), (bytes((59, 0, 5)), 65)])
def test_parameter_problem(bench: Bench, header: bytes, pointer: int) -> None:
    packet = reseal(bench.packet(), 64, header)
    packet = packet[:4] + (len(packet) - 40).to_bytes(2) + packet[6:]
    bench.engine.receive(packet, bench.now)
    (report,) = bench.engine.outbox()
    assert report[6] == 58
    assert (report[8:24], report[24:40]) == (HA, COA1)
    assert report[40:42] == b"\x04\x00"
    assert int.from_bytes(report[44:48]) == pointer
    assert report[48:] == packet
    assert bench.engine.counters["dropped_malformed"] == 1


def test_no_parameter_problem_for_a_wrong_checksum(bench: Bench) -> None:
    packet = bytearray(bench.packet())
    packet[-1] ^= 1
    bench.engine.receive(bytes(packet), bench.now)
    assert bench.engine.outbox() == []


# Where the acknowledgement goes


def test_acknowledgement_has_a_routing_header_to_the_source(bench: Bench) -> None:
    bench.offer(AlternateCareOf(COA2))
    bench.commit()
    (reply,) = bench.replies()
    assert (reply.source, reply.destination, reply.routing_address) == (HA, COA1, HOA)
    assert bench.care_of() == {0: COA2}


def test_acknowledgement_of_a_removal_at_home_has_none(bench: Bench) -> None:
    bench.exchange()
    bench.offer(source=HOA, home_address=None, lifetime=0)
    bench.commit()
    (reply,) = bench.replies()
    assert (reply.source, reply.destination, reply.routing_address) == (HA, HOA, None)
    assert reply.message == BindingAcknowledgement(0, 2, 0)


def test_acknowledgement_copies_identifiers_without_address(bench: Bench) -> None:
    answer = bench.exchange(bid(7, COA2, 3), RawOption(200, b"unknown"), bid(2, COA1, 90))
    assert answer.options == (BindingIdentifier(7, None, 3), BindingIdentifier(2, None, 90))
