"""Programs by path: which files a target takes, what they have to have in them, and what goes to the switch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r
from google.protobuf import text_format

from controller.dataplane import pipeline as p
from controller.dataplane.entries import Entry
from controller.southbound.artefacts import CONFIG_FILE, P4INFO_FILE, ArtefactError, load, packaged
from controller.southbound.codec import Codec
from controller.southbound.compiled import pack_folder
from controller.southbound.programs import ProgramFiles, load_program
from controller.southbound.requirements import number_bits
from controller.southbound.targets import TARGETS
from fake_p4runtime import FakeP4Runtime
from narrow_program import narrow_info, narrow_json
from southbound_world import World


def compiled(folder: Path, info: Any, chip: str = "tofino") -> Path:
    """Fill a folder as the compiler would; its tables are those of the P4Info, the rest is small."""
    tables = [{"id": table.preamble.id, "size": table.size} for table in info.tables]
    pipes = [{"pipe_id": 0, "pipe_name": "pipe"}]
    manifest = {"target": chip, "compilation_succeeded": True, "programs": [{"program_name": "x", "pipes": pipes}]}
    (folder / "pipe").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "bfrt.json").write_text(json.dumps({"tables": [*tables, {"id": 1, "size": 12}]}))
    (folder / "pipe" / "context.json").write_text(json.dumps({"target": chip, "program_name": "home_agent"}))
    (folder / "pipe" / f"{chip}.bin").write_bytes(b"\x00binary" * 1000)
    (folder / "home_agent.p4info.txtpb").write_text(text_format.MessageToString(info))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return compiled(tmp_path / "out", narrow_info())


@pytest.fixture
def files(folder: Path, tmp_path: Path) -> ProgramFiles:
    packed = tmp_path / "home_agent.pb.bin"
    packed.write_bytes(pack_folder(folder))
    return ProgramFiles(None, folder / "home_agent.p4info.txtpb", packed)


async def test_the_packed_file_goes_to_the_switch_as_it_is(files: ProgramFiles, fake: FakeP4Runtime) -> None:
    program = load_program(files, "tofino")
    assert files.pipeline is not None
    async with World(program).running(fake.address, target=TARGETS["tofino"]):
        assert fake.device_config == files.pipeline.read_bytes()
        assert fake.info == program.info


def test_a_compilers_folder_is_packed_to_the_same(folder: Path, files: ProgramFiles) -> None:
    assert load_program(ProgramFiles(folder), "tofino") == load_program(files, "tofino")


def test_a_folder_for_the_other_chip(tmp_path: Path) -> None:
    folder = compiled(tmp_path / "two", narrow_info(), "tofino2")
    assert load_program(ProgramFiles(folder), "tofino2").config_format == "tofino2"
    with pytest.raises(ArtefactError, match="two is for tofino2, the switch is a tofino"):
        load_program(ProgramFiles(folder), "tofino")


def test_the_embedded_switch_takes_another_program_too(tmp_path: Path) -> None:
    info, program = tmp_path / "narrow.p4info.txtpb", tmp_path / "narrow.json"
    info.write_text(text_format.MessageToString(narrow_info()))
    program.write_bytes(narrow_json())
    assert load_program(ProgramFiles(None, info, program), "bmv2-json").config == program.read_bytes()
    whole = load_program(ProgramFiles(packaged()), "bmv2-json")
    assert whole == load()
    with pytest.raises(ArtefactError, match=r"flow_bindings is .* in P4Info but .* in the JSON"):
        load_program(ProgramFiles(None, info, packaged() / CONFIG_FILE), "bmv2-json")


def table(info: Any, name: str) -> Any:
    return next(table for table in info.tables if table.preamble.alias == name)


def action(info: Any, name: str) -> Any:
    return next(action for action in info.actions if action.preamble.alias == name)


def without(several: Any, name: str) -> None:
    several.remove(
        next(one for one in several if (one.preamble.alias if hasattr(one, "preamble") else one.name) == name)
    )


MENDABLE: list[tuple[Callable[[Any], Any], str]] = [
    (lambda info: without(info.tables, "tunnels"), "table tunnels is missing"),
    (lambda info: info.tables.add().preamble.MergeFrom(type(info.tables[0].preamble)(alias="acl", id=1)), "does not know table acl"),
    (lambda info: setattr(table(info, "routes"), "size", 0), "table routes has no size"),
    (lambda info: table(info, "home_addresses").match_fields.pop(), "key of table home_addresses is , the controller needs destination"),
    (lambda info: setattr(table(info, "routes").match_fields[0], "match_type", 4), "field destination of table routes is ternary, not lpm"),
    (lambda info: setattr(table(info, "tunnels").match_fields[1], "bitwidth", 8), "field bid of table tunnels is too small: 8 bits, 16 are needed"),
    (lambda info: setattr(table(info, "tunnels").match_fields[0], "bitwidth", 12), "field node_id of table tunnels is too small: 12 bits, 16"),
    (lambda info: without(table(info, "flow_bindings").match_fields, "traffic_class"), "table flow_bindings has no field traffic_class"),
    (lambda info: setattr(table(info, "flow_bindings").match_fields[4], "match_type", 5), "source_port and destination_port in different ways"),
    (lambda info: setattr(table(info, "flow_bindings").match_fields[4], "match_type", 2), "field source_port of table flow_bindings is exact, not range or ternary"),
    (lambda info: table(info, "tunnels").action_refs.pop(0), "action encap_ipv6 of table tunnels is missing"),
    (lambda info: action(info, "encap_ipv6").params.pop(), "action encap_ipv6 of table tunnels takes home_agent_id, destination, not home_agent_id, destination, mtu"),
    (lambda info: setattr(action(info, "forward").params[3], "bitwidth", 8), "parameter mtu of action forward of table next_hops is too small: 8 bits, 16"),
    (lambda info: setattr(table(info, "next_hops"), "implementation_id", 0), "table next_hops has no action selector"),
    (lambda info: setattr(info.action_profiles[0], "with_selector", False), "table next_hops has no action selector"),
    (lambda info: setattr(info.action_profiles[0], "max_group_size", 8), "paths of table next_hops takes 8 actions, 60 are needed"),
    (lambda info: setattr(table(info, "routes"), "implementation_id", info.action_profiles[0].preamble.id), "actions of table routes are in paths"),
    (lambda info: info.direct_counters.pop(0), "has no direct counter"),
    (lambda info: info.direct_meters.pop(0), "has no direct meter"),
    (lambda info: info.counters.pop(0), "counter drops is missing"),
    (lambda info: info.controller_packet_metadata[0].metadata.pop(), "header packet_in has no field mtu"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "problem"), MENDABLE)
def test_what_the_p4info_lacks_is_named(tmp_path: Path, spoil: Callable[[Any], Any], problem: str) -> None:
    info = narrow_info()
    spoil(info)
    folder = compiled(tmp_path / "out", info)
    with pytest.raises(ArtefactError, match=problem):
        load_program(ProgramFiles(folder), "tofino")


def test_ranges_without_a_place_for_the_spi(tmp_path: Path) -> None:
    info = narrow_info()
    for field in table(info, "flow_bindings").match_fields[4:6]:
        field.match_type = 5
    with pytest.raises(ArtefactError, match="has no field spi: then ports have to be ternary"):
        load_program(ProgramFiles(compiled(tmp_path / "out", info)), "tofino")


def edited(name: str, old: str, new: str) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return apply


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda folder: (folder / P4INFO_FILE).unlink(), r"has to have one \*.p4info.txtpb, and has none: compile with --p4"),
        (lambda folder: shutil.copy(folder / P4INFO_FILE, folder / "b.p4info.txtpb"), "and has b.p4info.txtpb, home_agent.p4info"),
        (lambda folder: (folder / P4INFO_FILE).write_bytes(b"\xff\xfe"), "home_agent.p4info.txtpb is no P4Info"),
        (lambda folder: (folder / "bfrt.json").write_text('{"tables": []}'), "table my_station of P4Info is not in"),
        (edited("bfrt.json", '"size": 131072', '"size": 9'), "has 131072 entries in P4Info, and 9 in"),
        (edited(P4INFO_FILE, "pkg_info {", "externs { instances { info { [type.googleapis.com/barefoot.DirectCounter] {} } } }\npkg_info {"), "compile with --p4runtime-force-std-externs"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_used(folder: Path, spoil: Callable[[Path], object], problem: str) -> None:
    spoil(folder)
    with pytest.raises(ArtefactError, match=problem):
        load_program(ProgramFiles(folder), "tofino")


@pytest.mark.parametrize("content", [b"", b"\x00binary", b"\x0a\x02", b"\x0a\x01x\x12\x02{}\x1a\x00"])
def test_a_file_that_was_not_packed(files: ProgramFiles, content: bytes) -> None:
    assert files.pipeline is not None
    files.pipeline.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"home_agent.pb.bin is not what 'mcoa p4 pack' writes"):
        load_program(files, "tofino")


def test_numbers_are_as_wide_as_the_narrowest_field() -> None:
    info = narrow_info()
    assert number_bits(info) == 24
    table(info, "tunnels").match_fields[0].bitwidth = 17
    assert number_bits(info) == 17


def test_copies_leave_by_the_targets_port() -> None:
    """A group that copies by another port is not the one that is wanted."""
    group = Entry(p.MULTICAST_GROUPS, (9,), p.COPY, (1, 2))
    for target, port in (("embedded", 510), ("tofino", 68), ("tofino2", 6)):
        codec = Codec(load().info, TARGETS[target].copy_port)
        message = p4r.PacketReplicationEngineEntry.FromString(codec.entry(group))
        assert {replica.egress_port for replica in message.multicast_group_entry.replicas} == {port}
        assert codec.decode_group(message) == group
        assert Codec(load().info, 100).decode_group(message) != group


def test_an_action_is_known_by_its_own_name_where_another_control_has_one_too(tmp_path: Path) -> None:
    """An alias is as short as it can be: with two actions called `discard` it has the control before it."""
    info = narrow_info()
    action(info, "discard").preamble.alias = "steering.discard"
    other = info.actions.add()
    other.preamble.id, other.preamble.alias = 0x01FFFFFF, "late.discard"
    program = load_program(ProgramFiles(compiled(tmp_path / "out", info)), "tofino")
    entry = Entry(p.DEFAULT_BINDING, (7,), p.DISCARD)
    codec = Codec(program.info)
    assert codec.entry(entry) == Codec(load().info).entry(entry)
    assert codec.decode(p4r.TableEntry.FromString(codec.entry(entry))) == entry
