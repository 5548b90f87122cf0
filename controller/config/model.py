"""The sections of a configuration file: every key is a field here, and the text below a field says what it means."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from controller.config.endpoint import Endpoint, parse_endpoint
from controller.dataplane.pipeline import MAX_TUNNEL_MTU
from controller.dataplane.planner import DEFAULT_TUNNEL_MTU
from controller.fabric import discovery, hellos
from controller.fabric.fields import AddressField, Ipv4Field, PrefixField
from controller.fabric.statics import REPORT_RATE, SIGNALLING_RATE
from controller.fabric.topology import Name
from controller.mobility.security.keys import Key

DEFAULT_LISTEN: Final = "127.0.0.1:8181"
"""Where the REST northbound listens when the file does not say."""


def _parse_key(value: object) -> Key:
    if not isinstance(value, str):
        raise ValueError("not a key: it has to be hexadecimal digits in quotes")  # noqa: TRY004 - pydantic reports no TypeError
    return Key.from_hex(value)


KeyField = Annotated[Key, PlainValidator(_parse_key)]
Spi: TypeAlias = Annotated[int, Field(ge=256, le=0xFFFFFFFF)]
Algorithm: TypeAlias = Literal[
    "aes-128-cbc-hmac-sha-256",
    "aes-256-cbc-hmac-sha-256",
    "aes-128-gcm-16",
    "aes-256-gcm-16",
]
"""The values of `mobility.security.policy.EspAlgorithm`."""
EndpointField = Annotated[Endpoint, PlainValidator(parse_endpoint)]
Target: TypeAlias = Literal["embedded", "bmv2", "tofino", "tofino2"]
"""Kinds of switch: the one that comes with this package, BMv2's simple_switch_grpc, and Stratum on one of the chips."""


class _Section(BaseModel):
    # Strict: `open = 1` or `max_lifetime = "60"` is a mistake to report, not a value to guess.
    # The input of a field may be a key: it stays out of every error.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def _require_offset(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no offset from UTC: write 2027-01-31T12:00:00Z, or +01:00 at the end")
    return value


class ControllerSection(_Section):
    """``[controller]``: the process itself."""

    state: str = "mcoa.sqlite3"
    """Path of the state database, relative to this file. Its directory must exist."""
    durability: Literal["power-loss", "crash"] = "power-loss"
    """What an acknowledged registration outlives. ``power-loss``: everything, so each waits for the disk. ``crash``: the end of the
    controller, however it comes; with the machine's power the last moments may be lost, and those nodes register anew."""
    grace_period_s: Annotated[float, Field(ge=0, le=60)] = 1.0
    """How long a replaced care-of address is still accepted as outer source of packets under way, in seconds."""
    batch_window_s: Annotated[float, Field(ge=0, le=1)] = 0.005
    """How long registrations may wait for more to be stored and programmed with them, in seconds, where the last ones came several at a
    time and fewer than those have come: a lone one never waits. 0: none does on purpose."""
    batch_limit: Annotated[int, Field(ge=1, le=1000)] = 256
    """At most so many registrations are stored and programmed together."""
    quorum: Literal["all", "majority", "any"] = "all"
    """Which anchors have to confirm a registration before it is acknowledged: every one in service, more than half of those that
    are configured, or one. With too few in service registrations get status 130."""
    audit_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """Seconds between two comparisons of a switch's tables with what they should hold; what differs is repaired. 0: only when a
    switch connects, and after a repair."""
    journal: str | None = None
    """Path of a ring file, relative to this file, that keeps the updates sent to switches, for `mcoa replay`. None: kept nowhere."""
    journal_mib: Annotated[int, Field(ge=1, le=65_536)] = 64
    """Size of that file in MiB; the oldest updates make room for new ones."""
    hello_interval_s: Annotated[float, Field(ge=0, le=60)] = hellos.INTERVAL
    """Seconds between two hellos (LLDP frames) on each link between two P4 switches; 0: none, and a link that carries nothing is not
    noticed as long as its switches answer."""
    hello_misses: Annotated[int, Field(ge=2, le=100)] = hellos.MISSES
    """Hellos in a row that did not come, either way, when paths lead around a link."""
    hello_hold_s: Annotated[float, Field(ge=0, le=3600)] = hellos.HOLD
    """Seconds for which every hello has to come before paths take such a link again."""
    neighbour_reachable_s: Annotated[float, Field(ge=0.1, le=3600)] = discovery.REACHABLE_TIME
    """How long the answer of a neighbour with `discover` in the topology file is good, in seconds, times 0.5 to 1.5 (RFC 4861)."""


