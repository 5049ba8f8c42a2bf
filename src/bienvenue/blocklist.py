"""Passwords nobody may choose: the shipped list of common and breached ones, and one's own words.

NIST SP 800-63B-4 3.1.1.2, OWASP ASVS 6.2.4, 6.2.11 and 6.2.12. Both judge the whole password: a
listed word inside a longer one is allowed.
"""

import re
import struct
import threading
import unicodedata
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib import resources
from itertools import pairwise
from typing import Literal

#: Messages of an own word that is looked for; shorter ones stand in every text.
_SHORTEST_WORD = 3
#: The head of the file: magic, version, number of entries, CRC-32 of the entries.
HEADER = struct.Struct(">4sIII")
MAGIC, VERSION = b"BVPL", 1


class DamagedBlocklist(ValueError):
    """The file of the list is not what `tools/password_list.py` wrote; the text says why."""


def normalise(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """Return `text` as the list knows it: NFC, without difference of case."""
    return unicodedata.normalize(form, unicodedata.normalize(form, text).casefold())


def fingerprint(normalised: str) -> int:
    """Return the first 64 bits of the SHA-256 of a normalised password."""
    # A lone surrogate is refused before; here it must only not raise.
    return int.from_bytes(sha256(normalised.encode("utf-8", "surrogatepass")).digest()[:8], "big")


class Blocklist:
    """The table in the bytes of `data/passwords.bin`; DamagedBlocklist when they are not whole."""

    def __init__(self, data: bytes) -> None:
        head, body = data[: HEADER.size], data[HEADER.size :]
        if len(head) < HEADER.size or HEADER.unpack(head)[:2] != (MAGIC, VERSION):
            raise DamagedBlocklist("the list of passwords has an unknown header")
        _, _, count, checksum = HEADER.unpack(head)
        if len(body) != count * 8 or zlib.crc32(body) != checksum:
            raise DamagedBlocklist(f"the list of passwords does not hold its {count} entries whole")
        self._table = array("Q", struct.unpack(f">{count}Q", body))
        if any(left >= right for left, right in pairwise(self._table)):
            raise DamagedBlocklist("the list of passwords is not in order")

    def __len__(self) -> int:
        return len(self._table)

    def contains(self, password: str) -> bool:
        """Say whether the whole password, whatever its case or Unicode form, is on the list."""
        wanted = fingerprint(normalise(password))
        place = bisect_left(self._table, wanted)
        return place < len(self._table) and self._table[place] == wanted


_loading = threading.Lock()


@cache
def _read() -> Blocklist:
    return Blocklist((resources.files("bienvenue") / "data" / "passwords.bin").read_bytes())


def contains(password: str) -> bool:
    """Say whether the whole password is on the shipped list, which the first call reads."""
    with _loading:  # `cache` alone would let threads that come at once each read the file
        blocklist = _read()
    return blocklist.contains(password)


def made_of_own_words(password: str, words: Iterable[str]) -> bool:
    """Say whether a password is only the account's own words, digits, punctuation and spaces.

    `words` are the email or its parts and the names of service and host. Each counts whole and in
    pieces (around @, runs of letters and digits, runs of letters) of three or more. True when
    every letter of the password lies inside an occurrence of such a word, and occurrences may
    overlap; in a password without letters every digit must, so digits alone are nobody's words.
    """
    text = normalise(password, "NFKC")
    pieces = set[str]()
    for word in (normalise(word, "NFKC") for word in words):
        pieces.update(word.split("@"), re.split(r"[\W_]+", word), re.split(r"[\W\d_]+", word))
    covered = bytearray(len(text))
    for piece in (piece for piece in pieces if len(piece) >= _SHORTEST_WORD):
        for found in re.finditer(f"(?={re.escape(piece)})", text):
            covered[found.start() : found.start() + len(piece)] = b"\1" * len(piece)
    places = [place for place, sign in enumerate(text) if sign.isalpha()]
    places = places or [place for place, sign in enumerate(text) if sign.isalnum()]
    return bool(places) and all(covered[place] for place in places)
