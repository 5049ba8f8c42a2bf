"""Writes docs/attacks.md: every attack of the catalogue and where it stands.

Usage: python tools/attack_table.py [--check]. With --check it writes nothing and fails when the
page is not what it would write.
"""

import sys
from collections import defaultdict
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP))

from tests.attacks import patch  # noqa: E402 (the path comes first) (found from the root of the project)
from tests.attacks.attack import BROKEN, COURSE, Attack, load  # noqa: E402 (the path comes first)
from tests.attacks.catalogue import CATALOGUE, SECTIONS, Entry  # noqa: E402 (the path comes first)

PAGE = TOP / "docs" / "attacks.md"

HEAD = """# Attacks

<!-- Written by tools/attack_table.py from tests/attacks; change it there. -->

An attack is one function that tries something on a running target and says whether it won. Each
one below **wins** somewhere, against the course or against a *broken build* (the service with one
plausible mistake, a patch in `tests/attacks/broken/`), and is **refused** by the service on SQLite
and on PostgreSQL. The tests ask for both, so no attack is counted that could not have succeeded.
Where a difference in time would tell a secret, the tests count bcrypt rounds; they read the clock
only to see that a pause was not shorter than it has to be.

`.venv/bin/python -m tests.attacks A06` runs one where it wins and then against the service, and
prints what came of it.
"""


def page() -> str:
    """Give the whole page."""
    attacks: dict[str, list[Attack]] = defaultdict(list)
    for attack in load():
        attacks[attack.id].append(attack)
    tested = sum(not entry.waits for entry in CATALOGUE)
    parts = [HEAD, f"{tested} of {len(CATALOGUE)} are tested; the others wait for their feature."]
    for initial, title in SECTIONS.items():
        parts += ["", f"## {initial}. {title}", "", "| | attack | wins against | tested in |"]
        parts.append("|---|---|---|---|")
        for entry in CATALOGUE:
            if entry.id.startswith(initial):
                where = _stands(entry, attacks[entry.id])
                parts.append(f"| {entry.id} | {entry.sentence} | {where} |")
    return "\n".join(parts) + "\n"


def _stands(entry: Entry, attacks: list[Attack]) -> str:
    if entry.elsewhere:
        return f"tried on the server that is shipped | `tests/{entry.elsewhere}`"
    return f"| waiting for {entry.waits}" if entry.waits else _where(attacks)


def _where(attacks: list[Attack]) -> str:
    wins = dict.fromkeys(where for attack in attacks for where in attack.wins)
    files = dict.fromkeys(attack.story.__module__.rpartition(".")[2] for attack in attacks)
    return f"{'; '.join(map(_target, wins))} | {', '.join(f'`{file}.py`' for file in files)}"


def _target(where: str) -> str:
    if where == COURSE:
        return "the course"
    name = where.removeprefix(BROKEN)
    return f"`{name}`: {patch.mistake(name)}"


def main(arguments: list[str]) -> int:
    """Write the page, or only check it."""
    if "--check" not in arguments:
        PAGE.write_text(page(), "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == page():
        return 0
    print("docs/attacks.md is not up to date: run `python tools/attack_table.py`")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
