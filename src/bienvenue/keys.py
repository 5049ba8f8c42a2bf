"""The key file: what signs and seals, kept outside the database.

The file holds one key a line, newest first, each 32 random bytes in hexadecimal. It is made on
the first start in the instance folder, readable by its owner only; several nodes share one file
named by `BIENVENUE_SECRET_KEY_FILE` (ASVS 13.3.1, 13.3.2). The newest key signs and seals, every
one verifies, until it is retired (ASVS 13.3.4). A running process sees a change within a second.
"""

import contextlib
import hashlib
import hmac
import itertools
import logging
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bienvenue.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LEAST = 32
"""Bytes of a key."""

LOOK_EVERY = 1.0
"""Seconds after which a running process looks again whether the key file changed."""

_NONCE = 12

_FEWEST_KINDS = 16
"""Different bytes among 32 random ones: fewer come once in 10**13 keys, and in every pattern."""

#: What people type where a secret is asked for; their digests are keys that attackers try.
_TYPED = ("", "secret", "changeme", "password", "bienvenue", "default", "test", "key", "dev")
_DIGESTS = {
    hashlib.sha256((typed + end).encode()).digest() for typed in _TYPED for end in ("", "\n")
}

_log = logging.getLogger("bienvenue")


class KeyProblem(Exception):
    """The key file is missing, unreadable or too weak; the message says which and what to do."""


