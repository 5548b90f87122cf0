"""What p4testgen says that our program does with a packet is what the switches do.

`make generated` takes more paths than the suite.
"""

import os
from collections.abc import Iterator

import pytest

import generated
import rig as rigs
from controller.dataplane.pipeline import CPU_PORT

SEEDS = int(os.environ.get("MCOA_GENERATED_SEEDS", "1"))
_PACKET_OUT = 3
"""Octets of the header with which a packet comes from the controller."""
_PACKET_IN = 5
"""The same of one that goes there."""
SEED = int(os.environ.get("MCOA_GENERATED_SEED", "1"))
_QUIET = 0.2
"""Seconds in which a packet that is to leave no trace would have left one."""


@pytest.fixture(scope="module", params=range(1, SEEDS + 1))
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[generated.Generated]:
    if (reason := generated.missing()) is not None:
        pytest.skip(reason)
    return generated.generate(tmp_path_factory.mktemp("generated"), request.param)


@pytest.fixture(scope="module", params=["embedded", pytest.param("bmv2", marks=[pytest.mark.bmv2, pytest.mark.root])])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[rigs.Rig]:
    if request.param == "bmv2" and (reason := rigs.bmv2_missing()) is not None:
        pytest.skip(reason)
    with rigs.running(request.param, tmp_path_factory.mktemp("rig")) as running:
        yield running


def test_each_path_ends_as_it_should(cases: list[generated.Generated], target: rigs.Rig) -> None:
    assert len(cases) == generated.COUNT
    sendable = [case for case in cases if _can_be_sent(case, target)]
    assert len(sendable) > len(cases) / 2
    wrong = [text for case in sendable if (text := _difference(case, target)) is not None]
    assert not wrong, "\n\n".join([f"{len(wrong)} of {len(sendable)}", *wrong])


def _can_be_sent(case: generated.Generated, target: rigs.Rig) -> bool:
    """Whether wires carry all that goes over them, and P4Runtime all else: it takes the controller's headers off, so they must be there."""

    def carried(port: int, frame: bytes, header: int) -> bool:
        return len(frame) >= header if port == CPU_PORT else target.carries(frame)

    return carried(case.port, case.frame, _PACKET_OUT) and all(
        carried(one.port, one.frame, _PACKET_IN) for one in case.expected
    )


def _send(case: generated.Generated, target: rigs.Rig) -> rigs.Frames:
    try:
        if case.port != CPU_PORT:
            return target.send(case.port, case.frame)
        egress_port, routed = int.from_bytes(case.frame[:2]), case.frame[2] != 0
        # What the controller sends as it is to port 511 simple_switch drops, and nobody counts it.
        patience = rigs.PATIENCE if case.expected or routed else _QUIET
        return target.packet_out(case.frame[_PACKET_OUT:], routed=routed, egress_port=egress_port, patience=patience)
    except rigs.NothingSeenError:
        return []


def _difference(case: generated.Generated, target: rigs.Rig) -> str | None:
    """Return how a switch differs from what a case expects; None: it does not."""
    target.insert(case.entities)
    came = _send(case, target)
    for (port, reason, frame), mtu in zip(target.punted(), target.reported_mtus(), strict=True):
        came.append((CPU_PORT, port.to_bytes(2) + reason.to_bytes(1) + mtu.to_bytes(2) + frame))
    target.take_back(case.entities)
    if len(came) == len(case.expected) and all(
        want.fits(*got) for want, got in zip(case.expected, sorted(came), strict=True)
    ):
        return None
    wanted = [(one.port, one.frame.hex(), one.mask.hex()) for one in case.expected]
    return "\n".join(
        [
            f"{case.name}: into port {case.port}: {case.frame.hex()}",
            f"  expected {wanted}",
            f"  came {[(port, frame.hex()) for port, frame in came]}",
            *(f"  {step}" for step in case.path),
        ]
    )
