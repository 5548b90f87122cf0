"""Kinds of switch as data, and what each takes as device configuration."""

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from controller.southbound.targets import BF_RUNTIME, BINARY, BMV2_JSON, CONTEXT, PACKINGS, TARGETS, pack, target
from fake_p4runtime import FakeP4Runtime
from southbound_world import World

BYTES, STRING, MESSAGE, UINT32 = 12, 9, 11, 13


def test_every_target_takes_a_format_that_can_be_packed() -> None:
    assert {one.config_format for one in TARGETS.values()} <= PACKINGS.keys()
    with pytest.raises(ValueError, match="there is no target 'asic': the targets are embedded, bmv2, tofino, tofino2"):
        target("asic")


def test_stratum_reads_what_is_packed_for_it() -> None:
    """Stratum's message, described here on its own (stratum/hal/lib/barefoot/bf.proto)."""
    file = descriptor_pb2.FileDescriptorProto(name="bf.proto", package="t", syntax="proto3")
    whole = file.message_type.add(name="BfPipelineConfig")
    profile = whole.nested_type.add(name="Profile")
    for name, number, kind in (("profile_name", 1, STRING), ("context", 2, BYTES), ("binary", 3, BYTES)):
        profile.field.add(name=name, number=number, type=kind, label=1)
    profile.field.add(name="pipe_scope", number=4, type=UINT32, label=3)
    whole.field.add(name="p4_name", number=1, type=STRING, label=1)
    whole.field.add(name="bfruntime_info", number=2, type=BYTES, label=1)
    whole.field.add(name="profiles", number=3, type=MESSAGE, label=3, type_name=".t.BfPipelineConfig.Profile")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    packed = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.BfPipelineConfig"))
    big = bytes(range(256)) * 300
    message: Any = packed.FromString(pack("tofino", "home_agent", {BF_RUNTIME: b"{}", CONTEXT: b"[]", BINARY: big}))
    assert (message.p4_name, message.bfruntime_info) == ("home_agent", b"{}")
    (only,) = message.profiles
    assert (only.profile_name, only.context, only.binary, list(only.pipe_scope)) == ("pipe", b"[]", big, [])


def test_what_is_missing_is_named() -> None:
    assert pack("bmv2-json", "x", {BMV2_JSON: b"{}"}) == b"{}"
    with pytest.raises(ValueError, match=r"needs bf-rt.json, tofino.bin too"):
        pack("tofino", "x", {CONTEXT: b""})
    with pytest.raises(ValueError, match="there is no format 'elf'"):
        pack("elf", "x", {})


def test_a_role_is_asked_for_where_there_are_roles(world: World, fake: FakeP4Runtime) -> None:
    world.session(fake.address, role="home-agent")
    with pytest.raises(ValueError, match="s1 is of kind bmv2, which knows no roles"):
        world.session(fake.address, role="home-agent", target=target("bmv2"))
