"""Runs an attack and prints what came of it: `python -m tests.attacks A06 course sqlite`.

Without a place it runs where the attack wins and then against the service. With `--course` in place
of the id it tells the story of the course's last chapters, and fails when one goes otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.attacks import nursery
from tests.attacks.attack import Attack, Won, load
from tests.attacks.builds import SERVICES, Builds
from tests.attacks.harness import COURSE_COST
from tests.databases import Databases

COURSE = Path(__file__).parents[2] / "course"
ATTACKS = load()
ATTACK = re.compile(r"^make -C \.\. attack FOLDER=course ONLY=(\w+)$", re.MULTILINE)


def main(wanted: str, places: list[str], builds: Builds) -> int:
    """Run every attack of an id; give the status to exit with."""
    found = [attack for attack in ATTACKS if attack.id == wanted]
    if not found:
        print(f"no attack is named {wanted!r}; docs/attacks.md lists them")
        return 1
    for attack in found:
        # What is tried on a broken build has no meaning at the exercise.
        meant = [where for where in places if where != "course" or where in attack.wins]
        if places and not meant:
            continue
        print(f"{attack.id}: {attack.sentence}", flush=True)
        for where in meant or [*attack.wins, *SERVICES]:
            _run(builds, attack, where, where)
    return 0


def story(folder: Path) -> int:
    """Run the attack of each chapter on the exercise and on the service; 1 if one went wrong."""
    chapters = [page.read_text("utf-8") for page in sorted(folder.glob("[0-9]*.md"))]
    told = [(text.partition("\n")[0][2:], ATTACK.search(text)) for text in chapters]
    wrong = 0
    cost = f"cost {COURSE_COST}, {2**COURSE_COST} rounds, so that floods take seconds"
    print(f"The exercise hashes at {cost}; it asks for 12, which is 4096.")
    with _builds() as builds:
        for title, found in told:
            if found is None:
                continue
            print(f"\n{title}", flush=True)
            for attack in (a for a in ATTACKS if a.id == found[1] and "course" in a.wins):
                print(attack.sentence, flush=True)
                wrong += not _run(builds, attack, "course", "the exercise")
                wrong += _run(builds, attack, "sqlite", "the service")
    print(f"\n{'Not all of it' if wrong else 'All of it'} went as the chapters say.")
    return int(wrong > 0)


@contextlib.contextmanager
def _builds() -> Iterator[Builds]:
    with tempfile.TemporaryDirectory() as folder:
        builds = Builds(Path(folder) / "targets", Databases(Path(folder)))
        with contextlib.closing(builds):
            yield builds


def _run(builds: Builds, attack: Attack, where: str, name: str) -> bool:
    """Run one attack against one target and print what came of it; tell whether it won."""
    with builds.open(where, attack) as target:
        outcome = attack.run(target)
    won = isinstance(outcome, Won)
    print(f"  {name}: {'WON' if won else 'refused'}: {outcome.why}", flush=True)
    return won


def changed(folder: Path = COURSE) -> bool:
    """Tell whether the four files of the course are other than the repository has them."""
    files = [str(folder / name) for name in ("user.py", "db.py", "auth.py", "app.py")]
    command = ["git", "-C", str(folder), "diff", "--quiet", "HEAD", "--", *files]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 1
    except OSError:
        return False


def arguments() -> argparse.ArgumentParser:
    """Give the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.attacks", description="Runs an attack and prints what came of it."
    )
    parser.add_argument("id", nargs="?", help="as A06; docs/attacks.md lists all")
    parser.add_argument(
        "places",
        nargs="*",
        help="course, sqlite, postgresql or broken:NAME; where it must win and "
        "the service, if none is named",
    )
    parser.add_argument("--course", action="store_true", help="tell the story of the last chapters")
    return parser


def command(given: list[str]) -> int:
    """Run the command and return its status."""
    parser = arguments()
    options = parser.parse_args(given)
    if options.course:
        status = story(COURSE)
        if status and changed():
            print("The files in course/ are changed, so an attack may well lose.")
            print("Hold your repair against the sheet too: make grade FOLDER=course MENDED=1")
            return 0
        return status
    if options.id is None:
        parser.print_help()
        return 2
    if options.places:
        nursery.load_nothing()
    with _builds() as own:
        return main(options.id, options.places, own)


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
