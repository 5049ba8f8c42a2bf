"""Runs an attack and prints what came of it: `python -m tests.attacks A06 course sqlite`.

Without a place it runs where the attack wins and then against the service. With `--course` in place
of the id it tells the story of the course's last chapters, and fails when one goes otherwise.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.attacks import nursery
from tests.attacks.attack import Attack, Won, load
from tests.attacks.builds import SERVICES, Builds
from tests.databases import Databases

COURSE = Path(__file__).parents[2] / "course"
ATTACKS = load()
ATTACK = re.compile(r"^\$ python -m tests\.attacks (\w+) course$", re.MULTILINE)


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


if __name__ == "__main__":
    if sys.argv[1:] == ["--course"]:
        sys.exit(story(COURSE))
    if sys.argv[2:]:
        nursery.load_nothing()
    with _builds() as own:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:], own))
