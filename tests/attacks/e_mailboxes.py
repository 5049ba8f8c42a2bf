"""E: a mailbox that two ask for, and what its link is good for in whose browser."""

from __future__ import annotations

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Visitor
from tests.attacks.e_registering import NEW, register, token_in, told, users, where_emails_are_sent
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


def _finish(browser: Visitor, token: str) -> bool:
    """Open a link in a browser and press its button, with no password; tell who is signed in."""
    browser.get(f"/email/verification?token={token}")
    browser.get("/email/verification")
    browser.request("POST", "/email/verification/here", json={"verification_token": token})
    return browser.get("/profile").ok


@attack(
    "E28",
    "The link in the email signs in whoever opens it.",
    wins=("broken:E28_any_browser", "broken:E28_any_registration"),
)
def a_link_that_is_opened_elsewhere(target: Target) -> Outcome:
    """Register a victim's email, and have the victim open the link in a browser of their own."""
    service = where_emails_are_sent(target)
    attacker, victim = target.newcomer(), target.newcomer()
    register(service, victim.email, NEW)
    token = token_in(told(target, victim.email, "registration"))
    without, mine, guessing = (service.stranger() for _ in range(3))
    # The victim's browser has the cookie of a registration of its own, of another email.
    mine.post("/users", email=attacker.email, password=attacker.password)
    guessing.cookies["registration"] = "x" * 43
    for name, browser in (("no", without), ("another", mine), ("a made-up", guessing)):
        if _finish(browser, token):
            return Won(f"with {name} cookie it opened an account that has the attacker's password")
    if victim.email in users(target):
        return Won("an account with the attacker's password was made")
    return Refused("any other browser needs the password that was chosen")


@attack(
    "E28",
    "The browser that registered is signed in without the link.",
    wins="broken:E28_without_the_link",
)
def a_cookie_without_its_link(target: Target) -> Outcome:
    """Register a victim's email, and finish with the cookie and links to one's own mailbox."""
    service = where_emails_are_sent(target)
    attacker, victim = target.newcomer(), target.newcomer()
    browser = service.stranger()
    for email in (attacker.email, victim.email):
        browser.post("/users", email=email, password=NEW)
    token = token_in(told(target, attacker.email, "registration"))
    for sent in ("x" * 43, token):
        _finish(browser, sent)
    if victim.email in users(target):
        return Won("the account of an email was made without its mailbox")
    return Refused("the cookie is for the email that the link went to")
