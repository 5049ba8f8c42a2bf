"""Tokens: random secrets, bound to a purpose, shown once and stored as a digest.

A token is 256 random bits, written as 43 characters of base64url. The database stores SHA-256 over
the purpose and the token: a token of one purpose is invalid for any other, and a copy of the
database contains no usable token (ASVS 7.2.3, 11.5.1; NIST SP 800-63B-4 section 5.1).
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def new() -> str:
    """Return a new token of 256 random bits, 43 characters of base64url."""
    return secrets.token_urlsafe(32)


def well_formed(token: str | None) -> bool:
    """Return whether a value has the form of a token, before a look-up."""
    return isinstance(token, str) and _SHAPE.fullmatch(token) is not None


def digest(purpose: str, token: str) -> bytes:
    """Return the 32 bytes that the database stores for a token.

    The digest covers the text of the token and not its decoded bytes, so two spellings of the
    same bytes are two tokens.
    """
    return hashlib.sha256(f"bienvenue {purpose}\0{token}".encode()).digest()


@dataclass(frozen=True)
class Purpose:
    """The purpose of a link."""

    #: Its name in the table.
    name: str
    #: What the digest is bound to (`purposes`).
    digest: str = field(repr=False)
    #: The page the link opens.
    path: str
    #: Whether its tokens survive `revoke`, until the account is deleted.
    lasting: bool = False
    #: Whether the address it was sent to is reserved for the account while it works. A closed
    #: account is not deleted before that.
    reserves: bool = False

    def digest_of(self, token: str) -> bytes:
        """Return the digest that the table stores for a token of this purpose."""
        return digest(self.digest, token)
