"""Security settings of a node: what they make, and that no error shows a key."""

import shutil
import traceback
from pathlib import Path

import pytest

from controller.config import ConfigError, Settings, load_settings
from controller.mobility.address import parse_address
from controller.mobility.home_agent import HomeAgent
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    NO_SECURITY,
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    SecurityContext,
)

TOPOLOGY = Path(__file__).parent.parent / "topologies" / "three-access.yaml"
HOA = parse_address("2001:db8:0:1::100")
HEAD = """
[home_agent]
[[home_agent.networks]]
prefix = "2001:db8:0:1::/64"
home_agent = "2001:db8:0:1::1"

[topology]
file = "net.yaml"
"""
SECRET = "5ec4e7a1" * 4
LONG = "5ec4e7a1" * 12
OTHER = "0123456789abcdef" * 6


def node(text: str, home_address: str = "2001:db8:0:1::100") -> str:
    return f'\n[[node]]\nhome_address = "{home_address}"\n{text}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    shutil.copy(TOPOLOGY, tmp_path / "net.yaml")
    return tmp_path / "mcoa.toml"


def parse(path: Path, *nodes: str) -> Settings:
    path.write_text(HEAD + "".join(nodes))
    return load_settings(path)


def faults(path: Path, *nodes: str) -> list[tuple[str, str]]:
    """Return field and reason of each problem, none of which may show a key, not even in a traceback."""
    with pytest.raises(ConfigError) as caught:
        parse(path, *nodes)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__cause__)
    for secret in (SECRET, LONG, OTHER, SECRET[:16], OTHER[:16]):
        assert secret not in shown
        assert secret not in str(caught.value)
    return [(problem.field, problem.reason) for problem in caught.value.problems]


ESP = f'security = "esp"\nspi = 4096\nkey = "{LONG}"\nreply_spi = 4097\nreply_key = "{OTHER}"'
AUTH = f'security = "auth"\nspi = 256\nkey = "{SECRET}"'


def policy(settings: Settings) -> object:
    return settings.home_agent_config().nodes[HOA].security


def test_a_node_has_no_security_by_default(path: Path) -> None:
    assert policy(parse(path, node(""))) == NO_SECURITY
    assert policy(parse(path, node('security = "none"'))) == NO_SECURITY


def test_auth(path: Path) -> None:
    key = Key.from_hex(SECRET)
    assert policy(parse(path, node(AUTH))) == AuthPolicy(256, key)
    more = AUTH + '\nmn_id = "mn1@example.com"\ntimestamp_window_s = 30.0'
    assert policy(parse(path, node(more))) == AuthPolicy(256, key, b"mn1@example.com", window=30.0)
    more = AUTH + f'\ntimestamps = false\naaa_key = "{OTHER}"'
    assert policy(parse(path, node(more))) == AuthPolicy(256, key, timestamps=False, aaa_key=Key.from_hex(OTHER))
    (path.parent / "aaa").write_text(OTHER)
    assert policy(parse(path, node(more.replace(f'aaa_key = "{OTHER}"', 'aaa_key_file = "aaa"')))) == policy(
        parse(path, node(more))
    )


def test_bids_may_count_for_themselves(path: Path) -> None:
    for security in ("", AUTH, ESP):
        settings = parse(path, node(security + "\nper_bid_sequences = true"))
        assert settings.home_agent_config().nodes[HOA].per_bid_sequences


def test_esp(path: Path) -> None:
    inbound, outbound = Key.from_hex(LONG), Key.from_hex(OTHER)
    assert policy(parse(path, node(ESP))) == EspPolicy(EspAssociation(4096, inbound), EspAssociation(4097, outbound))
    gcm = EspAlgorithm.AES_128_GCM_16
    text = ESP.replace(LONG, LONG[:40]).replace(OTHER, OTHER[:40]) + f'\nalgorithm = "{gcm}"\nreplay_window = 128'
    assert policy(parse(path, node(text))) == EspPolicy(
        EspAssociation(4096, Key.from_hex(LONG[:40]), gcm),
        EspAssociation(4097, Key.from_hex(OTHER[:40]), gcm),
        128,
    )


@pytest.mark.parametrize("algorithm", list(EspAlgorithm))
def test_every_algorithm_can_be_set(path: Path, algorithm: EspAlgorithm) -> None:
    keys = [(bytes((number,)) * algorithm.key_octets).hex() for number in (1, 2)]
    text = ESP.replace(LONG, keys[0]).replace(OTHER, keys[1]) + f'\nalgorithm = "{algorithm}"'
    settings = parse(path, node(text))
    HomeAgent(settings.home_agent_config(), security=SecurityContext(0.0, bytes))


def test_keys_from_files(path: Path) -> None:
    (path.parent / "keys").mkdir()
    (path.parent / "keys" / "in").write_text(f"{LONG[:48]}\n{LONG[48:]}\n")
    (path.parent / "keys" / "out").write_text(OTHER)
    text = 'security = "esp"\nspi = 4096\nkey_file = "keys/in"\nreply_spi = 4097\nreply_key_file = "keys/out"'
    assert policy(parse(path, node(text))) == policy(parse(path, node(ESP)))


