"""Every case of `cases`, on every target that there is."""

import pytest

from cases import all_cases
from cases.case import Case
from rig import Rig


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in all_cases()])
def test_case(rig: Rig, case: Case) -> None:
    rig.install(case.tables())
    sent = []
    for port, frame in case.send:
        sent += rig.send(port, frame)
    assert sorted(sent) == sorted(case.out)
    assert rig.punted() == list(case.punted)
    found = rig.drops()
    assert {reason: packets for reason, (packets, _) in found.items()} == case.drops
    if not case.out and not case.punted:
        assert sum(octets for _, octets in found.values()) == sum(len(frame) for _, frame in case.send)
    for (table, match), counted in case.counters.items():
        assert rig.counter(table, match) == counted, table
    if case.mtus is not None:
        assert rig.reported_mtus() == list(case.mtus)
