"""B: who has an account, from asking for their email as their own."""

from __future__ import annotations

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply
from tests.attacks.e_reset import headers
from tests.attacks.target import Person, Target, TargetFails


def ask(me: Person, wanted: Person) -> Reply:
    """Ask for someone's email as their own, having just signed in."""
    return me.sign_in().put("/email", new_email=wanted.email)


def message(target: Target, person: Person, kind: str) -> str | None:
    """Give what the newest email of a kind to a person says, if there is one."""
    listed = target.cli("outbox", "list", "--limit", "1000").text.splitlines()
    found = [line.split()[0] for line in listed if person.email in line and f" {kind} " in line]
    return target.cli("outbox", "show", found[0]).text if found else None


@attack("B09", "Changing an email to a taken one says so.", wins="broken:B09_says_taken")
def my_email_is_yours(target: Target) -> Outcome:
    """Ask for one no one has, for someone's, a disabled one and one kept for its old owner."""
    free, taken, disabled = target.newcomer(), target.person(), target.person()
    target.cli("users", "disable", disabled.email)
    left = target.person()
    if target.cli("users", "email", left.email, target.newcomer().email).code:
        raise TargetFails("the email was not changed")
    wanted = (free, taken, disabled, left)
    # Each is asked for by someone else, so that no limit is met.
    heard = [(ask(target.person(), person), person) for person in wanted]
    told = {
        (reply.status, reply.rounds, reply.text.replace(person.email, ""), headers(reply))
        for reply, person in heard
    }
    if len(told) > 1:
        return Won(f"{heard[0][0].status} for a free one, {heard[1][0].status} for a taken one")
    if not heard[0][0].ok or message(target, free, "new_email_verification") is None:
        raise TargetFails(f"the free one was refused: {heard[0][0].text}")
    for person in (taken, disabled, left):
        if message(target, person, "new_email_verification") is not None:
            return Won("the owner of a taken email was sent a link that gives it away")
    if message(target, disabled, "new_email_taken") is not None:
        return Won("a disabled account was written to")
    return Refused(f"{heard[0][0].status} for all, in the same words; their owners are told")
