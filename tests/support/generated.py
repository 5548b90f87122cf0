"""Packet tests that p4testgen makes of our program.

It follows the P4 source path by path, by a model of v1model of its own, and says for each path a packet and tables that lead through it,
and what has to come out: an oracle that shares nothing with BMv2 or the embedded switch.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finsy.proto import p4testgen
from google.protobuf import text_format

from controller.dataplane.pipeline import CPU_PORT
from rig import BUILD, PORTS
from words import octets

TOOL = "p4testgen"
COUNT = 50
"""Tests for a seed: the search keeps all that it has seen, with some hundred tests more than a machine has memory for."""
_LONGEST = 300 * 8
"""Bits of a packet; the longest headers that the parser looks at are shorter."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A packet that has to come out."""

    port: int
    frame: bytes
    mask: bytes
    """Bits that are 0 may be anything."""

    def fits(self, port: int, frame: bytes) -> bool:
        """Whether it is this one that came out of a port."""
        return (
            port == self.port
            and len(frame) == len(self.frame)
            and all((one ^ other) & mask == 0 for one, other, mask in zip(frame, self.frame, self.mask, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Generated:
    """One test."""

    name: str
    port: int
    frame: bytes
    expected: tuple[Expected, ...]
    entities: tuple[Any, ...]
    """Each a `p4.v1.Entity`, to be inserted first."""
    path: tuple[str, ...]
    """Where the packet goes, for whoever looks for a fault."""


def missing() -> str | None:
    """Return why nothing can be generated here; None: it can."""
    return None if shutil.which(TOOL) else f"{TOOL} is not on PATH"


def generate(folder: Path, seed: int) -> list[Generated]:
    """Return `COUNT` tests, each of another path."""
    ports = f"{PORTS[0]}:{PORTS[-1]},{CPU_PORT}:{CPU_PORT}"
    command = [TOOL, "--target", "bmv2", "--arch", "v1model", "--std", "p4-16", "--test-backend", "PROTOBUF"]
    command += ["--max-tests", str(COUNT), "--seed", str(seed), "--path-selection", "GREEDY_STATEMENT_SEARCH"]
    command += ["--port-ranges", ports, "--packet-size-range", f"0:{_LONGEST}", "--out-dir", str(folder)]
    done = subprocess.run(
        [*command, "v1model/home_agent.p4"], cwd=BUILD.parent, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [_read(path) for path in sorted(folder.glob("*.txtpb"))]


def _read(path: Path) -> Generated:
    case = text_format.Parse(path.read_text(encoding="utf-8"), p4testgen.TestCase())
    expected = tuple(Expected(one.port, one.packet, one.packet_mask) for one in case.expected_output_packet)
    sent = case.input_packet
    entities = tuple(map(_canonical, case.entities))
    return Generated(path.stem, sent.port, sent.packet, expected, entities, tuple(case.traces))


def _canonical(entity: Any) -> Any:
    """Return an entry as P4Runtime wants it (section 8.3 and 9.1): shortest octet strings, and no field that matches everything."""
    entry = entity.table_entry
    fields = []
    for field in entry.match:
        match field.WhichOneof("field_match_type"):
            case "exact":
                field.exact.value = _shortest(field.exact.value)
            case "ternary":
                mask = int.from_bytes(field.ternary.mask)
                if not mask:
                    continue
                field.ternary.value = octets(int.from_bytes(field.ternary.value) & mask)
                field.ternary.mask = octets(mask)
            case "lpm":
                if not field.lpm.prefix_len:
                    continue
                field.lpm.value = _shortest(field.lpm.value)
            case "range":
                field.range.low, field.range.high = _shortest(field.range.low), _shortest(field.range.high)
        fields.append(field)
    del entry.match[:]
    entry.match.extend(fields)
    calls = [
        entry.action.action,
        *(one.action for one in entry.action.action_profile_action_set.action_profile_actions),
    ]
    for call in calls:
        for param in call.params:
            param.value = _shortest(param.value)
    return entity


def _shortest(value: bytes) -> bytes:
    return octets(int.from_bytes(value))
