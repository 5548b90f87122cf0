"""The mobile node's side: what it sends, when, and what it makes of the answers."""

from __future__ import annotations

import itertools

import pytest

from controller.mobility.address import Address, Prefix, parse_address
from controller.mobility.mobile_node import Link, MobileNode, MobileNodeConfig
from controller.mobility.node_events import Ignored, LinkRefused, Registered, RegistrationRefused, Removed
from controller.mobility.wire import (
    AcknowledgementFlag,
    BindingAcknowledgement,
    BindingError,
    BindingIdentifier,
    BindingRefreshRequest,
    BindingUpdate,
    Message,
    NetworkPrefix,
    Packet,
    UpdateFlag,
    WireError,
    decode_packet,
    encapsulate,
    encode_packet,
    ipv6_header,
)

HA = parse_address("2001:db8:0:1::1")
HOA = parse_address("2001:db8:0:1::100")
COA1 = parse_address("2001:db8:a1::1")
COA2 = parse_address("2001:db8:a2::1")
COA3 = parse_address("2001:db8:a3::1")
CN = parse_address("2001:db8:c::10")
NETWORK = Prefix.parse("2001:db8:1:2::/64")
PLAIN, OVERWRITE = 0xC000, 0xC040


class Pen:
    """A mobile node and a pen in the hand of its home agent."""

    def __init__(self, **config: object) -> None:
        self.node = MobileNode(MobileNodeConfig(HOA, HA, **config))  # type: ignore[arg-type]  # fields by name
        self.now = 0.0

    def sent(self) -> tuple[Packet, BindingUpdate]:
        """Return the one packet that was sent, and its update."""
        (data,) = self.node.outbox()
        packet = decode_packet(data)
        assert (packet.destination, packet.home_address) == (HA, HOA)
        assert isinstance(packet.message, BindingUpdate)
        return packet, packet.message

    def update(self) -> BindingUpdate:
        return self.sent()[1]

    def deliver(self, message: Message, source: Address = HA) -> None:
        self.node.receive(encode_packet(source, COA1, message, routing_address=HOA), self.now)

    def answer(self, update: BindingUpdate, status: int = 0, lifetime: int | None = None, **statuses: int) -> None:
        """Answer an update; `bid_<n>=status` for single BIDs."""
        options = tuple(
            BindingIdentifier(option.bid, None, option.priority, statuses.get(f"bid_{option.bid}", 0))
            for option in update.options
            if isinstance(option, BindingIdentifier)
        )
        granted = update.lifetime_units if lifetime is None else lifetime
        flags = AcknowledgementFlag.MOBILE_ROUTER if update.flags & UpdateFlag.MOBILE_ROUTER else 0
        self.deliver(BindingAcknowledgement(status, update.sequence, granted, flags, options))

    def until_timer(self) -> None:
        when = self.node.next_timer()
        assert when is not None
        self.now = when
        self.node.handle_timer(when)


@pytest.fixture
def pen() -> Pen:
    return Pen()


@pytest.fixture
def registered(pen: Pen) -> Pen:
    """A node with BIDs 1 and 2."""
    pen.node.attach(1, COA1, 10)
    pen.node.attach(2, COA2, 20)
    pen.node.register(pen.now)
    pen.answer(pen.update())
    pen.node.events()
    pen.now = 5.0
    return pen


def bids(update: BindingUpdate) -> list[tuple[int, bytes | None]]:
    return [(option.bid, option.care_of) for option in update.options if isinstance(option, BindingIdentifier)]


def test_first_registration_is_bulk_with_overwrite(pen: Pen) -> None:
    pen.node.attach(2, COA2, 20)
    pen.node.attach(1, COA1, 10)
    pen.node.register(0.0)
    packet, update = pen.sent()
    assert packet.source == COA1
    assert update == BindingUpdate(1, OVERWRITE, 60, (BindingIdentifier(1, COA1, 10), BindingIdentifier(2, COA2, 20)))
    pen.answer(update, lifetime=30)
    assert [(binding.bid, binding.care_of, binding.expires) for binding in pen.node.bindings] == [
        (1, COA1, 120.0),
        (2, COA2, 120.0),
    ]
    assert pen.node.events() == [Registered(pen.node.bindings)]
    assert pen.node.settled
    assert pen.node.next_timer() == pytest.approx(96.0)


def test_back_off(pen: Pen) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    times, numbers = [0.0], [pen.update().sequence]
    for _ in range(8):
        pen.until_timer()
        times.append(pen.now)
        numbers.append(pen.update().sequence)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps == [1.5, 3.0, 6.0, 12.0, 24.0, 32.0, 32.0, 32.0]
    assert numbers == list(range(1, 10))


def test_back_off_after_the_first_registration(registered: Pen) -> None:
    registered.node.update(1, COA3, 10.0)
    registered.update()
    assert registered.node.next_timer() == 11.0


