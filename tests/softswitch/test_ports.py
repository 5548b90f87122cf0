"""Ports: wires, UDP, Linux interfaces, and how the command line spells them."""

import asyncio
import contextlib
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softswitch_kit import config, p4info
from testbed.softswitch import InterfacePort, PortError, SoftSwitch, UdpPort, WirePort
from testbed.softswitch.ports import parse_endpoint, parse_port

FRAME = bytes([99]) + bytes(12)
LOOPBACK = "127.0.0.1"


def free_udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LOOPBACK, 0))
    sock.setblocking(False)
    return sock


async def test_udp_ports_carry_frames_both_ways() -> None:
    switch = SoftSwitch()
    switch.load(p4info("tables"), config("tables"))
    loop = asyncio.get_running_loop()
    with free_udp() as one, free_udp() as two, free_udp() as stranger:
        ports = {1: UdpPort((LOOPBACK, 0), one.getsockname()), 2: UdpPort((LOOPBACK, 0), two.getsockname())}
        for number, port in ports.items():
            switch.add_port(number, port)
        await switch.start("127.0.0.1:0")
        stranger.sendto(b"ignored", ports[1].local)
        for _ in range(200):
            one.sendto(FRAME, ports[1].local)
        for _ in range(200):
            assert await asyncio.wait_for(loop.sock_recv(two, 2000), 3) == FRAME[:8] + b"\0" + FRAME[9:]
        assert switch.counters[1].packets_in == 200
        await switch.stop()
        await switch.stop()


async def test_a_peer_that_is_not_there_costs_nothing_but_the_frame() -> None:
    switch = SoftSwitch()
    switch.load(p4info("tables"), config("tables"))
    gone = free_udp()
    port = UdpPort((LOOPBACK, 0), gone.getsockname())
    gone.close()
    wire = WirePort()
    switch.add_port(1, wire)
    switch.add_port(2, port)
    await switch.start("127.0.0.1:0")
    for _ in range(5):
        wire.receive(FRAME)
        await asyncio.sleep(0.001)
    assert switch.counters[2].packets_out == 5
    await switch.stop()


async def test_an_address_in_use_is_said_so() -> None:
    with free_udp() as taken:
        port = UdpPort(taken.getsockname(), (LOOPBACK, 9))
        with pytest.raises(PortError, match=f"{taken.getsockname()[1]}.*in use"):
            await port.open()
    first = SoftSwitch()
    address = await first.start("127.0.0.1:0")
    second = SoftSwitch()
    second.add_port(1, UdpPort((LOOPBACK, 0), (LOOPBACK, 9)))
    with pytest.raises(PortError, match=f"{address}.*in use"):
        await second.start(address)
    await first.stop()


async def test_an_interface_that_does_not_exist() -> None:
    with pytest.raises(PortError, match="no-such-if"):
        await InterfacePort("no-such-if").open()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for packet sockets")
async def test_a_linux_interface() -> None:
    port = InterfacePort("lo")
    frames: list[bytes] = []
    arrived = asyncio.Event()

    def receive(frame: bytes) -> None:
        if frame.endswith(b"hello from the test"):
            frames.append(frame)
            arrived.set()

    port.receiver = receive
    await port.open()
    with free_udp() as sock:
        sock.sendto(b"hello from the test", sock.getsockname())
        await asyncio.wait_for(arrived.wait(), 3)
    assert len(frames) == 1  # the copy that goes out is not taken for one that comes in
    port.send(frames[0])
    port.close()
    port.send(frames[0])


async def test_frames_for_ports_that_do_not_exist_are_counted() -> None:
    switch = SoftSwitch()
    wire = WirePort()
    wire.receive(FRAME)  # belongs to no switch yet
    switch.add_port(1, wire)
    wire.receive(FRAME)
    assert switch.no_pipeline == 1
    switch.load(p4info("tables"), config("tables"))
    wire.receive(FRAME)
    assert switch.no_port == 1
    assert switch.process(FRAME, 1) == [(2, FRAME[:8] + b"\0" + FRAME[9:])]


def test_port_numbers_are_checked() -> None:
    switch = SoftSwitch()
    switch.add_port(1, WirePort())
    for number in (1, 510, 511, -1):
        with pytest.raises(ValueError, match=str(number)):
            switch.add_port(number, WirePort())


def test_how_ports_are_spelled() -> None:
    number, port = parse_port("1@veth0")
    assert number == 1
    assert isinstance(port, InterfacePort)
    assert port.name == "veth0"
    number, port = parse_port("20@udp:[::1]:5000/127.0.0.1:5001")
    assert number == 20
    assert isinstance(port, UdpPort)
    assert (port.local, port.remote) == (("::1", 5000), ("127.0.0.1", 5001))


@pytest.mark.parametrize("text", ["", "1", "@x", "x@veth", "1@", "511@veth", "1@udp:h:1", "1@udp:h:1/h", "1@udp:h:x/h:1", "1@udp:h:70000/h:1"])  # fmt: skip
def test_ports_that_are_misspelled(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_port(text)


@given(st.text(max_size=20))
def test_no_text_is_too_strange(text: str) -> None:
    for parse in (parse_port, parse_endpoint):
        with contextlib.suppress(ValueError):
            parse(text)