class NetworkSection(_Section):
    """``[[home_agent.networks]]``: a home network and the home agent address that serves it."""

    prefix: PrefixField
    """The home network's prefix. The topology file must know it."""
    home_agent: AddressField
    """The home agent address, inside of the prefix (RFC 6275 section 10.1)."""
    open: bool = False
    """Whether every home address inside of the prefix may register; otherwise only those of a ``[[node]]``."""
    link: Literal["virtual", "real"] = "virtual"
    """``real``: the topology's home link has other hosts on it, so the home agent tests a home address before it binds it, and
    answers for it while its node is away. ``virtual``: nobody else can be there."""
    duplicate_detection: bool = True
    """On a real link: test an address before its first binding (RFC 6275 section 10.3.1); it costs that registration a second."""
    home_binding: Literal["refuse", "ndp", "static"] = "refuse"
    """On a real link: how a node may be at home and away at once (RFC 5648 section 5.6). ``refuse``: not at all, status 169;
    ``ndp``: it answers its neighbours itself, status 0; ``static``: the home agent goes on answering for it, status 5."""
    valid_until: Annotated[datetime, AfterValidator(_require_offset)] | None = None
    """When the prefix ends, with its offset from UTC; no binding outlives it (RFC 6275 section 10.3.1). None: never."""
    preferred_until: Annotated[datetime, AfterValidator(_require_offset)] | None = None
    """When it is deprecated: what goes on beyond is answered with status 1, and nodes ask for prefixes. None: never."""
    preference: Annotated[int, Field(ge=-32768, le=32767)] = 0
    """Of this home agent among others of the network, high is good, for dynamic discovery (RFC 6275 section 7.4)."""


class HomeAgentSection(_Section):
    """``[home_agent]``: rules for registrations."""

    networks: Annotated[list[NetworkSection], Field(min_length=1)]
    """The home networks, at least one."""
    max_lifetime: Annotated[int, Field(ge=4, le=262_140, multiple_of=4)] = 3600
    """Longest lifetime that is granted, in seconds; a multiple of 4 (RFC 6275 section 6.1.8)."""
    max_bindings: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    """Most bindings in the cache, all nodes together, remembered sequence numbers included; more get status 130."""
    max_flows: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    """Most flow bindings that nodes signal, all nodes together; the options of more get status 129 (RFC 6089)."""
    source_rate: Annotated[float, Field(ge=0, le=1_000_000)] = 200.0
    """Packets a second that are taken from one source address; 0: as many as come."""
    source_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 400
    """How many of them at once."""
    max_sources: Annotated[int, Field(ge=1, le=1_000_000)] = 65_536
    """Source addresses whose rate is remembered."""
    max_in_flight: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Nodes whose registration may be under way at a time; Binding Updates of others are dropped then, and come again."""
    error_rate: Annotated[float, Field(gt=0, le=100_000)] = 10.0
    """Binding Error and ICMPv6 error messages a second (RFC 6275 section 9.3.3, RFC 4443 section 2.4)."""
    error_burst: Annotated[int, Field(ge=1, le=100_000)] = 20
    """How many of them at once."""
    refresh_requests: bool = False
    """Whether nodes are asked to refresh at three quarters of the lifetime (RFC 6275 section 6.1.2, RFC 5648 section 6.4)."""
    refresh_advice: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the lifetime after which acknowledgements advise to refresh (RFC 6275 section 6.2.4); 0: no advice."""
    prefix_discovery: bool = True
    """Whether Mobile Prefix Solicitations are answered and changes of home prefixes advertised (RFC 6275 section 10.6)."""
    home_care_of_removes: bool = False
    """Whether a Binding Update without BID whose care-of address is the home address removes, as RFC 3775 had it."""
    any_update_ends_home: bool = False
    """Whether any Binding Update without H flag ends a home binding, as RFC 5648 section 5.6.5 can be read; otherwise one for the
    same BID, or with the O flag, or its removal does."""
    correspondent: bool = False
    """Whether mobile nodes may register with the home agent as a correspondent too (RFC 6275 section 9)."""
    heartbeat: bool = False
    """Whether Heartbeat messages are answered (RFC 5847)."""
    signalling_rate: Annotated[int, Field(ge=1, le=1_000_000)] = SIGNALLING_RATE.per_second
    """Packets a second, for each home agent address and protocol, that a switch may hand to the controller."""
    signalling_burst: Annotated[int, Field(ge=1, le=1_000_000)] = SIGNALLING_RATE.burst
    """How many of them at once."""
    report_rate: Annotated[int, Field(ge=1, le=1_000_000)] = REPORT_RATE.per_second
    """Packets a second that a switch may hand up for an ICMPv6 error, for each kind of error."""
    report_burst: Annotated[int, Field(ge=1, le=1_000_000)] = REPORT_RATE.burst
    """How many of them at once."""
    tunnel_mtu: Annotated[int, Field(ge=1280, le=MAX_TUNNEL_MTU)] = DEFAULT_TUNNEL_MTU
    """Octets of the longest packet that goes into a tunnel whole; of longer ones the source hears (RFC 2473 section 7)."""
    ipv4: Ipv4Field | None = None
    """The home agent's IPv4 address: where ICMPv4 errors about packets for IPv4 home addresses come from. Without it they come from
    192.0.0.8, as from a router that has none (RFC 7600 section 4.8)."""


