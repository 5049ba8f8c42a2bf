"""Runs an attack and prints what came of it: `python -m tests.attacks A06 course sqlite`.

Without a place it runs where the attack wins and then against the service.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from tests.attacks.attack import Won, load
from tests.attacks.builds import SERVICES, Builds
from tests.databases import Databases


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]))
