"""Hashing: how a password becomes the hash that the database stores, and how both are compared.

bcrypt reads 72 bytes. A password of at most 72 bytes is hashed as it is, so hashes of other systems
verify; a longer one uses the published `$bcrypt-sha256$v=2` form: HMAC-SHA256 keyed with the
salt, in base64, then bcrypt. Text is NFC first (NIST SP 800-63B-4 section 3.1.1.2), so that one
passphrase typed on two keyboards is one password.

Every failed comparison costs what the configured cost costs, whatever is stored and whether there
is an account at all (ASVS 6.3.8).
"""

import base64
import enum
import hashlib
import hmac
import importlib
import logging
import re
import unicodedata
from typing import Any

import bcrypt

LONGEST = 72
LOWEST_COST, HIGHEST_COST = 4, 16
NO_PASSWORD = "!"  # noqa: S105 (what stands where there is none)

_PLAIN = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}")
_LONG = re.compile(
    r"\$bcrypt-sha256\$v=2,t=2b,r=(\d{1,2})\$([./A-Za-z0-9]{22})\$([./A-Za-z0-9]{31})"
)
_FOREIGN = ["argon2", "scrypt", "pbkdf2_sha512", "pbkdf2_sha256", "django_pbkdf2_sha256"]
_log = logging.getLogger("bienvenue.hashing")


class Match(enum.Enum):
    """The result of comparing a password with a stored hash."""

    NO = "no"
    YES = "yes"
    #: It matches, and a hash of today's form and cost should replace the stored one.
    OUTDATED = "outdated"


class Hasher:
    """Hashes and compares at one cost. Every bcrypt computation passes through `_bcrypt`."""

    def __init__(self, cost: int = 12) -> None:
        """Take the cost: bcrypt does 2**cost rounds; 12 takes about a quarter of a second."""
        if not LOWEST_COST <= cost <= HIGHEST_COST:
            raise ValueError(f"a bcrypt cost is from {LOWEST_COST} to {HIGHEST_COST}")
        self.cost = cost

    def hash(self, password: str) -> bytes:
        """Return the salted hash to store. Raises UnicodeEncodeError for a lone surrogate."""
        secret = _secret(password)
        salt = bcrypt.gensalt(self.cost)
        return _bcrypt(secret, salt) if len(secret) <= LONGEST else _long(secret, salt)

    def verify(self, password: str, stored: str) -> Match:
        """Compare a password with a stored hash; a hash that cannot be read matches no password."""
        secret = _secret(password)
        try:
            if found := _PLAIN.fullmatch(stored):
                return self._verify_plain(secret, stored.encode(), int(found[1]))
            if found := _LONG.fullmatch(stored):
                salt = f"$2b${int(found[1]):02}${found[2]}".encode()
                return self._judge(_long(secret, salt), stored.encode(), int(found[1]))
        except ValueError:
            # The form is right and bcrypt still refuses the salt.
            _log.error("a stored hash is malformed; the account cannot sign in with a password")
        else:
            if stored != NO_PASSWORD and _foreign(password, stored):
                return Match.OUTDATED
        self.pretend(password)
        return Match.NO

    def pretend(self, password: str) -> None:
        """Cost as much as a comparison, for an account that does not exist."""
        self._burn(_secret(password), self.cost)

    def _verify_plain(self, secret: bytes, stored: bytes, cost: int) -> Match:
        if len(secret) > LONGEST:
            self._burn(secret, self.cost)
            return Match.NO
        _refuse_cost(cost)
        return self._judge(_bcrypt(secret, stored), stored, cost)

    def _judge(self, made: bytes, stored: bytes, cost: int) -> Match:
        if hmac.compare_digest(made, stored):
            return Match.OUTDATED if cost < self.cost else Match.YES
        # 2**c + (2**c + 2**(c+1) + … + 2**(C-1)) is 2**C: a failure at an old, lower cost is
        # topped up to exactly what a failure costs today, so it does not show the account's age.
        for rest in range(cost, self.cost):
            self._burn(made, rest)
        return Match.NO

    @staticmethod
    def _burn(secret: bytes, cost: int) -> None:
        salt = f"$2b${cost:02}$".encode() + b"." * 22
        _bcrypt(secret, salt) if len(secret) <= LONGEST else _long(secret, salt)


def _refuse_cost(cost: int) -> None:
    if cost > HIGHEST_COST:
        raise ValueError("the stored cost would hold a processor for minutes")


def _bcrypt(secret: bytes, salt: bytes) -> bytes:
    return bcrypt.hashpw(secret, salt)


def _long(secret: bytes, salt: bytes) -> bytes:
    """Return the `$bcrypt-sha256$v=2` form; a raw digest could hold NUL bytes and be shucked."""
    _refuse_cost(int(salt[4:6]))
    tail = salt[7:29]
    short = base64.b64encode(hmac.digest(tail, secret, hashlib.sha256))
    made = _bcrypt(short, salt)
    return b"$bcrypt-sha256$v=2,t=2b,r=%d$%b$%b" % (int(salt[4:6]), tail, made[29:])


def _secret(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode()


def _foreign(password: str, stored: str) -> bool:
    """Tell whether another system's hash verifies; needs the extra `bienvenue[import]`."""
    context = _foreign_context()
    if context is None or context.identify(stored) is None:
        _log.error("a stored hash is of no known form; the account cannot sign in with a password")
        return False
    try:
        return bool(context.verify(_secret(password), stored))
    except (ValueError, TypeError):
        return False


def _foreign_context() -> Any:
    try:
        return importlib.import_module("passlib.context").CryptContext(schemes=_FOREIGN)
    except ImportError:
        return None