def test_settings_show_no_key(path: Path) -> None:
    settings = parse(path, node(ESP), node(AUTH, "2001:db8:0:1::200"))
    for thing in (settings, settings.nodes, settings.home_agent_config(), settings.security):
        for text in (repr(thing), str(thing)):
            assert not any(secret[:16] in text for secret in (SECRET, LONG, OTHER))
    assert "Key(48 octets)" in repr(settings)
    assert settings.nodes[0].model_dump()["key"] is settings.nodes[0].key


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        (AUTH.replace("spi = 256\n", ""), "spi", "required with security = 'auth', but not there"),
        (AUTH.replace("256", "255"), "spi", "greater than or equal to 256"),
        (AUTH.replace("auth", "ah"), "security", "'none', 'auth' or 'esp'"),
        (AUTH.replace(SECRET, SECRET[:-1]), "key", "hexadecimal digits, two for each octet"),
        (AUTH.replace(SECRET, "xyz" + SECRET), "key", "hexadecimal digits, two for each octet"),
        (AUTH.replace(f'"{SECRET}"', "1234567890123"), "key", "in quotes"),
        (AUTH.replace(SECRET, SECRET[:16]), "security", "8 octets; RFC 4285 needs at least 16"),
        (AUTH.replace("key =", "key_file ="), "key_file", "holds a key instead of a path"),
        (AUTH.replace("key =", "key_file =").replace(SECRET, "k"), "key_file", "k cannot be read: No such file"),
        (AUTH + '\nkey_file = "k"', "key", "either key or key_file"),
        (f'security = "auth"\nspi = 256\nkye = "{SECRET}"', "kye", "unknown key"),
        ('security = "auth"\nspi = 256', "key", "either key or key_file"),
        (AUTH + "\nreply_spi = 300", "reply_spi", "does not go with security = 'auth'"),
        (AUTH + '\nmn_id = ""', "mn_id", "at least 1 character"),
        (AUTH + "\ntimestamp_window_s = 3.0", "timestamp_window_s", "greater than 3"),
        (f'key = "{SECRET}"', "key", "does not go with security = 'none'"),
        (ESP.replace("reply_spi = 4097\n", ""), "reply_spi", "required with security = 'esp'"),
        (ESP.replace(f'\nreply_key = "{OTHER}"', ""), "reply_key", "either reply_key or reply_key_file"),
        (ESP.replace(OTHER, LONG), "security", "each needs a key of its own"),
        (ESP.replace(LONG, SECRET), "key", "16 octets; aes-128-cbc-hmac-sha-256 needs 48"),
        (ESP.replace(OTHER, SECRET), "reply_key", "16 octets; aes-128-cbc-hmac-sha-256 needs 48"),
        (ESP + '\nalgorithm = "null"', "algorithm", "aes-128-gcm-16"),
        (ESP + "\nreplay_window = 100", "replay_window", "multiple of 64"),
        (AUTH + f'\naaa_key = "{SECRET}"', "aaa_key", "the same as key"),
        (AUTH + f'\naaa_key = "{OTHER}"\naaa_key_file = "k"', "aaa_key", "either aaa_key or aaa_key_file"),
        (AUTH + f'\naaa_key = "{OTHER[:16]}"', "security", "8 octets; RFC 4285 needs at least 16"),
        (AUTH + "\ntimestamps = 1", "timestamps", "valid boolean"),
        (
            AUTH + "\ntimestamps = false\nper_bid_sequences = true",
            "per_bid_sequences",
            "needs protection against replays",
        ),
        (
            ESP + "\nreplay_window = 0\nper_bid_sequences = true",
            "per_bid_sequences",
            "needs protection against replays",
        ),
        (ESP + "\ntimestamps = false", "timestamps", "does not go with security = 'esp'"),
        (ESP + '\nmn_id = "mn1@example.com"', "mn_id", "does not go with security = 'esp'"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(path: Path, text: str, field: str, reason: str) -> None:
    (found,) = faults(path, node(text))
    assert found[0] == f"node[0].{field}"
    assert reason in found[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "something else than hexadecimal digits"),
        (SECRET.encode() + b"zz", "hexadecimal digits, two for each octet"),
        (b"00" * 5000, "longer than 8192 octets"),
        (b"", "1 to 1024 octets"),
    ],
)
def test_a_bad_key_file_is_named_and_not_quoted(path: Path, content: bytes, reason: str) -> None:
    (path.parent / "k").write_bytes(content)
    (found,) = faults(path, node('security = "auth"\nspi = 256\nkey_file = "k"'))
    assert found[0] == "node[0].key_file"
    assert reason in found[1]
    assert str(path.parent / "k") in found[1]


def test_two_nodes_share_neither_spi_nor_key(path: Path) -> None:
    second = ESP.replace(LONG, LONG[:-2] + "00").replace(OTHER, OTHER[:-2] + "00")
    assert faults(path, node(ESP), node(second, "2001:db8:0:1::200")) == [
        ("node[1].spi", "4096 is already the SPI of node[0]"),
    ]
    assert faults(path, node(AUTH), node(AUTH.replace("256", "257"), "2001:db8:0:1::200")) == [
        ("node[1].key", "the same key as node[0]: each node could speak for the other"),
    ]
    other = AUTH.replace(SECRET, OTHER[:32])
    parse(path, node(AUTH), node(other, "2001:db8:0:1::200"))
