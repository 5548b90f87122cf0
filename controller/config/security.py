"""Security settings of the mobile nodes: from the keys of a ``[[node]]`` section to a policy of the engine.

No message of this module repeats a key, or a part of one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import hexdigits
from typing import Final, TypeAlias

from controller.config.checks import Finding
from controller.config.model import ConfigFile, NodeSection
from controller.mobility.address import Address
from controller.mobility.security.keys import Key
from controller.mobility.security.policy import (
    AUTH_KEY_OCTETS,
    DEFAULT_REPLAY_WINDOW,
    DEFAULT_TIMESTAMP_WINDOW,
    NO_SECURITY,
    AuthPolicy,
    EspAlgorithm,
    EspAssociation,
    EspPolicy,
    SecurityPolicy,
)

KEY_FILE_LIMIT: Final = 8192
"""Octets that are read of a key file."""

Policies: TypeAlias = Mapping[Address, SecurityPolicy]

_FIELDS: Final = {
    "none": frozenset[str](),
    "auth": frozenset(
        {"spi", "key", "key_file", "mn_id", "timestamp_window_s", "timestamps", "aaa_key", "aaa_key_file"}
    ),
    "esp": frozenset(
        {"spi", "key", "key_file", "reply_spi", "reply_key", "reply_key_file", "algorithm", "replay_window"},
    ),
}
"""Which settings go with each value of `security`."""
_ALL: Final = sorted(_FIELDS["auth"] | _FIELDS["esp"])


class _Unusable(Exception):  # noqa: N818 - not an error of the program: it carries what is wrong to the one place that reports
    """A setting of a node cannot be used."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def read_policies(config: ConfigFile, folder: Path) -> tuple[Policies, list[Finding]]:
    """Return the security policy of each home address, and what is wrong with the settings.

    Args:
        config: The configuration file.
        folder: Where paths of key files start.
    """
    policies: dict[Address, SecurityPolicy] = {}
    findings: list[Finding] = []
    for position, node in enumerate(config.node):
        try:
            policies[node.home_address] = _policy(node, folder)
        except _Unusable as error:
            findings.append((("node", position, error.field), str(error)))
    if not findings:
        findings += _shared(config, policies)
    return policies, findings


def read_policy(node: NodeSection, folder: Path) -> tuple[SecurityPolicy, list[Finding]]:
    """Return the security policy of one node, and what is wrong with its settings.

    Args:
        node: its section.
        folder: where paths of key files start.
    """
    try:
        return _policy(node, folder), []
    except _Unusable as error:
        return NO_SECURITY, [(("node", error.field), str(error))]


def _policy(node: NodeSection, folder: Path) -> SecurityPolicy:
    for field in _ALL:
        if getattr(node, field) is not None and field not in _FIELDS[node.security]:
            raise _Unusable(field, f"does not go with security = {node.security!r}: remove it")
    if node.security == "none":
        return NO_SECURITY
    spi = _required(node.spi, "spi", node)
    key = _key(node.key, node.key_file, "key", folder)
    try:
        if node.security == "auth":
            return _auth(node, spi, key, folder)
        algorithm = EspAlgorithm(node.algorithm or EspAlgorithm.AES_128_CBC_SHA_256)
        from_node = _association("key", spi, key, algorithm)
        reply_key = _key(node.reply_key, node.reply_key_file, "reply_key", folder)
        to_node = _association("reply_key", _required(node.reply_spi, "reply_spi", node), reply_key, algorithm)
        return EspPolicy(
            from_node, to_node, DEFAULT_REPLAY_WINDOW if node.replay_window is None else node.replay_window
        )
    except ValueError as error:
        raise _Unusable("security", str(error)) from None


def _auth(node: NodeSection, spi: int, key: Key, folder: Path) -> AuthPolicy:
    has_aaa = node.aaa_key is not None or node.aaa_key_file is not None
    aaa_key = _key(node.aaa_key, node.aaa_key_file, "aaa_key", folder) if has_aaa else None
    if aaa_key == key:
        raise _Unusable("aaa_key", "the same as key: the home agent and the AAA server have a key each")
    return AuthPolicy(
        spi,
        key,
        None if node.mn_id is None else node.mn_id.encode(),
        timestamps=node.timestamps is not False,
        window=node.timestamp_window_s or DEFAULT_TIMESTAMP_WINDOW,
        aaa_key=aaa_key,
    )


def _association(field: str, spi: int, key: Key, algorithm: EspAlgorithm) -> EspAssociation:
    try:
        return EspAssociation(spi, key, algorithm)
    except ValueError as error:
        raise _Unusable(field, str(error)) from None


def _required(value: int | None, field: str, node: NodeSection) -> int:
    if value is None:
        raise _Unusable(field, f"required with security = {node.security!r}, but not there")
    return value


def _key(inline: Key | None, file: str | None, field: str, folder: Path) -> Key:
    """Return a key that stands in the configuration or in a file of its own."""
    if (inline is None) == (file is None):
        raise _Unusable(
            field, f"give either {field} or {field}_file: hexadecimal digits here, or a file that holds them"
        )
    if inline is not None:
        return inline
    if file is not None and len(file) >= AUTH_KEY_OCTETS and not file.strip(hexdigits):
        raise _Unusable(f"{field}_file", f"holds a key instead of a path: put it into {field}")
    path = folder / str(file)
    try:
        with path.open("rb") as stream:
            octets = stream.read(KEY_FILE_LIMIT + 1)
    except OSError as error:
        raise _Unusable(f"{field}_file", f"{path} cannot be read: {error.strerror}") from None
    if len(octets) > KEY_FILE_LIMIT:
        raise _Unusable(f"{field}_file", f"{path} is longer than {KEY_FILE_LIMIT} octets: it holds more than a key")
    try:
        return Key.from_hex(octets.decode("ascii"))
    except UnicodeDecodeError:
        raise _Unusable(f"{field}_file", f"{path} holds something else than hexadecimal digits") from None
    except ValueError as error:
        raise _Unusable(f"{field}_file", f"{path}: {error}") from None


def _shared(config: ConfigFile, policies: Policies) -> Iterator[Finding]:
    """Yield what two nodes may not have in common: whoever has the key of a node can speak for it."""
    keys: list[tuple[Key, int]] = []
    inbound: dict[int, int] = {}
    for position, node in enumerate(config.node):
        policy = policies[node.home_address]
        own = _keys(policy)
        for key in own:
            other = next((where for known, where in keys if known == key), None)
            if other is not None:
                yield ("node", position, "key"), f"the same key as node[{other}]: each node could speak for the other"
                break
        keys += [(key, position) for key in own]
        if isinstance(policy, EspPolicy):
            spi = policy.from_node.spi
            if spi in inbound:
                yield ("node", position, "spi"), f"{spi} is already the SPI of node[{inbound[spi]}]"
            inbound.setdefault(spi, position)


def _keys(policy: SecurityPolicy) -> tuple[Key, ...]:
    if isinstance(policy, AuthPolicy):
        return (policy.key,)
    return (policy.from_node.key, policy.to_node.key) if isinstance(policy, EspPolicy) else ()
