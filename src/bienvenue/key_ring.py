"""The key ring: what is signed and encrypted with the keys of a service, and for which purpose.

The newest key signs and encrypts; every key verifies and decrypts until it is retired (ASVS
13.3.4). A retired key still verifies the batches of the audit log up to its retirement, and nothing
else. No key is used as it is: each purpose has a key of its own, derived from it.
"""

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bienvenue import purposes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_LENGTH = 32
"""Bytes of a key at least, and of a key that is derived from it."""

_NONCE = 12

_FINGERPRINT = "fingerprint"


class KeyProblem(Exception):
    """A key or its file is missing, unreadable or too weak; the message says what to do."""


@dataclass(frozen=True)
class RetiredKey:
    """A key that verifies the batches of the audit log up to `last_batch`, and nothing else."""

    key: bytes = field(repr=False)
    last_batch: int


class KeyRing:
    """The keys of one service, newest first. Its repr shows nothing of them."""

    def __init__(self, keys: Sequence[bytes], retired: Sequence[RetiredKey] = ()) -> None:
        """Take the keys, newest first, each of 32 bytes or more. Raises KeyProblem."""
        if not keys or any(len(key) < KEY_LENGTH for key in keys):
            raise KeyProblem("a key has fewer than 32 bytes")
        self._keys = list(keys)
        self._retired = list(retired)

    def __repr__(self) -> str:
        """Show how many keys there are and nothing of them."""
        return f"<KeyRing of {len(self._keys)}>"

    def fingerprints(self) -> list[str]:
        """Return a short public name of each key, newest first; it tells nothing of the key."""
        return [fingerprint(key) for key in self._current()]

    def retired(self) -> list[tuple[str, int]]:
        """Return the fingerprint of each retired key and the last batch it verifies."""
        self._current()
        return [(fingerprint(each.key), each.last_batch) for each in self._retired]

    def reread(self) -> None:
        """Read the keys again where they come from a file, before one of them seals a batch."""

    def mac(self, purpose: str, message: bytes) -> bytes:
        """Return the HMAC-SHA256 of a message under the newest key, bound to a purpose."""
        return _mac(self._current()[0], purpose, message)

    def lasting_mac(self, purpose: str, message: bytes) -> bytes:
        """Return a MAC under the oldest key, the same until that key is retired."""
        return _mac(self._current()[-1], purpose, message)

    def verify(self, purpose: str, message: bytes, mac: bytes) -> bool:
        """Tell in constant time whether any key of the ring made this MAC for this purpose."""
        made = [hmac.compare_digest(_mac(key, purpose, message), mac) for key in self._current()]
        return any(made)

    def verify_batch(self, purpose: str, number: int, message: bytes, mac: bytes) -> bool:
        """Tell whether a key of the ring, or one retired after this batch, made its MAC.

        Only the number counts: the time of a batch is text that a leaked key can sign.
        """
        if self.verify(purpose, message, mac):
            return True
        made = [
            hmac.compare_digest(_mac(each.key, purpose, message), mac)
            for each in self._retired
            if number <= each.last_batch
        ]
        return any(made)

    def encrypt(self, purpose: str, secret: bytes) -> bytes:
        """Encrypt a secret under the newest key, bound to a purpose, for `decrypt` alone.

        AES-256-GCM with a random nonce of 12 bytes (NIST SP 800-38D; ASVS 11.3.2).
        """
        nonce = secrets.token_bytes(_NONCE)
        return nonce + _cipher(self._current()[0], purpose).encrypt(nonce, secret, None)

    def decrypt(self, purpose: str, encrypted: bytes) -> bytes:
        """Return the secret that a key of the ring encrypted. Raises KeyProblem when none did."""
        for key in self._current():
            with contextlib.suppress(*_cannot_decrypt()):
                return _cipher(key, purpose).decrypt(encrypted[:_NONCE], encrypted[_NONCE:], None)
        raise KeyProblem("no key of the ring decrypts this: the key that encrypted it was retired.")

    def _current(self) -> list[bytes]:
        return self._keys


def fingerprint(key: bytes) -> str:
    """Return the short public name of a key: 12 hexadecimal digits that tell nothing of it."""
    return _mac(key, _FINGERPRINT, b"").hex()[:12]


def _mac(key: bytes, purpose: str, message: bytes) -> bytes:
    of_first = purpose == _FINGERPRINT or purposes.is_of_first_version(purpose)
    own = _first_derivation(key, purpose) if of_first else _derived(key, f"mac {purpose}")
    return hmac.digest(own, message, hashlib.sha256)


def _cipher(key: bytes, purpose: str) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (loads slowly)

    if purposes.is_of_first_version(purpose):
        own = hmac.digest(_first_derivation(key, f"seal {purpose}"), b"", hashlib.sha256)
    else:
        own = _derived(key, f"encrypt {purpose}")
    return AESGCM(own)


def _first_derivation(key: bytes, use: str) -> bytes:
    """Derive a key as the first version does, for the purposes whose values are stored."""
    return hmac.digest(key, f"bienvenue {use}".encode(), hashlib.sha256)


def _derived(key: bytes, use: str) -> bytes:
    """Derive the key of one use from a key of the ring (HKDF-SHA256, RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 (as above)
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 (as above)

    return HKDF(SHA256(), KEY_LENGTH, salt=None, info=f"bienvenue {use}".encode()).derive(key)


def _cannot_decrypt() -> tuple[type[Exception], ...]:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (as above)

    # ValueError: the text is too short to be encrypted at all.
    return InvalidTag, ValueError
