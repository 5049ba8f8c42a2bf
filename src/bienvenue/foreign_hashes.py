"""Password hashes of other systems: what each is, what it costs, and whether a password fits it.

`read` parses a hash and refuses it beyond a bound before any work is done, so a hash that was
brought along cannot hold a processor or its memory. Comparing is left to libraries: hashlib,
bcrypt, and, with `bienvenue[import]`, argon2-cffi and libpass (sha-crypt).

Work is counted in units of a *family*, such as iterations of PBKDF2, and every family can do a
number of units for nothing: that is how a failure of one hash is made to cost what any failure
costs (`Hasher.verify`).
"""

import base64
import binascii
import hashlib
import hmac
import importlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import bcrypt

LONGEST = 512
"""Characters of a hash that are read and stored."""

BCRYPT_BYTES = 72
"""Bytes bcrypt reads; other systems cut a password there in silence."""

LIKE_OURS = "nfc"
"""How this service takes a password: NFC, and bytes beyond 72 count."""

_EXTRA = "needs pip install 'bienvenue[import]'"
_NOTHING: Mapping[str, bytes] = {}
_MARK = re.compile(r"(typed|nfkc|nfkd|flask_security):(.*)", re.DOTALL)


class UnreadableHash(Exception):
    """A hash that no password can be compared with; the message says why and holds none of it."""


# --- what it costs ------------------------------------------------------------------------------


class Family(NamedTuple):
    """An algorithm whose work can be counted and repeated."""

    #: Units one hash may cost: about a second of a processor.
    most: int
    #: Do so many units for nothing.
    spend: Callable[[int], None]


def _spend_bcrypt(rounds: int) -> None:
    # 2**c + 2**(c+1) + … + 2**(C-1) is 2**C - 2**c: the powers of two in a number add up to it.
    for cost in _powers(rounds, at_least=_LOWEST_BCRYPT):
        bcrypt.hashpw(b"", f"$2b${cost:02}$".encode() + b"." * 22)


def _spend_pbkdf2(digest: str) -> Callable[[int], None]:
    return lambda iterations: void(hashlib.pbkdf2_hmac(digest, b"", b"salt", iterations))


