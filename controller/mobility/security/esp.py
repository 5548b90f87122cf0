"""ESP in transport mode (RFC 4303) around an upper-layer message, with manual keys.

A `Transform` encrypts and proves one packet. An `EspSender` and an `EspReceiver` are the two ends of a security association,
with what has to be counted.
"""

import hmac
from collections.abc import Callable
from struct import Struct
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from controller.mobility.security.keys import Key
from controller.mobility.security.policy import EspAssociation
from controller.mobility.security.replay import ReplayWindow, to_ntp

HEADER: Final = Struct("!II")
"""SPI and sequence number (RFC 4303 section 2)."""
MAXIMUM_LENGTH: Final = 2048 + 16 + 256 + 2 + 16 + HEADER.size
"""Octets of the longest ESP packet that is looked at: a Mobility Header, IV, padding and its two octets, ICV."""
LAST_SEQUENCE: Final = 0xFFFFFFFF
_SEQUENCE_EPOCH: Final = 1_577_836_800
"""1 January 2020."""
_SEQUENCES_A_SECOND: Final = 4
"""More than a node sends: three Binding Updates in any second (RFC 6275 section 12). They last until 2054."""
_ICV: Final = 16
_BLOCK: Final = 16
_TRAILER: Final = 2
_PAD: Final = bytes(range(1, 256))
"""What padding consists of (RFC 4303 section 2.4)."""


class EspError(Exception):
    """A packet that is not what its security association protects."""


class SequenceExhaustedError(Exception):
    """A security association has sent its last number: a wrapped one would be a replay. It needs a new key."""


class Transform(Protocol):
    """What an algorithm does to one packet."""

    def seal(self, head: bytes, text: bytes) -> bytes:
        """Return IV, ciphertext and ICV of a padded text behind SPI and sequence number."""

    def open(self, head: bytes, body: bytes) -> bytes:
        """Return the padded text. Raises EspError when the ICV does not prove it."""

    def start(self, unix: float) -> None:
        """Hear when the sending end begins, in Unix time."""

    @property
    def block(self) -> int:
        """What the length of the padded text is a multiple of."""


class CbcTransform:
    """AES-CBC (RFC 3602) with HMAC-SHA-256-128 (RFC 4868)."""

    block: Final = _BLOCK

    def __init__(self, key: Key, cipher_octets: int, random_bytes: Callable[[int], bytes]) -> None:
        material = key.reveal()
        self._cipher: Final = AES(material[:cipher_octets])
        self._mac_key: Final = material[cipher_octets:]
        self._random_bytes: Final = random_bytes

    def start(self, unix: float) -> None:
        """Nothing depends on it."""

    def seal(self, head: bytes, text: bytes) -> bytes:
        """Return IV, ciphertext and ICV; the IV has to be unpredictable (RFC 3602 section 3)."""
        vector = self._random_bytes(_BLOCK)
        encryptor = Cipher(self._cipher, CBC(vector)).encryptor()
        body = vector + encryptor.update(text) + encryptor.finalize()
        return body + self._mac(head + body)

    def open(self, head: bytes, body: bytes) -> bytes:
        """Return the padded text; nothing is decrypted before the ICV is verified."""
        if len(body) < 2 * _BLOCK + _ICV or len(body) % _BLOCK:
            raise EspError("length")
        covered, icv = body[:-_ICV], body[-_ICV:]
        if not hmac.compare_digest(self._mac(head + covered), icv):
            raise EspError("integrity")
        decryptor = Cipher(self._cipher, CBC(covered[:_BLOCK])).decryptor()
        return decryptor.update(covered[_BLOCK:]) + decryptor.finalize()

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._mac_key, data, "sha256")[:_ICV]


