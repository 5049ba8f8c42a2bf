"""The format of access tokens: a prefix, 256 random bits and a checksum, all in base62.

`bv_` tells a scanner of source code whose token it found. The checksum, CRC-32 over what stands
before it, tells a token from a text that looks like one (as GitHub's tokens have it). It proves
nothing: only the digest of the whole token, looked up in the database, does.
"""

import re
import secrets
import zlib

PREFIX = "bv_"
#: What a scanner looks for; docs/guide/access-tokens.md has the same.
PATTERN = r"bv_[0-9A-Za-z]{49}"

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(PATTERN, re.ASCII)
#: 62**43 is the first power of 62 above 2**256, and 62**6 the first above 2**32.
_SECRET, _CHECKSUM = 43, 6


def new() -> str:
    """Return a new access token: 52 characters, 256 random bits."""
    body = PREFIX + _base62(int.from_bytes(secrets.token_bytes(32)), _SECRET)
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the checksum of prefix and secret: 6 characters."""
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM)


def well_formed(value: str) -> bool:
    """Return whether a value has the format of an access token, before a look-up."""
    if _SHAPE.fullmatch(value) is None:
        return False
    return checksum(value[:-_CHECKSUM]) == value[-_CHECKSUM:]


def _base62(number: int, length: int) -> str:
    found = ""
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        found = _DIGITS[digit] + found
    return found
