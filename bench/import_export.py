"""`python -m bench.import_export`: importing and exporting users, in time and memory.

Prints figures and asserts nothing, as all of `bench`. Half of the people have a hash of Werkzeug,
half one of bcrypt; each command is a process of its own, as an operator runs it.
"""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.servers import postgresql

COMMAND = str(Path(sys.executable).with_name("bienvenue"))
_HASHES = (
    "scrypt:32768:8:1$l10kdhDoxbkdn0qs$" + "c5" * 64,
    "$2b$12$abcdefghijklmnopqrstuu4oJmjYQujvQeGVQXES9zvOx9c3ZJv5C",
)


def main() -> None:
    """Measure both databases."""
    parser = argparse.ArgumentParser(prog="python -m bench.import_export", description=__doc__)
    parser.add_argument("--people", type=int, default=100_000, help="people who move (100000)")
    people = parser.parse_args().people
    print(f"{os.cpu_count()} processors, Python {platform.python_version()}, {people:,} people")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "people.csv", people)
        with postgresql(folder) as url:
            for what, settings in (
                ("SQLite", {}),
                ("PostgreSQL", {"BIENVENUE_DATABASE_URL": url}),
            ):
                measure(what, folder, settings)


def write(file: Path, people: int) -> None:
    """Write so many people as another system does."""
    with file.open("w", encoding="utf-8") as stream:
        stream.write("email,password_hash,email_verified,created_at,last_sign_in_at,active\n")
        for number in range(people):
            stream.write(
                f"person{number}@example.org,{_HASHES[number % 2]},{int(number % 3 > 0)},"
                f"2024-05-01T12:00:00Z,2025-06-01T08:30:00Z,{int(number % 50 > 0)}\n"
            )


def measure(what: str, folder: Path, settings: Mapping[str, str]) -> None:
    """Move everybody in, in again, and out."""
    own = folder / what
    own.mkdir()
    keys = own / "keys"
    keys.write_text(secrets.token_hex(32))
    keys.chmod(0o600)
    environ = {
        **os.environ,
        **settings,
        "BIENVENUE_INSTANCE": str(own / "instance"),
        "BIENVENUE_SECRET_KEY_FILE": str(keys),
    }
    run(["db", "upgrade"], environ)
    source, out = str(folder / "people.csv"), own / "out.jsonl"
    for words, arguments in (
        ("a look (--dry-run)", ["users", "import", source, "--dry-run"]),
        ("in", ["users", "import", source]),
        ("in again", ["users", "import", source]),
        ("out", ["users", "export", str(out), "--with-hashes"]),
    ):
        seconds, processor, mebibytes = run(arguments, environ)
        print(
            f"{what:11} {words:20} {seconds:6.1f} s, {processor:6.1f} s of a processor, "
            f"{mebibytes:4.0f} MiB at most",
            flush=True,
        )


def run(arguments: list[str], environ: Mapping[str, str]) -> tuple[float, float, float]:
    """Run a command; give its seconds, those of a processor, and the most memory it had in MiB."""
    begun = time.perf_counter()
    child = os.posix_spawn(
        COMMAND,
        [COMMAND, *arguments],
        environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"bienvenue {' '.join(arguments)}: status {status}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