def test_retransmission_tries_another_link(pen: Pen) -> None:
    pen.node.attach(1, COA1)
    pen.node.attach(2, COA2)
    pen.node.register(0.0)
    sources = [pen.sent()[0].source]
    for _ in range(3):
        pen.until_timer()
        sources.append(pen.sent()[0].source)
    assert sources == [COA1, COA2, COA1, COA2]


def test_handover(registered: Pen) -> None:
    registered.node.update(2, COA3, 6.0)
    packet, update = registered.sent()
    assert packet.source == COA3
    assert (update.flags, bids(update)) == (PLAIN, [(2, COA3)])
    registered.answer(update)
    assert [binding.care_of for binding in registered.node.bindings] == [COA1, COA3]


def test_handover_and_back_while_under_way(registered: Pen) -> None:
    """The home agent may have carried out the first half, so the second half has to be told."""
    registered.node.update(2, COA3, 6.0)
    registered.update()
    registered.node.update(2, COA2, 6.1)
    assert bids(registered.update()) == [(2, COA2)]


def test_handover_of_an_unknown_link(pen: Pen) -> None:
    with pytest.raises(KeyError):
        pen.node.update(7, COA1, 0.0)


def test_new_link(registered: Pen) -> None:
    registered.node.attach(3, COA3, 5)
    assert registered.node.outbox() == []
    registered.node.register(6.0)
    assert bids(registered.update()) == [(3, COA3)]
    assert registered.node.links[0] == Link(3, COA3, 5)


def test_refresh_in_time_without_addresses(registered: Pen) -> None:
    registered.until_timer()
    assert registered.now == pytest.approx(192.0)
    update = registered.update()
    assert (update.flags, bids(update)) == (PLAIN, [(1, None), (2, None)])
    registered.answer(update)
    assert [binding.expires for binding in registered.node.bindings] == pytest.approx([432.0, 432.0])


def test_refresh_on_request(registered: Pen) -> None:
    registered.deliver(BindingRefreshRequest((BindingIdentifier(2),)))
    assert bids(registered.update()) == [(1, None), (2, None)]
    registered.answer(BindingUpdate(2, 0, 60, (BindingIdentifier(1), BindingIdentifier(2))))
    registered.node.refresh(30.0)
    assert bids(registered.update()) == [(1, None), (2, None)]


def test_refresh_that_is_lost_is_repeated_with_addresses(registered: Pen) -> None:
    registered.until_timer()
    registered.update()
    registered.until_timer()
    assert bids(registered.update()) == [(1, COA1), (2, COA2)]


def test_removal_of_one(registered: Pen) -> None:
    registered.node.deregister(1, 6.0)
    packet, update = registered.sent()
    assert packet.source == COA2, "its own link may be gone"
    assert (update.lifetime_units, bids(update)) == (0, [(1, None)])
    registered.answer(update)
    assert [binding.bid for binding in registered.node.bindings] == [2]
    assert registered.node.events() == [Removed((1,))]


def test_removal_of_the_last_removes_all(registered: Pen) -> None:
    registered.node.deregister(1, 6.0)
    registered.node.deregister(2, 6.1)
    _, update = registered.node.outbox()
    message = decode_packet(update).message
    assert isinstance(message, BindingUpdate)
    assert (message.lifetime_units, message.options) == (0, ())
    registered.answer(message)
    assert registered.node.bindings == ()
    assert registered.node.next_timer() is None


def test_removal_of_a_link_whose_registration_was_not_answered(registered: Pen) -> None:
    registered.node.attach(3, COA3)
    registered.node.register(6.0)
    registered.update()
    registered.node.deregister(3, 6.1)
    update = registered.update()
    assert (update.lifetime_units, bids(update)) == (0, [(3, None)])
    registered.answer(update, 133)
    assert [binding.bid for binding in registered.node.bindings] == [1, 2]
    assert registered.node.settled


def test_removal_of_a_link_that_was_never_there(registered: Pen) -> None:
    registered.node.deregister(9, 6.0)
    assert registered.node.outbox() == []


def test_removal_of_all_and_a_new_beginning(registered: Pen) -> None:
    registered.node.deregister_all(6.0)
    update = registered.update()
    assert (update.lifetime_units, update.options) == (0, ())
    registered.answer(update)
    assert registered.node.bindings == ()
    assert registered.node.settled
    registered.node.register(20.0)
    assert registered.update().flags == OVERWRITE
    assert registered.node.next_timer() == 21.5


def test_removal_before_the_registration_was_answered(pen: Pen) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    pen.update()
    pen.node.deregister_all(0.1)
    assert pen.update().lifetime_units == 0