class GcmTransform:
    """AES-GCM with an ICV of 16 octets (RFC 4106)."""

    block: Final = 4

    def __init__(self, key: Key, cipher_octets: int) -> None:
        material = key.reveal()
        self._cipher: Final = AESGCM(material[:cipher_octets])
        self._salt: Final = material[cipher_octets:]
        self._vector = 0

    def start(self, unix: float) -> None:
        """Count IVs from the time at which this end begins, in units of 2**-32 s.

        An IV must never come twice under one key (RFC 4106 section 3.1), which is why that RFC wants keys that do not outlive a
        restart. Manual keys do. Fewer units are used than pass, so a later start begins above all that were used.
        """
        self._vector = to_ntp(unix)

    def seal(self, head: bytes, text: bytes) -> bytes:
        """Return IV, ciphertext and ICV."""
        self._vector = (self._vector + 1) & 0xFFFFFFFFFFFFFFFF
        vector = self._vector.to_bytes(8)
        return vector + self._cipher.encrypt(self._salt + vector, text, head)

    def open(self, head: bytes, body: bytes) -> bytes:
        """Return the padded text."""
        if len(body) < 8 + self.block + _ICV or len(body) % self.block:
            raise EspError("length")
        try:
            return self._cipher.decrypt(self._salt + body[:8], body[8:], head)
        except InvalidTag:
            raise EspError("integrity") from None


def make_transform(association: EspAssociation, random_bytes: Callable[[int], bytes]) -> Transform:
    """Return the transform of a security association."""
    algorithm = association.algorithm
    if algorithm.is_gcm:
        return GcmTransform(association.key, algorithm.cipher_octets)
    return CbcTransform(association.key, algorithm.cipher_octets, random_bytes)


class EspSender:
    """The sending end of a security association."""

    def __init__(self, spi: int, transform: Transform, sequence: int | None = None) -> None:
        self.spi: Final = spi
        self._transform: Final = transform
        self._sequence = sequence

    def seal(self, message: bytes, protocol: int, unix: float) -> bytes:
        """Return the ESP packet, from SPI to ICV, that carries an upper-layer message.

        The first number of this end is taken from the clock, so that the other end's window accepts it though this end was
        restarted and has forgotten where it was. After that each packet has the next number (RFC 4303 section 3.3.3).

        Args:
            message: What to protect.
            protocol: Its IPv6 next header value.
            unix: Seconds since 1970, now.

        Raises:
            SequenceExhaustedError: all 2**32 - 1 numbers are used.
        """
        if self._sequence is None:
            self._sequence = max(0, int((unix - _SEQUENCE_EPOCH) * _SEQUENCES_A_SECOND))
            self._transform.start(unix)
        if self._sequence >= LAST_SEQUENCE:
            raise SequenceExhaustedError(f"the association with SPI {self.spi} has used all its sequence numbers")
        self._sequence += 1
        head = HEADER.pack(self.spi, self._sequence)
        padding = -(len(message) + _TRAILER) % self._transform.block
        text = message + _PAD[:padding] + bytes((padding, protocol))
        return head + self._transform.seal(head, text)


class EspReceiver:
    """The receiving end of a security association.

    Attributes:
        window: which sequence numbers have come.
    """

    def __init__(self, transform: Transform, window: int) -> None:
        self._transform: Final = transform
        self.window: Final = ReplayWindow(window)

    def open(self, packet: bytes) -> tuple[bytes, int]:
        """Return the upper-layer message of an ESP packet, and its protocol.

        The order is that of RFC 4303 section 3.4: number, integrity, and only then the window moves. So a packet that is not
        genuine changes nothing.

        Raises:
            EspError: it is too long, was seen before, or is not genuine. Its text is one of "length", "replay", "integrity",
                "padding".
        """
        if not HEADER.size < len(packet) <= MAXIMUM_LENGTH:
            raise EspError("length")
        _, sequence = HEADER.unpack_from(packet)
        if not self.window.is_fresh(sequence):
            raise EspError("replay")
        text = self._transform.open(packet[: HEADER.size], packet[HEADER.size :])
        self.window.note(sequence)
        padding, protocol = text[-_TRAILER], text[-1]
        end = len(text) - _TRAILER - padding
        if end < 0 or text[end:-_TRAILER] != _PAD[:padding]:
            raise EspError("padding")
        return text[:end], protocol
