"""The key file: the keys of a service, kept outside the database.

The file holds one key a line, newest first, each 32 random bytes in hexadecimal. The first start
makes it in the instance folder, readable by its owner only; several nodes share one file, named by
`BIENVENUE_SECRET_KEY_FILE` (ASVS 13.3.1, 13.3.2). A running process sees a change within a second.
"""

import contextlib
import hashlib
import itertools
import logging
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bienvenue.key_ring import KEY_LENGTH, KeyProblem, KeyRing, fingerprint
from bienvenue.settings import Settings

CHECK_EVERY = 1.0
"""Seconds after which a running process checks again whether the key file changed."""

_FEWEST_KINDS = 16
"""Different bytes among 32 random ones: fewer come once in 10**13 keys, and in every pattern."""

#: What people type where a secret is expected; attackers try the digests of these words as keys.
_WORDS = ("", "secret", "changeme", "password", "bienvenue", "default", "test", "key", "dev")
_DIGESTS = {hashlib.sha256((word + end).encode()).digest() for word in _WORDS for end in ("", "\n")}

_log = logging.getLogger("bienvenue")


class WatchedRing(KeyRing):
    """The keys of a file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises KeyProblem with what to do."""
        self._path = path
        self._seen = _stamp(path)
        self._checked = time.monotonic()
        super().__init__(_keys_in(path))

    def _current(self) -> list[bytes]:
        now = time.monotonic()
        if now - self._checked >= CHECK_EVERY:
            self._checked = now
            self._read_changes()
        return self._keys

    def _read_changes(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = _keys_in(self._path)
        except KeyProblem as problem:
            _log.error("%s The keys read before stay in use.", problem)


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
    """Return why a key could be guessed, or None; a random key passes but once in 10**13."""
    if len(key) < KEY_LENGTH:
        return "a key has fewer than 32 bytes"
    if len(set(key)) < _FEWEST_KINDS:
        return "a key repeats the same few bytes"
    if len({(after - before) % 256 for before, after in itertools.pairwise(key)}) == 1:
        return "a key counts up or down"
    if all(0x20 <= byte < 0x7F for byte in key):  # noqa: PLR2004 (the printable characters of ASCII)
        return "a key is text"
    return "a key is the digest of a word" if key in _DIGESTS else None


def of(settings: Settings) -> KeyRing:
    """Return the keys of a service, making them on its first start. Raises KeyProblem."""
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
        # Linking is atomic, and never replaces a key that another node made.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()


def rotate(path: Path) -> str:
    """Put a new key above those of the file and return its fingerprint. Raises KeyProblem."""
    with _locked(path) as file:
        new = secrets.token_bytes(KEY_LENGTH)
        _replace(file, [new, *_keys_in(file)])
    return fingerprint(new)


def retire(path: Path, name: str) -> None:
    """Take the older key of this fingerprint out of the file.

    Raises KeyProblem for the newest key, and for a fingerprint that no key of the file has.
    """
    with _locked(path) as file:
        found = _keys_in(file)
        if name == fingerprint(found[0]):
            raise KeyProblem(
                "this is the newest key, which signs and encrypts: "
                "run `bienvenue keys rotate` first"
            )
        kept = [key for key in found if fingerprint(key) != name]
        if len(kept) == len(found):
            raise KeyProblem(
                f"the key file {path} has no key {name!r}: `bienvenue keys list` names them"
            )
        _replace(file, kept)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Lock the key file against other commands that change it; yield the file behind a link."""
    import fcntl  # noqa: PLC0415 (not every system has it, and only changing keys needs it)

    try:
        held = path.resolve(strict=True)
        while True:
            file = os.open(held, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                # The command that held the lock replaced the file: the new file is the lock.
                if os.fstat(file).st_ino == held.stat().st_ino:
                    yield held
                    return
            finally:
                os.close(file)
    except OSError as error:
        raise KeyProblem(f"cannot change the key file {path}: {error.strerror}.") from None


def _replace(path: Path, found: list[bytes]) -> None:
    """Replace the file, whole or not at all, with the same owner and permissions."""
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