class KeyRing:
    """The keys of one service. Only `mac` and `verify` touch them; their repr shows nothing."""

    def __init__(self, keys: list[bytes]) -> None:
        """Take the keys, newest first, each of 32 bytes or more."""
        if not keys or any(len(key) < LEAST for key in keys):
            raise KeyProblem("a key has fewer than 32 bytes")
        self._keys = keys

    def __repr__(self) -> str:
        """Show how many keys there are and nothing of them."""
        return f"<KeyRing of {len(self._keys)}>"

    def fingerprints(self) -> list[str]:
        """Give a short public name of each key, newest first; it tells nothing of the key."""
        return [_fingerprint(key) for key in self._current()]

    def mac(self, purpose: str, message: bytes) -> bytes:
        """Give the HMAC-SHA256 of a message under the newest key, bound to a purpose."""
        return _mac(self._current()[0], purpose, message)

    def lasting_mac(self, purpose: str, message: bytes) -> bytes:
        """Give a MAC under the oldest key, the same until that key is retired."""
        return _mac(self._current()[-1], purpose, message)

    def verify(self, purpose: str, message: bytes, mac: bytes) -> bool:
        """Tell in constant time whether any key of the ring made this MAC for this purpose."""
        made = [hmac.compare_digest(_mac(key, purpose, message), mac) for key in self._current()]
        return any(made)

    def seal(self, purpose: str, secret: bytes) -> bytes:
        """Encrypt a secret under the newest key, bound to a purpose, for `open` alone.

        AES-256-GCM with a random nonce of 12 bytes (NIST SP 800-38D; ASVS 11.3.2).
        """
        nonce = secrets.token_bytes(_NONCE)
        return nonce + _cipher(self._current()[0], purpose).encrypt(nonce, secret, None)

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Give a secret that any key of the ring sealed. Raises KeyProblem when none did."""
        for key in self._current():
            with contextlib.suppress(*_cannot_open()):
                return _cipher(key, purpose).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        raise KeyProblem("no key of the ring opens this: the key that sealed it was retired.")

    def _current(self) -> list[bytes]:
        return self._keys


class WatchedRing(KeyRing):
    """The keys of a file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises KeyProblem with what to do."""
        self._path = path
        self._seen = _stamp(path)
        self._looked = time.monotonic()
        super().__init__(_keys_in(path))

    def _current(self) -> list[bytes]:
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._look()
        return self._keys

    def _look(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = _keys_in(self._path)
        except KeyProblem as problem:
            _log.error("%s The keys read before stay in use.", problem)


def _mac(key: bytes, purpose: str, message: bytes) -> bytes:
    own = hmac.digest(key, f"bienvenue {purpose}".encode(), hashlib.sha256)
    return hmac.digest(own, message, hashlib.sha256)


def _cipher(key: bytes, purpose: str) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (loads slowly)

    return AESGCM(_mac(key, f"seal {purpose}", b""))


def _cannot_open() -> tuple[type[Exception], ...]:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (as above)

    # The other one is what is too short to have been sealed.
    return InvalidTag, ValueError


def _fingerprint(key: bytes) -> str:
    return _mac(key, "fingerprint", b"").hex()[:12]


def read(path: Path) -> KeyRing:
    """Read the key file, and again when it changes. Raises KeyProblem with what to do."""
    return WatchedRing(path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _keys_in(path: Path) -> list[bytes]:
    try:
        found = [bytes.fromhex(line) for line in path.read_text("ascii").split()]
    except (OSError, ValueError) as error:
        # A UnicodeDecodeError would repeat a byte of the file.
        why = error.strerror if isinstance(error, OSError) else "it is not written in hexadecimal"
        raise KeyProblem(f"cannot read the key file {path}: {why}.") from None
    weak = "it holds no key" if not found else next(filter(None, map(_weakness, found)), None)
    if weak is not None:
        raise KeyProblem(
            f"the key file {path} is too weak: {weak}. Each line is 64 hexadecimal digits, as "
            "`python3 -c 'import secrets; print(secrets.token_hex(32))'` prints them."
        )
    return found


def _weakness(key: bytes) -> str | None:
    """Say why a key could be guessed, or None. Random bytes are none of these, but by a wonder."""
    if len(key) < LEAST:
        return "a key has fewer than 32 bytes"
    if len(set(key)) < _FEWEST_KINDS:
        return "a key repeats the same few bytes"
    if len({(after - before) % 256 for before, after in itertools.pairwise(key)}) == 1:
        return "a key counts up or down"
    if all(0x20 <= byte < 0x7F for byte in key):  # noqa: PLR2004 (the printable characters of ASCII)
        return "a key is text"
    return "a key is the digest of a word" if key in _DIGESTS else None


def of(settings: Settings) -> KeyRing:
    """Give the keys of a service, making them on its first start. Raises KeyProblem."""
    path = file_of(settings)
    return read_or_make(path) if settings.core.secret_key_file is None else read(path)


def file_of(settings: Settings) -> Path:
    """Name the key file of a service. Raises KeyProblem where nodes must share one and do not."""
    if settings.on_postgresql and settings.core.secret_key_file is None:
        raise KeyProblem(
            "several nodes may share this database, so they must share their keys: name the file "
            "with BIENVENUE_SECRET_KEY_FILE"
        )
    return settings.key_file


def read_or_make(path: Path) -> KeyRing:
    """Read the key file, making it first when there is none; two nodes starting at once agree."""
    if not path.exists():
        try:
            _make(path)
        except OSError as error:
            raise KeyProblem(f"cannot make the key file {path}: {error.strerror}") from None
    return read(path)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link is made whole or not at all, and never over a key that another node made.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()


def rotate(path: Path) -> str:
    """Put a new key above those of the file and return its fingerprint. Raises KeyProblem."""
    with _held(path) as held:
        new = secrets.token_bytes(LEAST)
        _replace(held, [new, *_keys_in(held)])
    return _fingerprint(new)


def retire(path: Path, fingerprint: str) -> None:
    """Take an older key out of the file. Raises KeyProblem for the newest and for no key of it."""
    with _held(path) as held:
        found = _keys_in(held)
        if fingerprint == _fingerprint(found[0]):
            raise KeyProblem(
                "this is the newest key, which signs and seals: run `bienvenue keys rotate` first"
            )
        kept = [key for key in found if _fingerprint(key) != fingerprint]
        if len(kept) == len(found):
            raise KeyProblem(
                f"the key file {path} has no key {fingerprint!r}: `bienvenue keys list` names them"
            )
        _replace(held, kept)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[Path]:
    """Hold the key file against other commands that change it; give the file a link leads to."""
    import fcntl  # noqa: PLC0415 (not every system has it, and only changing keys needs it)

    try:
        held = path.resolve(strict=True)
        while True:
            file = os.open(held, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # Whoever held it before has put another file in its place: that one is the lock.
                if os.fstat(file).st_ino == held.stat().st_ino:
                    yield held
                    return
            finally:
                os.close(file)
    except OSError as error:
        raise KeyProblem(f"cannot change the key file {path}: {error.strerror}.") from None


def _replace(path: Path, found: list[bytes]) -> None:
    """Write the file anew, whole or not at all, for the same owner and with the same rights."""
    old = path.stat()
    handle, draft = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write("".join(f"{key.hex()}\n" for key in found))
            file.flush()
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # The new name outlives a loss of power too.
        os.fsync(folder)
    finally:
        os.close(folder)
