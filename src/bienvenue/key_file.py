"""The key file: the keys of a service, kept outside the database.

The file holds one key a line, newest first, each 32 random bytes in hexadecimal. A retired key
stays, with the last batch of the audit log that it verifies: `<key> retired after batch 12`. The
first start makes the file in the instance folder, readable by its owner only; several nodes share
one file, named by `BIENVENUE_SECRET_KEY_FILE` (ASVS 13.3.1, 13.3.2). A running process sees a
change within a second.
"""

import contextlib
import hashlib
import itertools
import logging
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bienvenue.key_ring import KEY_LENGTH, KeyProblem, KeyRing, RetiredKey, fingerprint
from bienvenue.settings import Settings

CHECK_EVERY = 1.0
"""Seconds after which a running process checks again whether the key file changed."""

_FEWEST_KINDS = 16
"""Different bytes among 32 random ones: fewer come once in 10**13 keys, and in every pattern."""

#: What people type where a secret is expected; attackers try the digests of these words as keys.
_WORDS = ("", "secret", "changeme", "password", "bienvenue", "default", "test", "key", "dev")
_DIGESTS = {hashlib.sha256((word + end).encode()).digest() for word in _WORDS for end in ("", "\n")}

_LINE = re.compile(r"([0-9a-fA-F]+)(?: retired after batch ([1-9][0-9]{0,9}))?", re.ASCII)

_NEW = "`bienvenue keys new FILE` makes a good one, for BIENVENUE_SECRET_KEY_FILE to name."

_log = logging.getLogger("bienvenue")


class WatchedRing(KeyRing):
    """The keys of a file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises KeyProblem with what to do."""
        self._path = path
        self._seen = _stamp(path)
        self._checked = time.monotonic()
        super().__init__(*_keys_in(path))

    def reread(self) -> None:
        """Look at the file now, and not only once a second."""
        self._checked = time.monotonic()
        self._read_changes()

    def _current(self) -> list[bytes]:
        if time.monotonic() - self._checked >= CHECK_EVERY:
            self.reread()
        return self._keys

    def _read_changes(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys, self._retired = _keys_in(self._path)
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


def _keys_in(path: Path) -> tuple[list[bytes], list[RetiredKey]]:
    """Return the keys of the file, newest first, and the retired ones. Raises KeyProblem."""
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines() if line.strip()]
        found = [_LINE.fullmatch(line) for line in lines]
        read = [(bytes.fromhex(one[1]), int(one[2] or 0)) for one in found if one is not None]
    except (OSError, ValueError) as error:
        # A UnicodeDecodeError would repeat a byte of the file.
        if isinstance(error, OSError):
            raise KeyProblem(f"cannot read {_named(path)}: {error.strerror}. {_NEW}") from None
        lines, read = [""], []
    if len(read) < len(lines):
        raise KeyProblem(f"cannot read {_named(path)}: a line is no key in hexadecimal. {_NEW}")
    keys = [key for key, last in read if not last]
    weak = "it holds no key" if not keys else None
    weak = weak or next(filter(None, (_weakness(key) for key, _ in read)), None)
    if weak is not None:
        raise KeyProblem(
            f"{_named(path)} is too weak: {weak}. Each line is 64 hexadecimal digits: {_NEW}"
        )
    return keys, [RetiredKey(key, last) for key, last in read if last]


def _named(path: Path) -> str:
    """Name the key file; a path that leads nowhere may be a key that was set in its place."""
    return f"the key file {path}" if os.path.lexists(path) else "the key file"


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
            "several nodes may share this database, so they must share their keys: make one file "
            "with `bienvenue keys new FILE`, and name it with BIENVENUE_SECRET_KEY_FILE"
        )
    return settings.key_file


def read_or_make(path: Path) -> KeyRing:
    """Read the key file, making it first when there is none; two nodes starting at once agree."""
    if not path.exists():
        # Another node made it meanwhile: its keys are as good.
        with contextlib.suppress(FileExistsError):
            _make(path)
    return read(path)


def new(path: Path) -> str:
    """Make a key file with its first key and return the fingerprint. Raises KeyProblem.

    A file that exists is never replaced: its keys verify and decrypt what no other key does.
    """
    try:
        return fingerprint(_make(path))
    except FileExistsError:
        raise KeyProblem(
            f"the key file {path} exists already: `bienvenue keys rotate` adds a key to it"
        ) from None


def _make(path: Path) -> bytes:
    """Make the file and return its key. Raises FileExistsError, and KeyProblem for a folder."""
    key = secrets.token_bytes(KEY_LENGTH)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
    except OSError as error:
        raise KeyProblem(f"cannot make the key file {path}: {error.strerror}") from None
    try:
        _write(handle, [key], [])
        # Linking is atomic, and never replaces a key that another node made.
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError as error:
        raise KeyProblem(f"cannot make the key file {path}: {error.strerror}") from None
    finally:
        Path(draft).unlink()
    return key


def rotate(path: Path) -> str:
    """Put a new key above those of the file and return its fingerprint. Raises KeyProblem."""
    with _locked(path) as file:
        made = secrets.token_bytes(KEY_LENGTH)
        keys, retired = _keys_in(file)
        _replace(file, [made, *keys], retired)
    return fingerprint(made)


def retire(path: Path, name: str, newest_batch: int) -> None:
    """Let the older key of this fingerprint verify nothing but the batches up to the newest one.

    A key is taken out of the file when there is no batch. Raises KeyProblem for the newest key, for
    one that is retired already, and for a fingerprint that no key of the file has.
    """
    with _locked(path) as file:
        keys, retired = _keys_in(file)
        if name == fingerprint(keys[0]):
            raise KeyProblem(
                "this is the newest key, which signs and encrypts: "
                "run `bienvenue keys rotate` first"
            )
        if name in {fingerprint(each.key) for each in retired}:
            raise KeyProblem(f"the key {name} is retired already")
        kept = [key for key in keys if fingerprint(key) != name]
        if len(kept) == len(keys):
            raise KeyProblem(f"{_named(path)} has no such key: `bienvenue keys list` names them")
        if newest_batch:
            gone = next(key for key in keys if fingerprint(key) == name)
            retired = [RetiredKey(gone, newest_batch), *retired]
        _replace(file, kept, retired)


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
        raise KeyProblem(f"cannot change {_named(path)}: {error.strerror}. {_NEW}") from None


def _replace(path: Path, keys: list[bytes], retired: list[RetiredKey]) -> None:
    """Replace the file, whole or not at all, with the same owner and permissions."""
    old = path.stat()
    handle, draft = tempfile.mkstemp(dir=path.parent)
    try:
        os.fchmod(handle, stat.S_IMODE(old.st_mode))
        if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(handle, old.st_uid, old.st_gid)
        _write(handle, keys, retired)
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


def _write(handle: int, keys: list[bytes], retired: list[RetiredKey]) -> None:
    """Write the keys to an open file, to the disk, and close it."""
    with os.fdopen(handle, "w") as file:
        file.writelines(f"{key.hex()}\n" for key in keys)
        file.writelines(f"{e.key.hex()} retired after batch {e.last_batch}\n" for e in retired)
        file.flush()
        os.fsync(file.fileno())
