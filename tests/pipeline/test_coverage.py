"""Together the cases go through every parser state, every action of every table, and every statement."""

from typing import Any

from finsy.proto import p4r

from cases import all_cases
from controller.dataplane.pipeline import CPU_PORT
from frames import CN_MAC, IPv6, Raw, to_switch
from marks import marking, places
from rig import BUILD, DEVICE
from testbed.softswitch.switch import SoftSwitch
from words import Words


def test_every_state_action_and_statement_is_gone_through() -> None:
    marks: set[Any] = set()
    with marking(marks):
        switch = SoftSwitch(DEVICE, CPU_PORT)
        switch.load(BUILD / "home_agent.p4info.txtpb", BUILD / "home_agent.json")
    pipeline = switch.pipeline
    assert pipeline is not None
    words = Words(pipeline.info)
    for case in all_cases():
        entities = [words.entity(entry) for entry in case.tables()]
        for entity in entities:
            pipeline.write(p4r.Update(type=p4r.Update.INSERT, entity=entity))
        for port, frame in case.send:
            switch.process(frame, port)
        for entity in entities:
            pipeline.write(p4r.Update(type=p4r.Update.DELETE, entity=entity))
    # What the controller sends: out of a port, and by the routes.
    frame = to_switch(IPv6(dst="2001:db8:dead::1") / Raw(b"x"), CN_MAC)
    for routed in (0, 1):
        switch.process(packet_out(routed) + frame, CPU_PORT)
    known = places(pipeline.compiled.program)
    missed = sorted(name for place, name in known.items() if place not in marks)
    assert not missed, f"{len(known) - len(missed)} of {len(known)} places; missed: {missed}"


def packet_out(routed: int) -> bytes:
    """Return the header in front of a packet of the controller, as P4Runtime servers put it there."""
    return (3).to_bytes(2) + bytes([routed])
