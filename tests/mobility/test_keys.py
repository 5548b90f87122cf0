"""Keys and what is built of them never show what they are."""

import copy
import json
import logging
import pickle
import traceback
from dataclasses import asdict, replace

import pytest

from controller.mobility.home_agent import HomeAgent
from controller.mobility.mobile_node import MobileNodeConfig
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    SecurityPolicy,
)
from security_kit import AUTH, HA, HOA, Pair, config, context, esp

SECRET = bytes.fromhex("5ec4e7a15ec4e7a15ec4e7a15ec4e7a1")
SHOWN = (SECRET.hex(), repr(SECRET)[2:-1], str(list(SECRET))[1:-1])


def shows(text: str) -> bool:
    return any(part in text for part in SHOWN)


def test_a_key_shows_nothing_but_its_length() -> None:
    key = Key(SECRET)
    for text in (repr(key), str(key), f"{key}", f"{key!r}", repr([key]), repr({key: key})):
        assert not shows(text)
    assert repr(key) == "Key(16 octets)"
    assert len(key) == 16
    assert key.reveal() == SECRET


def test_a_key_is_not_pickled_nor_serialised() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Key(SECRET))
    with pytest.raises(TypeError):
        json.dumps(Key(SECRET))
    with pytest.raises(TypeError):
        vars(Key(SECRET))


def test_copies_are_the_key_itself() -> None:
    key = Key(SECRET)
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key


def test_keys_compare_by_what_they_are() -> None:
    assert Key(SECRET) == Key.from_hex(SECRET.hex(" "))
    assert hash(Key(SECRET)) == hash(Key(SECRET))
    assert Key(SECRET) != Key(SECRET[:-1] + b"\0")
    assert Key(SECRET) != SECRET


@pytest.mark.parametrize("text", ["", "5ec4e7a15", "5ec4zz", "0x5ec4e7a1", "5ec4e7a1" * 300])
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is what this is about
        Key.from_hex(text)
    assert "5ec4" not in "".join(traceback.format_exception(caught.value)).replace(f'"{text}"', "")


def secret_policies() -> list[SecurityPolicy]:
    other = Key(bytes(48))
    return [
        AuthPolicy(256, Key(SECRET), aaa_key=Key(SECRET)),
        EspPolicy(EspAssociation(256, Key(SECRET * 3)), EspAssociation(257, other)),
    ]


@pytest.mark.parametrize("policy", secret_policies(), ids=["auth", "esp"])
def test_nothing_that_holds_a_key_shows_it(policy: SecurityPolicy) -> None:
    settings = config({HOA: policy})
    node = MobileNodeConfig(HOA, HA, security=policy)
    for thing in (policy, asdict(policy), settings, settings.nodes, node, HomeAgent(settings, security=context())):
        assert not shows(repr(thing))
        assert not shows(str(thing))


@pytest.mark.parametrize("policy", secret_policies(), ids=["auth", "esp"])
def test_events_and_logs_of_an_exchange_show_no_key(policy: SecurityPolicy, caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair({HOA: policy})
    pair.register()
    (packet,) = pair.updates() or [b""]
    pair.deliver(packet, packet[:-1] + b"\0", packet)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r", pair.agent.events(), pair.node.events())
    assert not shows(caplog.text)


def test_settings_that_cannot_be_are_refused_with_what_to_do() -> None:
    key = Key(SECRET)
    for build, text in (
        (lambda: AuthPolicy(255, key), "SPI 255"),
        (lambda: AuthPolicy(2**32, key), "SPI 4294967296"),
        (lambda: AuthPolicy(256, Key(SECRET[:15])), "at least 16"),
        (lambda: AuthPolicy(256, key, aaa_key=Key(b"x")), "at least 16"),
        (lambda: AuthPolicy(256, key, window=3.0), "more than 3"),
        (lambda: AuthPolicy(256, key, b""), "1 to 254"),
        (lambda: EspAssociation(256, key), "needs 48"),
        (lambda: EspAssociation(256, key, EspAlgorithm.AES_256_GCM_16), "needs 36"),
        (lambda: replace(esp(), replay_window=100), "multiple of 64"),
        (lambda: EspPolicy(esp().from_node, replace(esp().to_node, key=esp().from_node.key)), "key of its own"),
        (lambda: HomeAgent(config({HOA: AUTH})), "SecurityContext"),
    ):
        with pytest.raises(ValueError, match=text) as caught:
            build()
        assert not shows(str(caught.value))


@pytest.mark.parametrize(
    ("algorithm", "octets"),
    list(zip(EspAlgorithm, (48, 64, 20, 36), strict=True)),
)
def test_key_lengths(algorithm: EspAlgorithm, octets: int) -> None:
    assert algorithm.key_octets == octets
    assert EspAssociation(256, Key(bytes(octets)), algorithm).algorithm is algorithm