def _spend_scrypt(blocks: int) -> None:
    for power in _powers(blocks // 8, at_least=1):
        _scrypt(b"", b"salt", 2**power, 8, 1, 32)


def _spend_argon2(kibibytes: int) -> None:
    while kibibytes >= _LEAST_MEMORY:
        memory = min(kibibytes, 2**16)
        _argon2(b"", b"saltsalt", "id", 19, memory, 1, 1, 32)
        kibibytes -= memory


def _spend_sha_crypt(digest: str) -> Callable[[int], None]:
    def spend(rounds: int) -> None:
        if rounds >= _LEAST_ROUNDS:
            _sha_crypt(digest, b"", "salt", rounds)

    return spend


def _spend_md5(rounds: int) -> None:
    _md5(b"", b"", rounds)


def _powers(number: int, at_least: int) -> list[int]:
    """Give the powers of two that add up to a number, without those below 2**at_least."""
    return [power for power in range(at_least, number.bit_length()) if number >> power & 1]


def void(_: object) -> None:
    """Drop what a computation gave that was done for its cost."""


_LOWEST_BCRYPT = 4
_LEAST_MEMORY = 8  # KiB for each lane; argon2 takes no less
_MOST_LANES = 32  # threads that a comparison may start
_LEAST_ROUNDS = 1000  # sha-crypt takes no less
_MOST_MEMORY = 2**18  # KiB, which is 256 MiB
_SHORTEST = 16  # bytes; what a shorter hash fits is found by trying
_HIGHEST_EXPONENT = 31

FAMILIES: Mapping[str, Family] = {
    "bcrypt": Family(2**16, _spend_bcrypt),
    "pbkdf2-sha1": Family(4_000_000, _spend_pbkdf2("sha1")),
    "pbkdf2-sha256": Family(3_000_000, _spend_pbkdf2("sha256")),
    "pbkdf2-sha512": Family(2_000_000, _spend_pbkdf2("sha512")),
    "scrypt": Family(2**21, _spend_scrypt),
    "argon2": Family(2**20, _spend_argon2),
    "sha256-crypt": Family(1_000_000, _spend_sha_crypt("sha256")),
    "sha512-crypt": Family(1_000_000, _spend_sha_crypt("sha512")),
    "md5": Family(2**19, _spend_md5),
}
"""The units: rounds, iterations, N·r·p, KiB times passes, rounds, rounds of MD5."""

HIGHEST_BCRYPT = 14
"""The cost up to which a bcrypt hash of another system is read."""


# --- what it is ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredHash:
    """A hash as it was read; comparing is all the work there is."""

    #: What it is, for people.
    system: str
    #: The family its work belongs to; None where there is next to none.
    family: str | None
    #: Units of the family that one comparison does, whatever it finds.
    units: int
    #: Tells whether a password, in the bytes the system made of it, is the one.
    fits: Callable[[bytes], bool] = field(repr=False)
    #: How the bytes are made of a text.
    text: Callable[[str], bytes] = field(repr=False, default=str.encode)

    def matches(self, password: str) -> bool:
        """Tell whether a password is the one."""
        return self.fits(self.text(password))


def split(stored: str) -> tuple[str, str]:
    """Part what the database keeps into how the password is taken, and the hash.

    The mark stands there only on hashes that were brought along.
    """
    found = _MARK.fullmatch(stored)
    return (found[1], found[2]) if found else (LIKE_OURS, stored)


def read(hashed: str, text: str = LIKE_OURS, keys: Mapping[str, bytes] = _NOTHING) -> StoredHash:
    """Read a hash of another system, doing none of its work.

    `text` is how that system took the text of a password: a name in `TEXTS`, which see; `keys`
    holds what it added. Raises UnreadableHash.
    """
    taken = text_of(text, keys)
    if len(hashed) > LONGEST - len("flask_security:"):
        raise UnreadableHash("is too long")
    for pattern, reader in _FORMATS:
        if found := re.fullmatch(pattern, hashed, re.ASCII):
            try:
                stored = reader(*found.groups())
            except (ValueError, binascii.Error):
                raise UnreadableHash("is malformed") from None
            _refuse_cost(stored)
            return replace(stored, text=taken)
    raise UnreadableHash("is of no known form")


def _refuse_cost(stored: StoredHash) -> None:
    if stored.family is None:
        return
    if not stored.units:
        raise UnreadableHash("is malformed")
    if stored.units > FAMILIES[stored.family].most:
        raise UnreadableHash("costs too much to be compared with")


def refuse_memory(kibibytes: int) -> None:
    """Raise UnreadableHash for a hash that needs more memory than one may."""
    if kibibytes > _MOST_MEMORY:
        raise UnreadableHash("needs too much memory to be compared with")


def _refuse_cut(wanted: bytes, length: int) -> None:
    """Raise ValueError for a hash that lost its end, which many passwords would fit."""
    if len(wanted) != length or length < _SHORTEST:
        raise ValueError


# --- the text of a password ---------------------------------------------------------------------

TEXTS: Mapping[str, str] = {
    "typed": "as it was typed; what nearly every system does",
    "nfc": "brought to NFC, as this service does",
    "nfkc": "brought to NFKC",
    "nfkd": "brought to NFKD",
    "flask_security": "Flask-Security's HMAC under its SECURITY_PASSWORD_SALT, over NFKD",
}
"""How a system makes bytes of a password before it hashes them."""


def text_of(name: str, keys: Mapping[str, bytes]) -> Callable[[str], bytes]:
    """Give what makes the bytes of a password. Raises UnreadableHash."""
    if name == "typed":
        return str.encode
    if name == "flask_security":
        if name not in keys:
            raise UnreadableHash("needs BIENVENUE_FLASK_SECURITY_PASSWORD_SALT")
        return lambda password: base64.b64encode(
            hmac.digest(keys[name], _normal("NFKD", password), "sha512")
        )
    form: Any = name.upper()
    return lambda password: _normal(form, password)


def _normal(form: Any, password: str) -> bytes:
    return unicodedata.normalize(form, password).encode()


# --- the formats --------------------------------------------------------------------------------
# Each reader takes the parts of a hash and raises ValueError where they make no sense.


def _bcrypt(system: str, hashed: str, made: Callable[[bytes], bytes]) -> StoredHash:
    cost = int(hashed[4:6])
    if cost < _LOWEST_BCRYPT:
        raise ValueError
    if cost > HIGHEST_BCRYPT:
        raise UnreadableHash("costs too much to be compared with")
    wanted = hashed.encode()

    def fits(password: bytes) -> bool:
        return hmac.compare_digest(bcrypt.hashpw(made(password)[:BCRYPT_BYTES], wanted), wanted)

    return StoredHash(system, "bcrypt", 2**cost, fits)


def _same(password: bytes) -> bytes:
    return password


def _sha256_hex(password: bytes) -> bytes:
    return hashlib.sha256(password).hexdigest().encode()


def _sha256_b64(password: bytes) -> bytes:
    return base64.b64encode(hashlib.sha256(password).digest())


def _plain_bcrypt(hashed: str) -> StoredHash:
    return _bcrypt("bcrypt", hashed, _same)


def _django_bcrypt(hashed: str) -> StoredHash:
    return _bcrypt("Django bcrypt", hashed, _same)


def _django_bcrypt_sha256(hashed: str) -> StoredHash:
    return _bcrypt("Django bcrypt_sha256", hashed, _sha256_hex)


def _passlib_bcrypt_sha256(ident: str, cost: str, salt: str, tail: str) -> StoredHash:
    hashed = f"${ident}${int(cost):02}${salt}{tail}"
    return _bcrypt("passlib bcrypt_sha256", hashed, _sha256_b64)


def _passlib_bcrypt_sha256_v2(cost: str, salt: str, tail: str) -> StoredHash:
    hashed = f"$2b${int(cost):02}${salt}{tail}"

    def keyed(password: bytes) -> bytes:
        return base64.b64encode(hmac.digest(salt.encode(), password, "sha256"))

    return _bcrypt("passlib bcrypt_sha256", hashed, keyed)


def _pbkdf2(
    system: str, digest: str, rounds: str, salt: bytes, wanted: bytes, length: int | None = None
) -> StoredHash:
    iterations, size = int(rounds), hashlib.new(digest).digest_size
    _refuse_cut(wanted, length or size)

    def fits(password: bytes) -> bool:
        made = hashlib.pbkdf2_hmac(digest, password, salt, iterations, len(wanted))
        return hmac.compare_digest(made, wanted)

    units = iterations * -(-len(wanted) // size)
    return StoredHash(system, f"pbkdf2-{digest}", units, fits)


def _werkzeug_pbkdf2(digest: str, rounds: str, salt: str, wanted: str) -> StoredHash:
    return _pbkdf2("Werkzeug pbkdf2", digest, rounds, salt.encode(), bytes.fromhex(wanted))


def _django_pbkdf2(digest: str, rounds: str, salt: str, wanted: str) -> StoredHash:
    return _pbkdf2(f"Django pbkdf2_{digest}", digest, rounds, salt.encode(), _b64(wanted))


def _passlib_pbkdf2(digest: str | None, rounds: str, salt: str, wanted: str) -> StoredHash:
    return _pbkdf2("passlib pbkdf2", digest or "sha1", rounds, _b64(salt), _b64(wanted))


def _kratos_pbkdf2(digest: str, rounds: str, size: str, salt: str, wanted: str) -> StoredHash:
    return _pbkdf2("Kratos pbkdf2", digest, rounds, _b64(salt), _b64(wanted), int(size))


def _scrypt_hash(
    system: str,
    parameters: tuple[int, int, int],
    salt: bytes,
    wanted: bytes,
    length: int,
    made: Callable[[bytes], bytes] = _same,
) -> StoredHash:
    n, r, p = parameters
    if n <= 1 or n & (n - 1) or not r or not p:
        raise ValueError
    _refuse_cut(wanted, length)
    refuse_memory(max(n, p) * r // 8)

    def fits(password: bytes) -> bool:
        return hmac.compare_digest(made(_scrypt(password, salt, n, r, p, len(wanted))), wanted)

    return StoredHash(system, "scrypt", n * r * p, fits)


def _scrypt(password: bytes, salt: bytes, n: int, r: int, p: int, size: int) -> bytes:
    room = 128 * r * (n + p + 2) + 2**16
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=room, dklen=size)


def _werkzeug_scrypt(n: str, r: str, p: str, salt: str, wanted: str) -> StoredHash:
    numbers = int(n), int(r), int(p)
    return _scrypt_hash("Werkzeug scrypt", numbers, salt.encode(), bytes.fromhex(wanted), 64)


def _django_scrypt(n: str, salt: str, r: str, p: str, wanted: str) -> StoredHash:
    return _scrypt_hash("Django scrypt", (int(n), int(r), int(p)), salt.encode(), _b64(wanted), 64)


def _phc_scrypt(ln: str, r: str, p: str, salt: str, wanted: str) -> StoredHash:
    # passlib writes the exponent of N; Kratos writes N itself under the same name.
    n, system = int(ln), "Kratos scrypt"
    if n <= _HIGHEST_EXPONENT:
        n, system = 2**n, "passlib scrypt"
    return _scrypt_hash(system, (n, int(r), int(p)), _b64(salt), _b64(wanted), 32)


def _better_auth(salt: str, wanted: str) -> StoredHash:
    # The salt is the text and not the bytes it spells; the password is brought to NFKC.
    made = _scrypt_hash("Better Auth", (2**14, 16, 1), salt.encode(), bytes.fromhex(wanted), 64)
    return replace(made, fits=lambda password: made.fits(_normal("NFKC", password.decode())))


def _firebase(ln: str, r: str, salt: str, wanted: str, separator: str, signer: str) -> StoredHash:
    # The derived key encrypts the project's signer key, which stands in the hash as Kratos has it.
    key = _b64(signer)

    def encrypt(derived: bytes) -> bytes:
        ciphers: Any = importlib.import_module("cryptography.hazmat.primitives.ciphers")
        aes, ctr = ciphers.algorithms.AES(derived[:32]), ciphers.modes.CTR(bytes(16))
        return bytes(ciphers.Cipher(aes, ctr).encryptor().update(key))

    seasoned = _b64(salt) + _b64(separator)
    parameters = 2 ** int(ln), int(r), 1
    return _scrypt_hash("Firebase", parameters, seasoned, _b64(wanted), len(key), encrypt)


def _argon2_hash(
    kind: str, version: str | None, m: str, t: str, p: str, salt: str, wanted: str
) -> StoredHash:
    memory, time, lanes = int(m), int(t), int(p)
    seasoned, made = _b64(salt), _b64(wanted)
    if not time or not 0 < lanes <= _MOST_LANES or memory < _LEAST_MEMORY * lanes:
        raise ValueError
    if len(made) < _SHORTEST or not seasoned:
        raise ValueError
    refuse_memory(memory)
    _library("argon2.low_level")

    def fits(password: bytes) -> bool:
        found = _argon2(
            password, seasoned, kind, int(version or 16), memory, time, lanes, len(made)
        )
        return hmac.compare_digest(found, made)

    return StoredHash(f"argon2{kind}", "argon2", memory * time, fits)


def _argon2(
    password: bytes,
    salt: bytes,
    kind: str,
    version: int,
    memory: int,
    time: int,
    lanes: int,
    size: int,
) -> bytes:
    low = _library("argon2.low_level")
    types = {"d": low.Type.D, "i": low.Type.I, "id": low.Type.ID}
    try:
        made = low.hash_secret_raw(password, salt, time, memory, lanes, size, types[kind], version)
    except importlib.import_module("argon2.exceptions").HashingError:
        raise ValueError from None
    return bytes(made)


def _sha_crypt_hash(ident: str, rounds: str | None, salt: str, wanted: str) -> StoredHash:
    digest, length = {"5": ("sha256", 43), "6": ("sha512", 86)}[ident]
    if len(wanted) != length:
        raise ValueError
    _library("passlib.hash")
    # Fewer than a thousand rounds are a thousand, says the scheme.
    units = max(int(rounds or 5000), _LEAST_ROUNDS)

    def fits(password: bytes) -> bool:
        return hmac.compare_digest(_sha_crypt(digest, password, salt, units), wanted)

    return StoredHash(f"{digest}-crypt", f"{digest}-crypt", units, fits)


def _sha_crypt(digest: str, password: bytes, salt: str, rounds: int) -> str:
    scheme = getattr(_library("passlib.hash"), f"{digest}_crypt")
    return str(scheme.using(salt=salt, rounds=rounds).hash(password)).rpartition("$")[2]


def _phpass(power: str, salt: str, wanted: str) -> StoredHash:
    rounds = 2 ** _H64.index(power)

    def fits(password: bytes) -> bool:
        return hmac.compare_digest(_h64(_md5(password, salt.encode(), rounds)), wanted)

    return StoredHash("phpass", "md5", rounds, fits)


def _md5(password: bytes, salt: bytes, rounds: int) -> bytes:
    made = hashlib.md5(salt + password).digest()  # noqa: S324 (as the other system did)
    for _ in range(rounds):
        made = hashlib.md5(made + password).digest()  # noqa: S324 (as above)
    return made


def _ssha(size: str | None, rest: str) -> StoredHash:
    digest = f"sha{size or 1}"
    raw, length = _b64(rest), hashlib.new(digest).digest_size
    wanted, salt = raw[:length], raw[length:]
    if not salt:
        raise ValueError

    def fits(password: bytes) -> bool:
        return hmac.compare_digest(hashlib.new(digest, password + salt).digest(), wanted)

    return StoredHash(f"LDAP SSHA{size or ''}", None, 0, fits)


_H64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _h64(raw: bytes) -> str:
    """Write bytes in phpass's own base64, whose groups begin with the lowest bits."""
    made = ""
    for begin in range(0, len(raw), 3):
        group = raw[begin : begin + 3]
        number = int.from_bytes(group, "little")
        made += "".join(_H64[number >> 6 * n & 63] for n in range(len(group) + 1))
    return made


def _b64(text: str) -> bytes:
    """Read base64 with or without its padding, and passlib's, which has a full stop for a plus."""
    plain = text.replace(".", "+").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UnreadableHash(_EXTRA) from None


_NUMBER = r"(\d{1,10})"
_BASE64 = r"([A-Za-z0-9+/.]+={0,2})"
_BCRYPT = r"(\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53})"
_TWO = rf"\${_BASE64}\${_BASE64}"
_TAIL = r"([./A-Za-z0-9]{22})\$([./A-Za-z0-9]{31})"

_FORMATS: list[tuple[str, Callable[..., StoredHash]]] = [
    (_BCRYPT, _plain_bcrypt),
    (rf"bcrypt\${_BCRYPT}", _django_bcrypt),
    (rf"bcrypt_sha256\${_BCRYPT}", _django_bcrypt_sha256),
    (rf"\$bcrypt-sha256\$(2[aby]),(\d{{1,2}})\${_TAIL}", _passlib_bcrypt_sha256),
    (rf"\$bcrypt-sha256\$v=2,t=2b,r=(\d{{1,2}})\${_TAIL}", _passlib_bcrypt_sha256_v2),
    (rf"pbkdf2:(sha1|sha256|sha512):{_NUMBER}\$([^$]+)\$([0-9a-f]+)", _werkzeug_pbkdf2),
    (rf"scrypt:{_NUMBER}:{_NUMBER}:{_NUMBER}\$([^$]+)\$([0-9a-f]+)", _werkzeug_scrypt),
    (rf"pbkdf2_(sha1|sha256)\${_NUMBER}\$([^$]+)\${_BASE64}", _django_pbkdf2),
    (rf"scrypt\${_NUMBER}\$([^$]+)\${_NUMBER}\${_NUMBER}\${_BASE64}", _django_scrypt),
    (rf"\$pbkdf2(?:-(sha256|sha512))?\${_NUMBER}\${_BASE64}\${_BASE64}", _passlib_pbkdf2),
    (
        rf"\$pbkdf2-(sha1|sha256|sha512)\$i={_NUMBER},l={_NUMBER}\${_BASE64}\${_BASE64}",
        _kratos_pbkdf2,
    ),
    (rf"\$scrypt\$ln={_NUMBER},r={_NUMBER},p={_NUMBER}\${_BASE64}\${_BASE64}", _phc_scrypt),
    (r"([0-9a-f]{32}):([0-9a-f]{128})", _better_auth),
    (
        rf"\$firescrypt\$ln=(\d{{1,2}}),r={_NUMBER},p=1\${_BASE64}\${_BASE64}\${_BASE64}\${_BASE64}",
        _firebase,
    ),
    (
        rf"(?:argon2)?\$argon2(id|i|d)(?:\$v=(16|19))?\$m={_NUMBER},t={_NUMBER},p={_NUMBER}{_TWO}",
        _argon2_hash,
    ),
    (
        r"\$([56])\$(?:rounds=(\d{1,9})\$)?([./A-Za-z0-9]{1,16})\$([./A-Za-z0-9]{43}|[./A-Za-z0-9]{86})",
        _sha_crypt_hash,
    ),
    (r"\$[PH]\$([5-9A-H])([./A-Za-z0-9]{8})([./A-Za-z0-9]{22})", _phpass),
    (rf"\{{SSHA(256|512)?\}}{_BASE64}", _ssha),
]
