"""Runs an attack and prints what came of it: `python -m tests.attacks A06 course sqlite`.

Without a place it runs where the attack wins and then against the service. With `--course` in place
of the id it tells the story of the course's last chapters, and fails when one goes otherwise.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from pathlib import Path

from tests.attacks.attack import Won, load
from tests.attacks.builds import SERVICES, Builds
from tests.databases import Databases

COURSE = Path(__file__).parents[2] / "course"
ATTACK = re.compile(r"^\$ python -m tests\.attacks (\w+) course$", re.MULTILINE)


def main(wanted: str, places: list[str]) -> int:
    """Run every attack of an id; give the status to exit with."""
    found = [attack for attack in load() if attack.id == wanted]
    if not found:
        print(f"no attack is named {wanted!r}; docs/attacks.md lists them")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        builds = Builds(Path(folder) / "targets", Databases(Path(folder)))
        with contextlib.closing(builds):
            for attack in found:
                print(f"{attack.id}: {attack.sentence}")
                for where in places or [*attack.wins, *SERVICES]:
                    with builds.open(where, attack) as target:
                        outcome = attack.run(target)
                    won = "WON" if isinstance(outcome, Won) else "refused"
                    print(f"  {where}: {won}: {outcome.why}")
    return 0


def story() -> int:
    """Run the attack of each chapter on the exercise and on the service; 1 if one went wrong."""
    chapters = [page.read_text("utf-8") for page in sorted(COURSE.glob("[0-9]*.md"))]
    told = [(text.partition("\n")[0][2:], ATTACK.search(text)) for text in chapters]
    attacks = load()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        builds = Builds(Path(folder) / "targets", Databases(Path(folder)))
        with contextlib.closing(builds):
            for title, found in told:
                if found is None:
                    continue
                print(f"\n{title}", flush=True)
                for attack in (one for one in attacks if one.id == found[1]):
                    print(f"  {attack.sentence}", flush=True)
                    for where, wins in (("course", True), ("sqlite", False)):
                        with builds.open(where, attack) as target:
                            outcome = attack.run(target)
                        wrong += isinstance(outcome, Won) is not wins
                        name = "the exercise" if wins else "the service "
                        won = "WON    " if isinstance(outcome, Won) else "refused"
                        print(f"    {name} {won} {outcome.why}", flush=True)
    print(f"\n{'Not all of it' if wrong else 'All of it'} went as the chapters say.")
    return int(wrong > 0)


if __name__ == "__main__":
    if sys.argv[1:] == ["--course"]:
        sys.exit(story())
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]))
