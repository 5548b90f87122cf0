"""One switch with our program, for packet tests that run on every target.

Tables are written and read through P4Runtime by a small client of its own, so the tests depend on no code of the controller's
southbound. The embedded switch runs in a thread; BMv2 in a network namespace with a veth pair for each port.
"""

import asyncio
import os
import queue
import shutil
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import grpc
from finsy.proto import p4i, p4r, p4r_grpc
from google.protobuf import text_format

from controller.dataplane.entries import Entry, Match
from controller.dataplane.pipeline import CPU_PORT, MULTICAST_GROUPS, DropReason
from testbed.softswitch.ports import WirePort
from testbed.softswitch.switch import SoftSwitch
from words import Words, octets

BUILD = Path(__file__).parents[2] / "p4src" / "build"
PORTS = (1, 2, 3, 4, 5)
DEVICE = 1
PATIENCE = 3.0
"""Seconds to wait for a sign that a packet was dealt with."""

Frames = list[tuple[int, bytes]]


class NothingSeenError(AssertionError):
    """A packet left no trace."""


class Target(Protocol):
    """A running switch without a program."""

    address: str

    def send(self, port: int, frame: bytes) -> None:
        """Put a frame on the wire into a port."""

    def received(self) -> Frames:
        """Return what came out of ports since the last call."""

    @property
    def linger(self) -> float:
        """Seconds in which a second packet would follow the first."""

    @property
    def longest(self) -> int:
        """Octets of the longest frame that can be put on its wires."""

    def carries(self, frame: bytes, /) -> bool:
        """Whether a short frame can be put on its wires."""