class NodeSection(_Section):
    """``[[node]]``: a mobile node that may register."""

    home_address: AddressField
    """Inside of a home network."""
    home_ipv4: Ipv4Field | None = None
    """An IPv4 home address too: its packets go where those of `home_address` go, while the node has a binding. The node has to know
    it; it is not signalled (RFC 5555)."""
    multiple_care_of: bool = True
    """Whether it may register several care-of addresses (RFC 5648)."""
    bulk: bool = True
    """Whether it may register several in one Binding Update."""
    max_bindings: Annotated[int, Field(ge=1, le=255)] = 8
    """Most bindings it may have at a time."""
    flows: bool = True
    """Whether it may signal flow bindings (RFC 6089)."""
    max_flows: Annotated[int, Field(ge=1, le=1024)] = 32
    """Most flow bindings it may have at a time."""
    per_bid_sequences: bool = False
    """Whether each of its BIDs has a sequence number of its own, as implementations of the drafts of RFC 5648 have it. With `auth` or
    `esp` only while replays are found without them."""
    rates_kbps: dict[
        Annotated[int, Field(ge=1, le=65535, strict=False)], Annotated[int, Field(ge=8, le=100_000_000)]
    ] = {}
    """BID to kilobits a second that go to the node by that BID, Ethernet headers included; a BID without a rate: as many as come."""
    prefixes: list[PrefixField] = []
    """Mobile network prefixes that it may register (RFC 3963); only with `mobile_router`."""
    mobile_router: bool = False
    """Whether it may register as a mobile router."""
    security: Literal["none", "auth", "esp"] = "none"
    """How it proves that the home address is its own: not at all, by RFC 4285 authenticators, or by ESP with manual keys."""
    spi: Spi | None = None
    """With `auth`, the mobility SPI; with `esp`, the SPI from the node to the home agent, different for each node."""
    key: KeyField | None = None
    """The key of that SPI, in hexadecimal. With `auth` 16 octets or more; with `esp` what the algorithm asks for."""
    key_file: str | None = None
    """Instead of `key`: path of a file that holds it, relative to this file."""
    mn_id: Annotated[str, Field(min_length=1, max_length=254)] | None = None
    """With `auth`: the node's network access identifier (RFC 4283), as in ``mn1@example.com``; it may name no other."""
    timestamp_window_s: Annotated[float, Field(gt=3, le=3600)] | None = None
    """With `auth`: by how many seconds the node's clock may differ; 7 (RFC 4285 section 6)."""
    timestamps: bool | None = None
    """With `auth`: whether each Binding Update has to carry a timestamp against replay; true (RFC 4285 section 6)."""
    aaa_key: KeyField | None = None
    """With `auth`: key of a second authenticator that is required too, that of MN-AAA (RFC 4285 section 5.2), in hexadecimal."""
    aaa_key_file: str | None = None
    """Instead of `aaa_key`: path of a file that holds it, relative to this file."""
    algorithm: Algorithm | None = None
    """With `esp`: the key is the AES key, then 32 octets for HMAC or 4 of salt for GCM. ``aes-128-cbc-hmac-sha-256``."""
    reply_spi: Spi | None = None
    """With `esp`: the SPI from the home agent to the node."""
    reply_key: KeyField | None = None
    """With `esp`: the key of that SPI, in hexadecimal; another one than `key`."""
    reply_key_file: str | None = None
    """Instead of `reply_key`: path of a file that holds it, relative to this file."""
    replay_window: Annotated[int, Field(ge=0, le=8192, multiple_of=64)] | None = None
    """With `esp`: by how many sequence numbers a packet may come late, 0 to accept any, also replays; 1024."""


