"""Every attack wins where it says it does, and is refused by the service on both databases."""

from __future__ import annotations

import pytest

from tests.attacks.attack import COURSE, Attack, Outcome, Refused, Won, load
from tests.attacks.builds import SERVICES, Builds

pytestmark = pytest.mark.slow

ATTACKS = load()


#: What refuses this one is a statement, which each database runs in its own way. Those that refuse
#: other attacks run on PostgreSQL in tests/features.
BY_STATEMENTS = {"E05"}
#: What takes many seconds to win, and is tested once more where it is refused.
SLOW = {
    "a_flood_of_sign_ins",
    "a_thousand_at_once",
    "guessing_all_at_once",
    "guessing_by_the_hour",
    "new_letters_bring_new_tries",
    "the_database_is_exhausted",
    "the_database_is_locked",
    "waiting_where_pages_are_made",
}


#: Of attacks of one row of the catalogue, the first.
FIRST = {attack.id: attack for attack in reversed(ATTACKS)}


def _cases(*, wins: bool) -> list[object]:
    return [
        pytest.param(
            attack,
            where,
            id=f"{attack.id}-{attack.name}-{where}",
            marks=[
                *[pytest.mark.statements] * (attack.id in BY_STATEMENTS),
                # That a broken build loses says something of the attack, and not of the service.
                *[pytest.mark.thorough] * (wins and (where != COURSE or attack.name in SLOW)),
                *[pytest.mark.thorough] * (attack is not FIRST[attack.id]),
            ],
        )
        for attack in ATTACKS
        for where in (attack.wins if wins else SERVICES)
    ]


def _run(attack: Attack, where: str, builds: Builds) -> tuple[Outcome, str]:
    with builds.open(where, attack) as target:
        begun = len(target.logs())
        outcome = attack.run(target)
        return outcome, target.logs()[begun:]


@pytest.mark.table(shown=6)
@pytest.mark.parametrize(("attack", "where"), _cases(wins=True))
def test_wins(attack: Attack, where: str, builds: Builds) -> None:
    """An attack that does not win here proves nothing when it is refused elsewhere."""
    outcome, log = _run(attack, where, builds)
    assert isinstance(outcome, Won), f"{outcome.why}\n{log}"


@pytest.mark.parametrize(("attack", "where"), _cases(wins=False))
def test_refused(attack: Attack, where: str, builds: Builds) -> None:
    """The service refuses, and nothing unexpected happened to it on the way."""
    outcome, log = _run(attack, where, builds)
    assert isinstance(outcome, Refused), f"{outcome.why}\n{log}"
    assert attack.noisy or "Traceback" not in log