class EmbeddedTarget:
    """The embedded switch in a thread of its own."""

    linger = 0.0
    longest = 2**17

    def carries(self, _frame: bytes) -> bool:
        """Whether a short frame can be put on its wires: always."""
        return True

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="switch")
        self._thread.start()
        self._out: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self._switch = SoftSwitch(DEVICE, CPU_PORT)
        self._wires = {number: WirePort(self._collector(number)) for number in PORTS}
        for number, wire in self._wires.items():
            self._switch.add_port(number, wire)
        self.address = asyncio.run_coroutine_threadsafe(self._switch.start(), self._loop).result(10)

    def _collector(self, number: int) -> Any:
        return lambda frame: self._out.put((number, bytes(frame)))

    def send(self, port: int, frame: bytes) -> None:
        async def receive() -> None:
            self._wires[port].receive(frame)

        asyncio.run_coroutine_threadsafe(receive(), self._loop).result(10)

    def received(self) -> Frames:
        return [self._out.get() for _ in range(self._out.qsize())]

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._switch.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Bmv2Target:
    """simple_switch_grpc in a network namespace that is made for it; needs root.

    Its P4Runtime server listens on a socket file, as the namespace has no way out.
    """

    linger = 0.02
    longest = 65535  # a veth pair's largest MTU

    def carries(self, frame: bytes) -> bool:
        """Whether a short frame can be put on its wires: the kernel wants the Ethernet header and the VLAN tag whole."""
        return len(frame) >= (18 if frame[12:14] == b"\x81\x00" else 14)

    def __init__(self, folder: Path) -> None:
        self._namespace = f"mcoa-rig-{uuid.uuid4().hex[:8]}"
        self._sockets: dict[int, socket.socket] = {}
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._make_namespace()
            self.address = f"unix:{folder / 'grpc.sock'}"
            self._start(folder)
        except BaseException:
            self.close()
            raise

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def _make_namespace(self) -> None:
        self._ip("netns", "add", self._namespace)
        inside = ("netns", "exec", self._namespace)
        for key in ("all", "default"):
            # The kernel must not talk on these wires by itself.
            self._ip(*inside, "sysctl", "-qw", f"net.ipv6.conf.{key}.disable_ipv6=1")
        self._ip("-n", self._namespace, "link", "set", "lo", "up")
        for number in PORTS:
            self._ip("-n", self._namespace, "link", "add", f"s{number}", "type", "veth", "peer", "name", f"t{number}")
            for end in "st":
                self._ip("-n", self._namespace, "link", "set", f"{end}{number}", "mtu", "65535", "up")
        opener = threading.Thread(target=self._open_sockets)
        opener.start()
        opener.join()
        assert len(self._sockets) == len(PORTS), "no socket on a veth: is this root?"

    def _open_sockets(self) -> None:
        # A socket belongs to the namespace of the thread that opens it: this thread enters it and ends.
        from pyroute2 import netns

        netns.setns(self._namespace)
        for number in PORTS:
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            opened.bind((f"t{number}", 0))
            opened.setblocking(False)
            opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            self._sockets[number] = opened

    def _start(self, folder: Path) -> None:
        ports = [word for number in PORTS for word in ("-i", f"{number}@s{number}")]
        command = ["ip", "netns", "exec", self._namespace, "simple_switch_grpc", "--no-p4", *ports]
        command += ["--device-id", str(DEVICE), "--", "--grpc-server-addr", self.address, "--cpu-port", str(CPU_PORT)]
        self._log = (folder / "bmv2.log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)

    def send(self, port: int, frame: bytes) -> None:
        self._sockets[port].send(frame)

    def received(self) -> Frames:
        found: Frames = []
        for number, opened in self._sockets.items():
            while True:
                try:
                    data, beside, _, address = opened.recvmsg(65536, 64)
                except BlockingIOError:
                    break
                if address[2] != socket.PACKET_OUTGOING:
                    found.append((number, _with_tag(data, beside)))
        return found

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._log.close()
        subprocess.run(["ip", "netns", "delete", self._namespace], check=False, capture_output=True)


_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_TAG_IS_VALID = 0x10


def _with_tag(frame: bytes, beside: list[tuple[int, int, bytes]]) -> bytes:
    """Put a VLAN tag back in, which the kernel hands over beside the frame (struct tpacket_auxdata)."""
    for level, kind, data in beside:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            fields: tuple[int, ...] = struct.unpack("IIIHHHH", data[:20])
            status, tag = fields[0], fields[5]
            if status & _TAG_IS_VALID:
                return frame[:12] + b"\x81\x00" + tag.to_bytes(2) + frame[12:]
    return frame


def bmv2_missing() -> str | None:
    """Return what is missing to run BMv2 here; None: nothing."""
    if shutil.which("simple_switch_grpc") is None:
        return "simple_switch_grpc is not on PATH"
    if shutil.which("ip") is None:
        return "ip (iproute2) is not on PATH"
    done = subprocess.run(["ip", "netns", "list"], check=False, capture_output=True)
    return None if done.returncode == 0 and os.geteuid() == 0 else "making network namespaces needs root"


class Rig:
    """A target with our program in force and empty tables."""

    def __init__(self, target: Target, program: Path = BUILD) -> None:
        self._target = target
        self._info = text_format.Parse((program / "home_agent.p4info.txtpb").read_text(), p4i.P4Info())
        self._config = (program / "home_agent.json").read_bytes()
        self._words = Words(self._info)
        self._channel = grpc.insecure_channel(target.address)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._election = p4r.Uint128(low=1)
        self._punted: list[tuple[int, int, bytes]] = []
        self._mtus: list[int] = []
        self._groups: list[Entry] = []
        self._seen_drops = 0

    @property
    def longest(self) -> int:
        """Octets of the longest frame that the target's wires carry."""
        return self._target.longest

    def carries(self, frame: bytes) -> bool:
        """Whether the target's wires carry a short frame."""
        return self._target.carries(frame)

    def start(self) -> None:
        """Become primary and push the program."""
        grpc.channel_ready_future(self._channel).result(10)
        stream = self._stub.StreamChannel(iter(self._requests.get, None))
        update = p4r.MasterArbitrationUpdate(device_id=DEVICE, election_id=self._election)
        self._requests.put(p4r.StreamMessageRequest(arbitration=update))
        assert next(stream).arbitration.status.code == 0
        self._listener = threading.Thread(target=self._listen, args=(stream,), daemon=True)
        self._listener.start()
        self.reset()

    def reset(self) -> None:
        """Push the program again: tables empty, counters zero."""
        # BMv2 keeps multicast groups.
        self.delete(self._groups)
        self._groups.clear()
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=DEVICE,
            election_id=self._election,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=p4r.ForwardingPipelineConfig(p4info=self._info, p4_device_config=self._config),
        )
        self._stub.SetForwardingPipelineConfig(request, timeout=30)
        self._target.received()
        self._punted.clear()
        self._mtus.clear()
        self._seen_drops = 0

    def close(self) -> None:
        """Leave the switch."""
        self._requests.put(None)
        self._channel.close()

    def _listen(self, stream: Iterator[Any]) -> None:
        try:
            for message in stream:
                if message.HasField("packet"):
                    values = [int.from_bytes(item.value) for item in message.packet.metadata]
                    self._punted.append((values[0], values[1], message.packet.payload))
                    self._mtus.append(values[2])
        except grpc.RpcError:
            return  # the channel was closed

    # Tables

    def install(self, entries: Iterable[Entry]) -> None:
        several = list(entries)
        self._write(p4r.Update.INSERT, several)
        self._groups += [entry for entry in several if entry.table == MULTICAST_GROUPS]

    def insert(self, entities: Iterable[Any]) -> None:
        """Install entries that are `p4.v1.Entity` messages already."""
        self._update(p4r.Update.INSERT, entities)

    def take_back(self, entities: Iterable[Any]) -> None:
        """Remove such entries, and forget what went to the controller: quicker than a reset, but counters stay."""
        self._update(p4r.Update.DELETE, entities)
        self._punted.clear()
        self._mtus.clear()

    def modify(self, entries: Iterable[Entry]) -> None:
        self._write(p4r.Update.MODIFY, entries)

    def delete(self, entries: Iterable[Entry]) -> None:
        self._write(p4r.Update.DELETE, entries)

    def _write(self, kind: Any, entries: Iterable[Entry]) -> None:
        self._update(kind, map(self._words.entity, entries))

    def _update(self, kind: Any, entities: Iterable[Any]) -> None:
        updates = [p4r.Update(type=kind, entity=entity) for entity in entities]
        request = p4r.WriteRequest(device_id=DEVICE, election_id=self._election, updates=updates)
        if updates:
            self._stub.Write(request, timeout=30)

    def _read(self, entity: Any) -> Iterator[Any]:
        for answer in self._stub.Read(p4r.ReadRequest(device_id=DEVICE, entities=[entity]), timeout=30):
            yield from answer.entities

    def counter(self, table: str, match: Sequence[Match], priority: int = 0) -> tuple[int, int]:
        """Return packets and bytes of the direct counter of one entry."""
        entry = self._words.key(table, match, priority)
        (found,) = self._read(p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=entry)))
        data = found.direct_counter_entry.data
        return data.packet_count, data.byte_count

    def drops(self) -> dict[DropReason, tuple[int, int]]:
        """Return packets and bytes dropped, by reason, where there are any."""
        found: dict[DropReason, tuple[int, int]] = {}
        for counter in self._info.counters:
            for entity in self._read(p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=counter.preamble.id))):
                data = entity.counter_entry.data
                if data.packet_count:
                    reason = DropReason(entity.counter_entry.index.index)
                    packets, octets_ = found.get(reason, (0, 0))
                    found[reason] = (packets + data.packet_count, octets_ + data.byte_count)
        return found

    # Packets

    def send(self, port: int, frame: bytes) -> Frames:
        """Send a frame into a port; return what came out of ports once the switch has dealt with it."""
        return self._outcome(lambda: self._target.send(port, frame))

    def packet_out(self, frame: bytes, *, routed: bool, egress_port: int = 0, patience: float = PATIENCE) -> Frames:
        """Send a frame as the controller; return what came out of ports; wait so many seconds for a sign of it."""
        packet = p4r.PacketOut(payload=frame)
        packet.metadata.add(metadata_id=1, value=octets(egress_port))
        packet.metadata.add(metadata_id=2, value=octets(int(routed)))
        return self._outcome(lambda: self._requests.put(p4r.StreamMessageRequest(packet=packet)), patience)

    def punted(self) -> list[tuple[int, int, bytes]]:
        """Return what went to the controller: ingress port, reason (a PuntReason, if the entry says one), frame."""
        return list(self._punted)

    def reported_mtus(self) -> list[int]:
        """Return the MTU that came with each packet to the controller."""
        return list(self._mtus)

    def _outcome(self, act: Any, patience: float = PATIENCE) -> Frames:
        before = len(self._punted)
        act()
        found: Frames = []
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            found += self._target.received()
            dropped = sum(packets for packets, _ in self.drops().values())
            if found or len(self._punted) > before or dropped > self._seen_drops:
                time.sleep(self._target.linger)
                found += self._target.received()
                self._seen_drops = sum(packets for packets, _ in self.drops().values())
                return found
            time.sleep(0.002)
        raise NothingSeenError("the switch neither sent the packet on, nor punted it, nor counted it as dropped")


def _compiled(folder: Path) -> Path:
    """Compile the program in a chip's order into a folder, and return that."""
    command = ["p4c-bm2-ss", "--p4v", "16", "--p4runtime-files", str(folder / "home_agent.p4info.txtpb")]
    command += ["-o", str(folder / "home_agent.json"), "v1model/chip_order.p4"]
    subprocess.run(command, cwd=BUILD.parent, check=True, capture_output=True)
    return folder


@contextmanager
def running(kind: str, folder: Path) -> Iterator[Rig]:
    """Run a rig on a target of a kind: "embedded", "bmv2", or "chip": the embedded switch with the tables in a chip's order."""
    program = _compiled(folder) if kind == "chip" else BUILD
    target = Bmv2Target(folder) if kind == "bmv2" else EmbeddedTarget()
    rig = Rig(target, program)
    try:
        rig.start()
        yield rig
    finally:
        rig.close()
        target.close()
