"""B, C, D: what an attacker makes of a former system that is asked at sign-in."""

from __future__ import annotations

import time

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.b_enumeration import WRONG, told_apart
from tests.attacks.former import THEIRS
from tests.attacks.target import PASSPHRASE, Target, TargetFails
from tests.races import race

FORMER = {
    "former_system": "tests.attacks.former:check",
    "former_system_until": "2126-01-01",
    "former_system_at_once": "100",
    "former_system_rate": "1000",
}
ACCOUNT, A_MINUTE = 5, 8
LEAST = 1.25
"""Seconds that every refusal takes: the time the former system has, and a quarter of one."""


def asked(target: Target) -> list[str]:
    """Give the emails that the former system was asked about."""
    file = target.folder / "asked"
    return file.read_text().splitlines() if file.exists() else []


@attack(
    "B16",
    "The clock tells which of two systems knows an account.",
    wins="broken:B16_waits_for_newcomers_alone",
    settings=FORMER,
)
def the_question_shows_on_a_clock(target: Target) -> Outcome:
    """Try a wrong password where there is an account here, and where there is none."""
    waited = []
    replies = []
    for person in (target.person(), target.newcomer()):
        begun = time.monotonic()
        replies.append(person.try_password(WRONG))
        waited.append(time.monotonic() - begun)
    if evidence := told_apart(*replies):
        return Won(evidence)
    if min(waited) < LEAST:
        return Won(f"one was refused after {min(waited):.2f} s, without the pause of the other")
    return Refused("both were refused in the same words after the same pause")


@attack(
    "C22",
    "Guesses reach the former system past our limits.",
    wins=("broken:C22_asks_first", "broken:C22_asks_without_end"),
    settings=FORMER | {"rate_limit_account": str(ACCOUNT), "former_system_rate": str(A_MINUTE)},
    alone=True,
)
def guessing_at_the_former_system(target: Target) -> Outcome:
    """Guess at one account that only it knows, then at many, each from another network."""
    with target.clock_stopped():
        victim = target.newcomer()
        race(lambda n: victim.try_password(f"{WRONG} {n}", target.stranger()), ACCOUNT + 3)
        at_one = len(asked(target))
        if at_one > ACCOUNT:
            return Won(f"{at_one} guesses at one account reached it")
        target.clock_forward(60)
        people = [target.newcomer() for _ in range(A_MINUTE + 4)]
        race(lambda n: people[n].try_password(WRONG, target.stranger()), len(people))
        at_many = len(asked(target)) - at_one
    if at_many > A_MINUTE:
        return Won(f"{at_many} guesses reached it within a minute")
    if not at_many:
        raise TargetFails("it was not asked")
    return Refused(f"{at_one} and {at_many} guesses reached it, and the others did not")


@attack(
    "D14",
    "The password of the former system opens an account of ours.",
    wins="broken:D14_the_former_yes_counts",
    settings=FORMER,
)
def the_former_password_opens(target: Target) -> Outcome:
    """Change the password here, and try the one that still works there."""
    if target.newcomer().try_password(WRONG).ok:
        return Won("a wrong password made an account")
    mine = target.person(PASSPHRASE)
    reply = mine.try_password(THEIRS)
    if reply.ok:
        return Won("the password of another system opened the account")
    if not mine.try_password(PASSPHRASE).ok:
        return Won("the account no longer opens by its own password")
    moved = target.newcomer(THEIRS)
    if not moved.try_password(THEIRS).ok:
        raise TargetFails("the former system vouched for a user who was not let in")
    if len(asked(target)) < 2:
        raise TargetFails("the former system was not asked")
    return Refused(f"{reply.status} for the account here; a user who is not here yet came in")
