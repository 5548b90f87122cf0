import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from controller.mobility.address import parse_address
from testbed.packets import ethernet, udp
from testbed.pcap import PcapWriter

_A, _B = parse_address("2001:db8::1"), parse_address("2001:db8::2")
_SECOND = 1_700_000_000


def _capture(path: Path) -> list[bytes]:
    frames = [
        ethernet(b"\x02" + bytes(5), b"\x06" + bytes(5), udp(_A, _B, (1000 + size, 2000), bytes(size)))
        for size in range(7)
    ]
    with PcapWriter(path) as capture:
        for number, frame in enumerate(frames):
            capture.write(
                f"port{number % 2}",
                frame,
                outbound=number % 3 == 0,
                when_ns=_SECOND * 10**9 + number,
            )
        assert capture.packets == 7
    return frames


def test_scapy_reads_back_every_octet_and_the_nanoseconds(tmp_path: Path) -> None:
    from scapy.utils import RawPcapNgReader

    frames = _capture(tmp_path / "x.pcap")
    with RawPcapNgReader(str(tmp_path / "x.pcap")) as reader:
        records: list[Any] = list(reader)
    assert [data for data, _ in records] == frames
    stamps = [(meta.tshigh << 32 | meta.tslow) for _, meta in records]
    assert stamps == [_SECOND * 10**9 + number for number in range(7)]
    assert {meta.tsresol for _, meta in records} == {10**9}


@pytest.mark.tshark
@pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not on PATH: install wireshark's command line tools"
)
def test_tshark_sees_interfaces_direction_and_right_checksums(tmp_path: Path) -> None:
    _capture(tmp_path / "x.pcap")
    command = ["tshark", "-r", str(tmp_path / "x.pcap"), "-o", "udp.check_checksum:TRUE", "-T", "json"]
    layers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(layers) == 7
    frames = [layer["_source"]["layers"] for layer in layers]
    names = [frame["frame"]["frame.interface_id_tree"]["frame.interface_name"] for frame in frames]
    assert names == [f"port{number % 2}" for number in range(7)]
    assert all(frame["udp"]["udp.checksum.status"] == "1" for frame in frames)


def test_a_closed_capture_takes_frames_without_harm(tmp_path: Path) -> None:
    capture = PcapWriter(tmp_path / "x.pcap")
    capture.close()
    size = (tmp_path / "x.pcap").stat().st_size
    capture.write("p", b"late", outbound=True)
    capture.close()
    assert (tmp_path / "x.pcap").stat().st_size == size


def test_flush_makes_packets_visible_before_the_end(tmp_path: Path) -> None:
    with PcapWriter(tmp_path / "x.pcap") as capture:
        capture.write("p", bytes(60), outbound=False)
        capture.flush()
        assert (tmp_path / "x.pcap").stat().st_size > 100
