"""E: a mailbox that two ask for, and what its link is good for in whose browser."""

from __future__ import annotations

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Visitor
from tests.attacks.e_registering import NEW, token_in, told
from tests.attacks.target import Target, TargetFails


def _ask_for(target: Target, mailbox: str, path: str, kind: str) -> tuple[Visitor, str]:
    """Let a stranger ask for a mailbox, and its owner a moment later; the stranger then leaves.

    Give the owner's browser, and the token that reached the mailbox.
    """
    stranger, owner = target.person(), target.person()
    theirs, mine = stranger.sign_in(), owner.sign_in()
    field = "new_email" if path == "/email" else "notification_email"
    for browser in (theirs, mine):
        if not browser.put(path, **{field: mailbox}).ok:
            raise TargetFails("asking was refused")
    token = token_in(told(target, mailbox, kind))
    theirs.put(path, **{field: target.newcomer().email})
    if not theirs.put("/password", old_password=stranger.password, new_password=NEW).ok:
        raise TargetFails("the stranger's password was not changed")
    return mine, token


@attack(
    "E26",
    "A stranger's requests keep an account from moving to an email.",
    wins=("broken:E26_link_of_one_account", "broken:E26_link_ends_with_the_account"),
)
def a_change_in_the_way(target: Target) -> Outcome:
    """Ask for the victim's new email first, so that the one email is for the stranger."""
    mailbox = target.newcomer().email
    owner, token = _ask_for(target, mailbox, "/email", "new_email_verification")
    owner.request("POST", "/email/new", json={"email_change_token": token})
    if mailbox not in owner.get("/profile").text:
        return Won("the victim asked, got a link, and has the old email")
    return Refused("the link moves the account of the session in which it is opened")


@attack(
    "E26",
    "A stranger's requests keep a notification email from being added.",
    wins=("broken:E26_notices_of_one_account", "broken:E26_notices_end_with_the_account"),
)
def a_notification_email_in_the_way(target: Target) -> Outcome:
    """Ask for the victim's notification email first, so that the one email is for the stranger."""
    mailbox = target.newcomer().email
    path = "/notification_email"
    owner, token = _ask_for(target, mailbox, path, "notification_email_verification")
    owner.request("POST", f"{path}/verification", json={"notification_email_token": token})
    if owner.get(path).json["notification_email"] != mailbox:
        return Won("the victim asked, got a link, and has no notification email")
    return Refused("the link is for the account of the session in which it is opened")


@attack(
    "E26",
    "A link to my mailbox moves an account that is not mine.",
    wins="broken:E26_whoever_asked",
)
def a_link_that_moves_the_stranger(target: Target) -> Outcome:
    """Ask for a victim's mailbox, and have the victim open the link where they are signed in."""
    stranger, owner, mailbox = target.person(), target.person(), target.newcomer().email
    theirs, mine = stranger.sign_in(), owner.sign_in()
    for browser in (theirs, mine):
        browser.put("/email", new_email=mailbox)
    token = token_in(told(target, mailbox, "new_email_verification"))
    mine.request("POST", "/email/new", json={"email_change_token": token})
    if mailbox in theirs.get("/profile").text or stranger.email not in theirs.get("/profile").text:
        return Won(f"the stranger's account is {mailbox}, which proved it for them")
    return Refused("the stranger's account is as it was")
