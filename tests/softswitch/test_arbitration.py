"""Who is primary, and who hears of it: the rules of P4Runtime's section on client arbitration."""

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from testbed.softswitch import errors
from testbed.softswitch.arbitration import MAX_CLIENTS, Arbitration, Client
from testbed.softswitch.errors import EntityError

OK, BACKUP, NOBODY = errors.OK, errors.ALREADY_EXISTS, errors.NOT_FOUND


class Listener(Client):
    """A client that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int | None]] = []
        super().__init__(self._take, "test")

    def _take(self, message: p4r.StreamMessageResponse) -> None:
        update = message.arbitration
        election = update.election_id.high << 64 | update.election_id.low if update.HasField("election_id") else None
        self.told.append((update.status.code, election))

    def hear(self) -> list[tuple[int, int | None]]:
        told, self.told = self.told, []
        return told


def bid(election: int | None, device: int = 1, role: str = "") -> p4r.MasterArbitrationUpdate:
    message = p4r.MasterArbitrationUpdate(device_id=device)
    if election is not None:
        message.election_id.high, message.election_id.low = election >> 64, election & (1 << 64) - 1
    if role:
        message.role.name = role
    return message


def test_the_first_is_primary_a_lower_one_is_backup_a_higher_one_takes_over() -> None:
    arbitration = Arbitration(1)
    first, second, third = Listener(), Listener(), Listener()
    arbitration.update(first, bid(10))
    assert first.hear() == [(OK, 10)]
    arbitration.update(second, bid(5))
    assert (first.hear(), second.hear()) == ([], [(BACKUP, 10)])
    arbitration.update(third, bid(1 << 100))
    assert (first.hear(), second.hear(), third.hear()) == ([(BACKUP, 1 << 100)], [(BACKUP, 1 << 100)], [(OK, 1 << 100)])
    assert arbitration.is_primary("", 1 << 100)
    assert not arbitration.is_primary("", 10)


def test_when_the_primary_leaves_there_is_none_until_somebody_bids_high_enough() -> None:
    arbitration = Arbitration(1)
    first, second = Listener(), Listener()
    arbitration.update(first, bid(10))
    arbitration.update(second, bid(5))
    second.hear()
    arbitration.leave(first)
    assert second.hear() == [(NOBODY, 10)]
    assert arbitration.primaries() == []
    arbitration.update(second, bid(9))
    assert second.hear() == [(NOBODY, 10)]
    arbitration.update(second, bid(10))
    assert second.hear() == [(OK, 10)]


def test_a_primary_can_step_down() -> None:
    arbitration = Arbitration(1)
    first, second = Listener(), Listener()
    arbitration.update(first, bid(10))
    arbitration.update(second, bid(5))
    first.hear(), second.hear()
    arbitration.update(first, bid(3))
    assert (first.hear(), second.hear()) == ([(NOBODY, 10)], [(NOBODY, 10)])


def test_a_standby_without_election_id_never_becomes_primary() -> None:
    arbitration = Arbitration(1)
    standby = Listener()
    arbitration.update(standby, bid(None))
    assert standby.hear() == [(NOBODY, None)]
    other = Listener()
    arbitration.update(other, bid(1))
    arbitration.leave(other)
    assert standby.hear() == [(BACKUP, 1), (NOBODY, 1)]
    assert arbitration.primaries() == []


def test_errors_that_close_a_stream() -> None:
    arbitration = Arbitration(1)
    first, second = Listener(), Listener()
    arbitration.update(first, bid(10))
    for message, client, code in (
        (bid(10), second, errors.INVALID_ARGUMENT),
        (bid(11, device=2), second, errors.NOT_FOUND),
        (bid(11, device=2), first, errors.FAILED_PRECONDITION),
        (bid(11, role="r"), first, errors.FAILED_PRECONDITION),
    ):
        with pytest.raises(EntityError) as caught:
            arbitration.update(client, message)
        assert caught.value.code == code
    configured = bid(11, role="r")
    configured.role.config.SetInParent()
    with pytest.raises(EntityError, match="role configuration"):
        arbitration.update(second, configured)


def test_roles_have_a_primary_each() -> None:
    arbitration = Arbitration(1)
    first, second = Listener(), Listener()
    arbitration.update(first, bid(10))
    arbitration.update(second, bid(10, role="r"))
    assert second.hear() == [(OK, 10)]
    assert first.hear() == [(OK, 10)]
    assert arbitration.is_primary("r", 10)


def test_there_is_a_limit_of_clients() -> None:
    arbitration = Arbitration(1)
    for _ in range(MAX_CLIENTS):
        arbitration.update(Listener(), bid(None))
    with pytest.raises(EntityError) as caught:
        arbitration.update(Listener(), bid(None))
    assert caught.value.code == errors.RESOURCE_EXHAUSTED


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(1, 6), st.just(-1))), max_size=25))
def test_at_most_one_primary_and_everybody_knows(steps: list[tuple[int, int | None]]) -> None:
    arbitration = Arbitration(1)
    clients = [Listener() for _ in range(4)]
    last: dict[int, int] = {}
    for index, election in steps:
        client = clients[index]
        if election == -1:
            arbitration.leave(client)
            clients[index] = Listener()
            last.pop(index, None)
        else:
            try:
                arbitration.update(client, bid(election))
            except EntityError:
                arbitration.leave(client)
                clients[index] = Listener()
                last.pop(index, None)
        for number, listener in enumerate(clients):
            for code, _ in listener.hear():
                last[number] = code
        primaries = [number for number, listener in enumerate(clients) if arbitration.client_is_primary(listener)]
        assert len(primaries) <= 1
        assert [number for number, code in last.items() if code == OK] == primaries
