"""Hashing: how a password becomes the hash that the database stores, and how both are compared.

bcrypt reads 72 bytes. A password of at most 72 bytes is hashed as it is, so hashes of other systems
verify; a longer one uses the published `$bcrypt-sha256$v=2` form: HMAC-SHA256 keyed with the
salt, in base64, then bcrypt. Text is NFC first (NIST SP 800-63B-4 section 3.1.1.2), so that one
passphrase typed on two keyboards is one password. A hash that was brought along from another
system is compared as that system did (`foreign_hashes`).

Every failed comparison costs what the configured cost costs, and besides that the dearest hash of
every family of foreign ones that the database holds, whatever is stored and whether there is an
account at all (ASVS 6.3.8).
"""

import base64
import enum
import hashlib
import hmac
import logging
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

import bcrypt

from bienvenue import foreign_hashes
from bienvenue.foreign_hashes import FAMILIES, StoredHash, UnreadableHash

LONGEST = foreign_hashes.BCRYPT_BYTES
LOWEST_COST, HIGHEST_COST = 4, 16
NO_PASSWORD = "!"  # noqa: S105 (what stands where there is none)

_PLAIN = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}")
_LONG = re.compile(
    r"\$bcrypt-sha256\$v=2,t=2b,r=(\d{1,2})\$([./A-Za-z0-9]{22})\$([./A-Za-z0-9]{31})"
)
_NONE: Mapping[str, int] = MappingProxyType({})
_NO_KEYS: Mapping[str, bytes] = MappingProxyType({})
_log = logging.getLogger("bienvenue.hashing")


class Match(enum.Enum):
    """The result of comparing a password with a stored hash."""

    NO = "no"
    YES = "yes"
    #: It matches, and a hash of today's form and cost should replace the stored one.
    OUTDATED = "outdated"


class Hasher:
    """Hashes and compares at one cost. Every bcrypt of ours passes through `_bcrypt`."""

    def __init__(self, cost: int = 12, keys: Mapping[str, bytes] = _NO_KEYS) -> None:
        """Take the cost: bcrypt does 2**cost rounds; 12 takes about a quarter of a second.

        `keys` are what other systems added to passwords, by the name of the text they belong to.
        """
        if not LOWEST_COST <= cost <= HIGHEST_COST:
            raise ValueError(f"a bcrypt cost is from {LOWEST_COST} to {HIGHEST_COST}")
        self.cost = cost
        self._keys = keys

    def hash(self, password: str) -> bytes:
        """Return the salted hash to store. Raises UnicodeEncodeError for a lone surrogate."""
        secret = _secret(password)
        salt = bcrypt.gensalt(self.cost)
        return _bcrypt(secret, salt) if len(secret) <= LONGEST else _long(secret, salt)

    def verify(self, password: str, stored: str, dearest: Mapping[str, int] = _NONE) -> Match:
        """Compare a password with a stored hash; a hash that cannot be read matches no password.

        `dearest` says what a failure costs besides our own hash: units by family.
        """
        done: dict[str, int] = {}
        try:
            found = self.read(stored)
            fits = found.matches(password)
        except UnreadableHash as reason:
            _log.error("a stored hash %s; the account cannot sign in with a password", reason)
        except ValueError:
            # The form is right and bcrypt still refuses the salt.
            _log.error("a stored hash is malformed; the account cannot sign in with a password")
        else:
            if fits:
                ours = isinstance(found, _OwnHash) and found.units >= 2**self.cost
                return Match.YES if ours else Match.OUTDATED
            if found.family is not None:
                done[found.family] = found.units
        self._top_up(done, dearest)
        return Match.NO

    def read(self, stored: str) -> StoredHash:
        """Read what is stored, computing nothing. Raises UnreadableHash."""
        if found := _PLAIN.fullmatch(stored):
            return _own(int(found[1]), stored)
        if found := _LONG.fullmatch(stored):
            return _own(int(found[1]), stored, f"$2b${int(found[1]):02}${found[2]}".encode())
        text, hashed = foreign_hashes.split(stored)
        return foreign_hashes.read(hashed, text, self._keys)

    def pretend(self, password: str, dearest: Mapping[str, int] = _NONE) -> None:
        """Cost what a comparison that fails costs, for an account that is not there."""
        _secret(password)
        self._top_up({}, dearest)

    def _top_up(self, done: Mapping[str, int], dearest: Mapping[str, int]) -> None:
        """Do what is missing of a failure's work.

        An older, lower cost is topped up to exactly what a failure costs today, so that a failure
        shows neither the account's age nor where it came from.
        """
        due = dict(dearest) | {"bcrypt": max(2**self.cost, dearest.get("bcrypt", 0))}
        for family, units in due.items():
            rest = min(units, FAMILIES[family].most) - done.get(family, 0)
            if rest > 0:
                FAMILIES[family].spend(rest)


class _OwnHash(StoredHash):
    """A hash in one of our two forms."""


def _own(cost: int, stored: str, long_salt: bytes | None = None) -> StoredHash:
    if not LOWEST_COST <= cost <= HIGHEST_COST:
        raise UnreadableHash("is malformed" if cost < LOWEST_COST else "costs too much")
    wanted = stored.encode()

    def fits(secret: bytes) -> bool:
        if long_salt is not None:
            return hmac.compare_digest(_long(secret, long_salt), wanted)
        # bcrypt takes no more, and what other versions cut would be another password.
        made = _bcrypt(secret[:LONGEST], wanted)
        return hmac.compare_digest(made, wanted) and len(secret) <= LONGEST

    return _OwnHash("bcrypt", "bcrypt", 2**cost, fits, _secret)


def _bcrypt(secret: bytes, salt: bytes) -> bytes:
    return bcrypt.hashpw(secret, salt)


def _long(secret: bytes, salt: bytes) -> bytes:
    """Return the `$bcrypt-sha256$v=2` form; a raw digest could hold NUL bytes and be shucked."""
    tail = salt[7:29]
    short = base64.b64encode(hmac.digest(tail, secret, hashlib.sha256))
    made = _bcrypt(short, salt)
    return b"$bcrypt-sha256$v=2,t=2b,r=%d$%b$%b" % (int(salt[4:6]), tail, made[29:])


def _secret(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode()