def test_removal_is_given_up_when_everything_has_run_out(registered: Pen) -> None:
    registered.node.deregister_all(6.0)
    while registered.node.next_timer() is not None:
        registered.until_timer()
    assert registered.now < 300
    assert registered.node.bindings == ()
    assert registered.node.settled


def test_nothing_to_remove(pen: Pen) -> None:
    pen.node.deregister_all(0.0)
    assert pen.node.outbox() == []


def test_update_rate_is_limited(registered: Pen) -> None:
    for step in range(10):
        registered.node.update(1, Address(COA1[:15] + bytes((step + 2,))), 5.0)
    assert len(registered.node.outbox()) == 3
    assert registered.node.next_timer() == 6.0
    registered.until_timer()
    assert bids(registered.update()) == [(1, COA1[:15] + bytes((11,)))]


# Answers


def test_135_goes_on_from_the_number_of_the_home_agent(pen: Pen) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    assert pen.update().sequence == 1
    pen.deliver(BindingAcknowledgement(135, 500, 0))
    assert pen.update().sequence == 501


def test_135_for_a_copy_of_an_earlier_update_is_ignored(registered: Pen) -> None:
    registered.node.update(1, COA3, 6.0)
    update = registered.update()
    registered.deliver(BindingAcknowledgement(135, update.sequence - 1, 0))
    assert registered.node.outbox() == []
    registered.answer(update)
    assert registered.node.settled


def test_sequence_number_wraps() -> None:
    pen = Pen(first_sequence=65535)
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    assert pen.update().sequence == 0


def test_answer_to_another_number_is_ignored(pen: Pen) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    pen.update()
    pen.deliver(BindingAcknowledgement(0, 99, 60, 0, (BindingIdentifier(1),)))
    assert pen.node.bindings == ()
    (event,) = pen.node.events()
    assert isinstance(event, Ignored)


@pytest.mark.parametrize("status", [129, 130, 164, 169, 174])
def test_refusal_of_one_bid(registered: Pen, status: int) -> None:
    registered.node.attach(3, COA3)
    registered.node.update(1, CN, 6.0)
    update = registered.update()
    registered.answer(update, 4, bid_3=status)
    assert [binding.bid for binding in registered.node.bindings] == [1, 2]
    assert LinkRefused(3, status) in registered.node.events()
    assert registered.node.settled, "it is not asked for again"
    registered.node.attach(3, COA2)
    registered.node.register(20.0)
    assert bids(registered.update()) == [(3, COA2)]


def test_167_is_answered_with_the_address(registered: Pen) -> None:
    registered.node.refresh(6.0)
    registered.answer(registered.update(), 4, bid_2=167)
    assert bids(registered.update()) == [(2, COA2)]


def test_167_for_all_is_answered_with_all_addresses(registered: Pen) -> None:
    registered.node.refresh(6.0)
    registered.answer(registered.update(), 167)
    assert bids(registered.update()) == [(1, COA1), (2, COA2)]
    assert registered.node.events() == [RegistrationRefused(167, final=False)]


def test_165_is_answered_with_overwrite(registered: Pen) -> None:
    registered.node.attach(3, COA3)
    registered.node.register(6.0)
    registered.answer(registered.update(), 165)
    update = registered.update()
    assert (update.flags, len(update.options)) == (OVERWRITE, 3)


def test_166_falls_back_to_one_binding_without_bid(pen: Pen) -> None:
    pen.node.attach(1, COA1, 20)
    pen.node.attach(2, COA2, 10)
    pen.node.register(0.0)
    pen.answer(pen.update(), 166)
    packet, update = pen.sent()
    assert (packet.source, update.flags, update.options) == (COA2, PLAIN, ())
    pen.answer(update)
    assert [(binding.bid, binding.care_of) for binding in pen.node.bindings] == [(0, COA2)]
    pen.until_timer()
    packet, update = pen.sent()
    assert (packet.source, update.options) == (COA2, ())


def test_answer_without_bids_means_a_home_agent_without_them(pen: Pen) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    pen.deliver(BindingAcknowledgement(0, pen.update().sequence, 60))
    assert pen.update().options == ()


def test_168_falls_back_to_one_after_the_other(pen: Pen) -> None:
    pen.node.attach(1, COA1)
    pen.node.attach(2, COA2)
    pen.node.register(0.0)
    pen.answer(pen.update(), 168)
    first = pen.update()
    assert (first.flags, bids(first)) == (OVERWRITE, [(1, COA1)])
    pen.answer(first)
    second = pen.update()
    assert (second.flags, bids(second)) == (PLAIN, [(2, COA2)])


def test_133_on_a_removal_is_as_good_as_done(registered: Pen) -> None:
    registered.node.deregister(1, 6.0)
    registered.answer(registered.update(), 133)
    assert [binding.bid for binding in registered.node.bindings] == [2]
    registered.node.deregister_all(7.0)
    registered.answer(registered.update(), 133)
    assert registered.node.bindings == ()
    assert registered.node.settled


