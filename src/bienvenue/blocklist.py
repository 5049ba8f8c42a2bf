"""The blocklist of passwords: a list of common and breached ones, and the account's own words.

NIST SP 800-63B-4 section 3.1.1.2; ASVS 6.2.4, 6.2.11 and 6.2.12. Both compare the whole password:
a listed word inside a longer password is allowed.
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

#: Characters of the shortest own word that counts; shorter ones occur in every text.
_SHORTEST_WORD = 3
#: The header of the file: magic, version, number of entries, CRC-32 of the entries.
HEADER = struct.Struct(">4sIII")
MAGIC, VERSION = b"BVPL", 1


class DamagedBlocklist(ValueError):
    """The file of the list is not one that `tools/password_list.py` wrote; the text says why."""


def normalise(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """Return a text in the form of the list: Unicode-normalised and case-folded."""
    return unicodedata.normalize(form, unicodedata.normalize(form, text).casefold())


def fingerprint(normalised: str) -> int:
    """Return the first 64 bits of the SHA-256 of a normalised password, as an integer."""
    # The form of a password was checked before; here a lone surrogate must only not raise.
    return int.from_bytes(sha256(normalised.encode("utf-8", "surrogatepass")).digest()[:8], "big")


class Blocklist:
    """The list in the bytes of `data/passwords.bin`. Raises DamagedBlocklist."""

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
        """Return whether the whole password, in any case or Unicode form, is on the list."""
        wanted = fingerprint(normalise(password))
        place = bisect_left(self._table, wanted)
        return place < len(self._table) and self._table[place] == wanted


_loading = threading.Lock()


@cache
def _read() -> Blocklist:
    return Blocklist((resources.files("bienvenue") / "data" / "passwords.bin").read_bytes())


def contains(password: str) -> bool:
    """Return whether the whole password is on the shipped list.

    The first call reads the file. Raises DamagedBlocklist.
    """
    with _loading:  # `cache` alone would let concurrent threads each read the file
        blocklist = _read()
    return blocklist.contains(password)


def made_of_own_words(password: str, words: Iterable[str]) -> bool:
    """Return whether a password has only own words, digits, punctuation and spaces.

    `words` are the email or its parts and the names of service and host. Each counts as a whole
    and in pieces (around @, runs of letters and digits, or letters alone) of at least three
    characters. The result is True when every letter of the password is inside an occurrence of
    such a word; occurrences may overlap. In a password without letters every digit must be, so
    that arbitrary digits don't count as own words.
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
