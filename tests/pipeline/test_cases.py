"""Every case of `cases`, on every target that there is."""

import pytest

from cases import all_cases
from cases.case import Case
from rig import Rig

# docs/tofino.md, "What differs from the other targets".
CHIPS_DIFFER = {
    "a wrong checksum": "a chip does not verify checksums",
    "a wrong checksum without options": "a chip does not verify checksums",
    "a payload length that lies": "only egress knows the length, after the MTU",
    "a binding has a rate": "a chip counts what is steered there",
}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in all_cases()])
def test_case(rig: Rig, case: Case, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["target_rig"] == "chip" and case.name in CHIPS_DIFFER:
        request.applymarker(pytest.mark.xfail(reason=CHIPS_DIFFER[case.name], strict=True))
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
