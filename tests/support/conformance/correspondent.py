"""A mobile node that does return routability by hand, against a correspondent (RFC 6275 section 5.2)."""

import hashlib
import hmac
from random import Random

from conformance.harness import CN, COA1, HOA
from conformance.packets import (
    DESTINATION_OPTIONS,
    MOBILITY,
    Option,
    Seen,
    ipv6,
    lay_out,
    mobility,
    nonces,
    parse,
    raw_option,
    update,
    with_hao,
)
from controller.mobility.address import Address
from controller.mobility.correspondent import Correspondent

HOME_TEST_INIT, CARE_OF_TEST_INIT = 1, 2


def init(kind: int, source: bytes, *options: Option, cookie: bytes = b"cookie!!", peer: bytes = CN) -> bytes:
    """Return a Home Test Init (1) or Care-of Test Init (2) packet."""
    return ipv6(source, peer, MOBILITY, mobility(kind, bytes(2) + cookie + lay_out(options, 16), source, peer))


def key_of(home: bytes, care_of: bytes = b"") -> bytes:
    """Return the binding management key."""
    return hashlib.sha1(home + care_of).digest()


def authorised(body: bytes, key: bytes, care_of: bytes, home: bytes = HOA, peer: bytes = CN) -> bytes:
    """Return a Mobility Header (Binding Update) whose last 12 octets are the authenticator of the rest."""
    blank = mobility(5, body, home, peer)
    covered = blank[:4] + bytes(2) + blank[6:-12]
    proof = hmac.new(key, care_of + peer + covered, hashlib.sha1).digest()[:12]
    return mobility(5, body[:-12] + proof, home, peer)


class Peer:
    """A correspondent on a clock, and the tokens that a node got from it."""

    def __init__(self, max_bindings: int = 100) -> None:
        self.engine = Correspondent(frozenset({Address(CN)}), Random(6275).randbytes, max_bindings)
        self.now = 0.0
        self.sequence = 0

    def send(self, packet: bytes) -> list[Seen]:
        """Send a packet; return the answers."""
        self.engine.receive(packet, self.now)
        return [parse(one) for one in self.engine.outbox()]

    def token(self, kind: int, source: bytes) -> tuple[int, bytes]:
        """Return nonce index and token of a test from an address."""
        (answer,) = self.send(init(kind, source))
        assert (answer.kind, answer.destination, answer.payload[8:16]) == (kind + 2, source, b"cookie!!")
        assert answer.sound
        assert (answer.routing, answer.home) == (None, None)
        return int.from_bytes(answer.payload[6:8]), answer.payload[16:24]

    def tokens(self, care_of: bytes = COA1, home: bytes = HOA) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
        """Return both tests' results."""
        return self.token(HOME_TEST_INIT, home), self.token(CARE_OF_TEST_INIT, care_of)

    def update(
        self,
        *options: Option,
        care_of: bytes = COA1,
        lifetime: int = 60,
        flags: int = 0x8000,
        sequence: int | None = None,
        tokens: tuple[tuple[int, bytes], tuple[int, bytes]] | None = None,
        flaw: bool = False,
        home: bytes = HOA,
    ) -> list[Seen]:
        """Send a Binding Update with what return routability gave; return the answers. With `flaw` its key is wrong."""
        if sequence is None:
            self.sequence = sequence = self.sequence + 1
        (home_index, first), (care_of_index, second) = tokens or self.tokens(care_of, home)
        key = key_of(first, second) if lifetime else key_of(first)
        proof = raw_option(5, bytes(12), 8, 2)
        body = update(sequence, (*options, nonces(home_index, care_of_index), proof), flags=flags, lifetime=lifetime)
        header = authorised(body, key[::-1] if flaw else key, care_of if lifetime else home, home)
        return self.send(ipv6(care_of, CN, DESTINATION_OPTIONS, with_hao(home, MOBILITY, header)))

    def care_of(self, home: bytes = HOA) -> dict[int, bytes]:
        """Return the care-of address of each BID that the correspondent believes."""
        record = self.engine.record(Address(home), self.now)
        return {} if record is None else {one.bid: bytes(one.care_of) for one in record.bindings}
