"""E: taking an account back with the link to the earlier email, whatever a thief did since."""

from __future__ import annotations

import re

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.b_email import message
from tests.attacks.client import Visitor
from tests.attacks.target import Person, Target, TargetFails

DAY = 86400
NEW = "douze hiboux dans la grange"
_TOKEN = re.compile(r"token=([A-Za-z0-9_-]{43})\b")


def token_of(person: Person, kind: str) -> str | None:
    """Give the token of the newest email of a kind in a mailbox; None if no link is there."""
    said = message(person.target, person, kind)
    found = None if said is None else _TOKEN.search(said)
    return None if found is None else found[1]


def changes_email(thief: Visitor, mailbox: Person) -> None:
    """Make an email of the thief that of the account. Raises TargetFails."""
    asked = thief.put("/email", new_email=mailbox.email)
    token = token_of(mailbox, "new_email_verification")
    sent = {"email_change_token": token}
    if token is None or not thief.request("POST", "/email/new", json=sent).ok:
        raise TargetFails(f"the email was not changed: {asked.status} {asked.text}")


def adds_notification_email(thief: Visitor, mailbox: Person) -> None:
    """Let the notices of the account go to the thief. Raises TargetFails."""
    thief.put("/notification_email", notification_email=mailbox.email)
    sent = {"notification_email_token": token_of(mailbox, "notification_email_verification")}
    if not thief.request("POST", "/notification_email/verification", json=sent).ok:
        raise TargetFails("the notification email was not added")


@attack(
    "E27",
    "A thief who changed the email keeps its owner from taking the account back.",
    wins=(
        "broken:E27_closed_stays_closed",
        "broken:E27_deleted_meanwhile",
        "broken:E27_still_notified",
    ),
    settings={"closure_grace": "1d"},
)
def the_link_that_takes_back(target: Target) -> Outcome:
    """Change the email twice, add a notification email in between, and close the account.

    Two days later, when the grace period is over, the owner opens the link of a week.
    """
    owner, mailbox, notified = target.person(), target.newcomer(), target.newcomer()
    thief = owner.sign_in()
    changes_email(thief, target.newcomer())
    adds_notification_email(thief, notified)
    changes_email(thief, mailbox)
    if not thief.delete("/profile").ok:
        raise TargetFails("the account was not closed")
    # Commands know no other time than that of the machine.
    target.execute("UPDATE account_closures SET delete_at = delete_at - :days", days=2 * DAY)
    if target.cli("sweep").code:
        raise TargetFails("the clean-up failed")
    lost = _take_back(owner, thief, notified)
    if lost is not None:
        return Won(lost)
    return Refused("the owner is in, and nothing of the thief is left")


def _take_back(owner: Person, thief: Visitor, notified: Person) -> str | None:
    """Let the owner use the link of the first mailbox; give what keeps them out, or None."""
    target, token = owner.target, token_of(owner, "email_changed")
    restored = target.visitor().post("/email/restore", email_restore_token=str(token))
    if not restored.ok:
        return f"the link of a week does not work after two days: {restored.status}"
    reset = token_of(owner, "password_reset")
    form = {"email": owner.email, "reset_token": str(reset), "new_password": NEW}
    if reset is None or not target.visitor().put("/reset_password", **form).ok:
        return "the email is the owner's again, and the account stays closed"
    reader = owner.sign_in(NEW)
    if thief.get("/profile").ok:
        return "the thief is still signed in"
    shown = reader.get("/notification_email").json
    if notified.email in str(shown):
        return f"the thief is notified of what the owner does: {shown}"
    return None