class SwitchSection(_Section):
    """``[[switch]]``: a switch to control. What is left out is taken from the topology file."""

    name: Name
    """Its name in the topology file."""
    address: EndpointField | None = None
    """Its P4Runtime server, host:port."""
    device_id: Annotated[int, Field(ge=1, le=2**64 - 1)] | None = None
    """Its P4Runtime device id."""
    target: Target | None = None
    """Its kind."""
    program: str | None = None
    """Folder, relative to this file, of the program that it is to run, as a compiler wrote it, P4Info included. None: that of this
    package, which there is for ``embedded`` and ``bmv2``."""
    p4info: str | None = None
    """Instead of `program`: the P4Info, as text; with `pipeline`."""
    pipeline: str | None = None
    """What goes to the switch beside it: the file that `mcoa p4 pack` writes; for ``embedded`` and ``bmv2`` p4c's JSON."""
    copy_port: Annotated[int, Field(ge=0, le=511)] | None = None
    """By which port copies of a packet begin their second pass through the switch, as its program has it. None: 510, the port of the
    controller; on ``tofino`` 68, on ``tofino2`` 6, the recirculation ports of the first pipe."""
    role: Annotated[str, Field(max_length=64)] = ""
    """P4Runtime role to ask for; empty: full access. Only where the target knows roles."""
    takeover: bool = True
    """Bid higher than another controller that is primary when we connect; otherwise stand by until there is none."""
    foreign: Literal["remove", "adopt"] = "remove"
    """What becomes of entries that somebody else put there. Adopted entries stay and are reported; in tables that bindings are
    in, foreign entries are removed in any case."""
    ca: str | None = None
    """PEM file, relative to this file, of the authority that signed the switch's certificate: TLS. None: no encryption."""
    certificate: str | None = None
    """PEM file of the controller's own certificate, for a switch that asks for one; with `private_key`."""
    private_key: str | None = None
    """PEM file of the key of `certificate`."""


class TopologySection(_Section):
    """``[topology]``: the network around the switches."""

    file: str
    """Path of the topology file, relative to this file."""


class NorthboundSection(_Section):
    """``[northbound]``: the REST server."""

    listen: EndpointField = parse_endpoint(DEFAULT_LISTEN)
    """host:port; port 0 takes any free one."""
    allow_remote: bool = False
    """Must be set to listen without TLS on an address that other machines reach: tokens would travel in the clear."""
    tokens: str = "mcoa-tokens.json"
    """Path of the file that holds the hashes of bearer tokens, relative to this file; `mcoa token` makes and fills it."""
    anonymous: Literal["none", "viewer", "operator", "admin"] = "none"
    """What requests without a token may do. Anything but ``none`` trusts everybody who can reach the server."""
    certificate: str | None = None
    """Path of the server's certificate chain in PEM, relative to this file; with `private_key`: TLS."""
    private_key: str | None = None
    """Path of the private key in PEM."""
    dashboard: bool = False
    """Serve the dashboard under ``/dashboard``. Needs the extra: ``pip install 'mcoa[dashboard]'``."""
    requests_per_second: Annotated[float, Field(ge=0, le=1_000_000)] = 1000.0
    """Requests a second for each token; more get status 429. 0: as many as come."""
    requests_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    """How many of them at once."""


class OpenFlowSection(_Section):
    """``[openflow]``: transit switches of kind ``openflow`` in the topology."""

    listen: EndpointField = parse_endpoint("127.0.0.1:6653")
    """host:port where they connect to."""


class ConfigFile(_Section):
    """A whole configuration file."""

    controller: ControllerSection = ControllerSection()
    home_agent: HomeAgentSection
    node: list[NodeSection] = []
    switch: list[SwitchSection] = []
    """The switches to control; none: every switch of the topology file."""
    topology: TopologySection
    northbound: NorthboundSection = NorthboundSection()
    openflow: OpenFlowSection = OpenFlowSection()