@pytest.mark.parametrize("status", [128, 130])
def test_a_refusal_that_may_pass_is_tried_again_later(pen: Pen, status: int) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    pen.answer(pen.update(), status)
    assert pen.node.outbox() == []
    assert not pen.node.settled
    pen.until_timer()
    assert pen.now == 32.0
    assert len(pen.node.outbox()) == 1


@pytest.mark.parametrize("status", [129, 132, 139, 140, 143, 146, 164, 200])
def test_a_final_refusal(pen: Pen, status: int) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    pen.answer(pen.update(), status)
    assert pen.node.outbox() == []
    assert pen.node.events() == [RegistrationRefused(status, final=True)]
    assert pen.node.next_timer() is None
    pen.node.handle_timer(100.0)
    assert pen.node.outbox() == []
    pen.node.register(101.0)
    assert len(pen.node.outbox()) == 1


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(60),
        encode_packet(CN, COA1, BindingAcknowledgement(0, 1, 60), routing_address=HOA),
        encode_packet(HA, COA1, BindingAcknowledgement(0, 1, 60), routing_address=COA2),
        encode_packet(HA, COA1, BindingAcknowledgement(0, 1, 60)),
        encode_packet(HA, HOA, BindingError(1, HOA)),
        ipv6_header(HA, HOA, 59, 0),
    ],
)
def test_what_is_no_answer(pen: Pen, packet: bytes) -> None:
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    pen.update()
    pen.node.receive(packet, 0.0)
    assert pen.node.bindings == ()
    assert [type(event) for event in pen.node.events()] == [Ignored]


def test_bindings_run_out(registered: Pen) -> None:
    while registered.node.bindings:
        registered.until_timer()
        registered.node.outbox()
    assert registered.now == 240.0
    assert registered.node.events() == [Removed((1, 2), expired=True)]
    assert registered.node.next_timer() is not None, "it keeps trying"


# Mobile router


def test_router_names_its_prefixes() -> None:
    pen = Pen(mobile_router=True, prefixes=(NETWORK,))
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    update = pen.update()
    assert update.flags == 0xC440
    assert update.options == (NetworkPrefix(NETWORK), BindingIdentifier(1, COA1))
    pen.answer(update)
    pen.node.deregister_all(1.0)
    assert pen.update().options == ()


def test_router_in_implicit_mode() -> None:
    pen = Pen(mobile_router=True, prefixes=(NETWORK,), explicit_prefixes=False)
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    assert pen.update().options == (BindingIdentifier(1, COA1),)


# Traffic


def inner(source: Address, destination: Address) -> bytes:
    return ipv6_header(source, destination, 17, 4) + b"data"


def test_encapsulation_takes_the_path_of_the_bid(registered: Pen) -> None:
    outer = decode_packet(registered.node.encapsulate(inner(HOA, CN), 2))
    assert (outer.source, outer.destination, outer.protocol) == (COA2, HA, 41)
    with pytest.raises(KeyError):
        registered.node.encapsulate(inner(HOA, CN), 3)
    with pytest.raises(WireError):
        registered.node.encapsulate(inner(COA1, CN), 2)


def test_decapsulation_checks_whom_it_is_from_and_for(registered: Pen) -> None:
    packet = inner(CN, HOA)
    assert registered.node.decapsulate(encapsulate(packet, HA, COA1)).inner == packet
    for wrong in (encapsulate(packet, CN, COA1), encapsulate(inner(CN, COA2), HA, COA1), packet):
        with pytest.raises(WireError):
            registered.node.decapsulate(wrong)


def test_router_tunnels_for_its_network() -> None:
    pen = Pen(mobile_router=True, prefixes=(NETWORK,))
    pen.node.attach(1, COA1)
    pen.node.register(0.0)
    pen.answer(pen.update())
    behind = Address(NETWORK.network[:15] + b"\x07")
    assert pen.node.encapsulate(inner(behind, CN), 1)
    assert pen.node.decapsulate(encapsulate(inner(CN, behind), HA, COA1)).destination == behind


@pytest.mark.parametrize(
    "config", [{"lifetime": 0}, {"lifetime": 241}, {"lifetime": 262144}, {"refresh_after": 0.0}, {"refresh_after": 1.0}]
)
def test_configuration_that_cannot_be(config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="it has to"):
        Pen(**config)


@pytest.mark.parametrize(("bid", "priority"), [(0, 0), (65536, 0), (1, -1), (1, 128)])
def test_links_that_cannot_be(pen: Pen, bid: int, priority: int) -> None:
    with pytest.raises(ValueError, match="is not"):
        pen.node.attach(bid, COA1, priority)
