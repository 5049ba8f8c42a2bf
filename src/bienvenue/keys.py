"""The key file: what signs and seals, kept outside the database.

The file holds one key a line, newest first, each 32 random bytes in hexadecimal. It is made on
the first start in the instance folder, readable by its owner only; several nodes share one file
named by `BIENVENUE_SECRET_KEY_FILE` (ASVS 13.3.1, 13.3.2).
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from bienvenue.settings import Settings

LEAST = 32
"""Bytes of a key."""


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

    def mac(self, purpose: str, message: bytes) -> bytes:
        """Give the HMAC-SHA256 of a message under the newest key, bound to a purpose."""
        return _mac(self._keys[0], purpose, message)

    def lasting_mac(self, purpose: str, message: bytes) -> bytes:
        """Give a MAC under the oldest key, the same until that key is retired."""
        return _mac(self._keys[-1], purpose, message)

    def verify(self, purpose: str, message: bytes, mac: bytes) -> bool:
        """Tell in constant time whether any key of the ring made this MAC for this purpose."""
        made = [hmac.compare_digest(_mac(key, purpose, message), mac) for key in self._keys]
        return any(made)


def _mac(key: bytes, purpose: str, message: bytes) -> bytes:
    own = hmac.digest(key, f"bienvenue {purpose}".encode(), hashlib.sha256)
    return hmac.digest(own, message, hashlib.sha256)


def read(path: Path) -> KeyRing:
    """Read the key file. Raises KeyProblem with what to do."""
    try:
        lines = path.read_text("ascii").split()
        return KeyRing([bytes.fromhex(line) for line in lines])
    except (OSError, ValueError) as error:
        raise KeyProblem(f"cannot read the key file {path}: {error}") from None
    except KeyProblem as problem:
        raise KeyProblem(
            f"the key file {path} is too weak: {problem}. Each line is 64 hexadecimal digits, as "
            "`python3 -c 'import secrets; print(secrets.token_hex(32))'` prints them."
        ) from None


def of(settings: Settings) -> KeyRing:
    """Give the keys of a service, making them on its first start. Raises KeyProblem."""
    shared = settings.core.secret_key_file
    if settings.on_postgresql and shared is None:
        raise KeyProblem(
            "several nodes may share this database, so they must share their keys: name the file "
            "with BIENVENUE_SECRET_KEY_FILE"
        )
    return read_or_make(settings.key_file) if shared is None else read(shared)


def read_or_make(path: Path) -> KeyRing:
    """Read the key file, making it first when there is none; two nodes starting at once agree."""
    if not path.exists():
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
    return read(path)
