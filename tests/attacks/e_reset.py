"""E: the email by which one gets back in, and what its link is worth to others."""

from __future__ import annotations

import re

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply, Visitor
from tests.attacks.target import Person, Target, TargetFails
from tests.races import race

HOUR, GAP = 3600, 120
NEW = "douze hiboux dans la grange"
_TOKEN = re.compile(r"token=([A-Za-z0-9_-]{43})\b")


def ask(person: Person) -> Reply:
    """Ask for a way back in, from an ip that no one asked from yet."""
    return person.target.stranger().post("/reset_password", email=person.email)


def messages(person: Person) -> list[str]:
    """Give the names of the emails with a link that this person got, newest first."""
    said = person.target.cli("outbox", "list", "--limit", "1000").text.splitlines()
    return [line.split()[0] for line in said if person.email in line and " password_reset " in line]


def token_of(person: Person) -> str:
    """Ask, and give the token out of the person's own mailbox. Raises TargetFails."""
    reply = ask(person)
    if person.target.is_course:
        return _token_of_the_exercise(person, reply)
    found = _TOKEN.search(person.target.cli("outbox", "show", messages(person)[0]).text)
    if found is None:
        raise TargetFails(f"no letter came: {reply.status} {reply.text}")
    return found[1]


def _token_of_the_exercise(person: Person, reply: Reply) -> str:
    """Give the token of the answer, or the row's where the answer no longer holds it."""
    given = reply.json if isinstance(reply.json, dict) else {}
    if "reset_token" in given:
        return str(given["reset_token"])
    query = "SELECT reset_token FROM users WHERE email = :email"
    rows = person.target.execute(query, email=person.email)
    if not rows or not rows[0]["reset_token"]:
        raise TargetFails(f"no token came, and none stands in the row: {reply.status}")
    return str(rows[0]["reset_token"])


def spend(person: Person, token: str, password: str = NEW) -> Reply:
    """Set a password by a token."""
    form = {"email": person.email, "reset_token": token, "new_password": password}
    return person.target.stranger().put("/reset_password", **form)


def headers(reply: Reply) -> tuple[tuple[str, str], ...]:
    """Give the headers of an answer that do not change from one to the next."""
    counted = {"date", "x-request-id", "content-length"}
    return tuple(header for header in reply.headers if header[0].lower() not in counted)


@attack("A01", "A reset without a token finds whoever has none.", wins="course")
def a_reset_without_a_token(target: Target) -> Outcome:
    """Send an empty token, none at all, and the word None for someone who asked for nothing."""
    person = target.person()
    for sent in ({}, {"reset_token": ""}, {"reset_token": "None"}, {"reset_token": "0" * 64}):
        form = {"email": person.email, "new_password": NEW} | sent
        if target.stranger().put("/reset_password", **form).ok:
            return Won(f"{sent or 'no token'} set the password of {person.email}")
    return Refused("no token, an empty one and None are no token")


@attack("A04", "Whoever asks for a reset reads the token in the answer.", wins="course")
def the_token_in_the_answer(target: Target) -> Outcome:
    """Ask for the victim's reset and look for anything that opens the account."""
    person = target.person()
    reply = ask(person)
    for found in re.findall(r"[A-Za-z0-9_-]{32,}", f"{reply.text}\n{reply.headers}"):
        if spend(person, found).ok:
            return Won("the answer holds the token: the account is mine")
    return Refused(f"the answer is {reply.status} {reply.text.strip()}")


@attack("B07", "Asking for a reset says who has an account.", wins="course")
def asking_for_nobody(target: Target) -> Outcome:
    """Ask for someone, for someone disabled and for no one, and compare every byte."""
    known, disabled, unknown = target.person(), target.person(), target.newcomer()
    if not target.is_course:
        target.cli("users", "disable", disabled.email)
    heard = [(ask(person), person) for person in (known, disabled, unknown)]
    # The answer repeats the email that was sent, and is as much longer as that is.
    told = [
        (reply.status, reply.rounds, reply.text.replace(person.email, ""), headers(reply))
        for reply, person in heard
    ]
    if len(set(told)) > 1:
        return Won(f"{told[0][0]} where there is an account, {told[2][0]} where there is none")
    if target.is_course:
        return Refused("the same for all")
    if messages(unknown) or messages(disabled):
        return Won("somebody without an account got a letter")
    return Refused(f"{told[0][0]} for all, in the same words")


@attack("C16", "Asking again and again fills a mailbox.", wins="broken:C16_every_letter_leaves")
def a_full_mailbox(target: Target) -> Outcome:
    """Ask fifty times at once, each from a network of its own, and ten times later."""
    person = target.person()
    race(lambda _: ask(person), 50)
    for _ in range(10):
        ask(person)
    found = len(messages(person))
    if found != 1:
        return Won(f"{found} letters left in a minute")
    return Refused("sixty asked, one letter left")


@attack("E05", "One token is spent by many at once.", wins="course")
def a_token_spent_twice(target: Target) -> Outcome:
    """Spend one twenty times in the same moment, and nine more if that broke nothing."""
    # On a busy machine the twenty may reach the course one after the other.
    for _ in range(10 if target.is_course else 1):
        person = target.person()
        token = token_of(person)
        replies = race(lambda number: spend(person, token, f"{NEW}, la {number}-ième"), 20)  # noqa: B023 (over before the next)
        spent = sum(reply.ok for reply in replies)
        if spent != 1 or spend(person, token).ok:
            return Won(f"it set {spent} passwords")
    failed = {reply.status for reply in replies if not reply.ok}
    return Refused(f"it set one password, the others heard {sorted(failed)}")


@attack("E06", "A token works long after it was asked for.", wins="course", alone=True)
def an_old_token(target: Target) -> Outcome:
    """Find an email of this morning."""
    person = target.person()
    token = token_of(person)
    target.clock_forward(HOUR + 1)
    if spend(person, token).ok:
        return Won("the token of an hour ago set a password")
    return Refused("the token of an hour ago is over")


@attack("E07", "The token of one account opens another.", wins="broken:E07_any_account")
def my_token_your_account(target: Target) -> Outcome:
    """Ask for themselves, and spend it with the victim's email."""
    me, victim = target.person(), target.person()
    token = token_of(me)
    reply = spend(victim, token)
    if reply.ok or not victim.try_password(victim.password).ok:
        return Won(f"my token was taken for {victim.email}: {reply.status}")
    return Refused("a token belongs to the email it was sent to")


@attack(
    "E10", "An earlier token works after a later one.", wins="broken:E10_tokens_stay", alone=True
)
def an_earlier_token(target: Target) -> Outcome:
    """Keep one while the owner asks again, and while the password and then the email changes."""
    person = target.person()
    first = token_of(person)
    target.clock_forward(GAP + 1)
    second = token_of(person)
    if spend(person, first).ok:
        return Won("the token before the last one works")
    person.sign_in().put("/password", old_password=person.password, new_password=f"{NEW}, encore")
    if spend(person, second).ok:
        return Won("a token from before the password was changed works")
    target.clock_forward(GAP + 1)
    third, moved = token_of(person), target.newcomer()
    if target.cli("users", "email", person.email, moved.email).code:
        raise TargetFails("the email was not changed")
    if spend(person, third).ok or spend(moved, third).ok:
        return Won("a token from before the email was changed works")
    return Refused("a newer token, a new password and a new email each ended the older token")


@attack("E13", "A thief's session survives the reset.", wins="course")
def a_session_outlives_the_reset(target: Target) -> Outcome:
    """Be signed in as the victim while the victim gets back in by email."""
    person = target.person()
    thief = person.sign_in()
    if not spend(person, token_of(person)).ok:
        raise TargetFails("the reset failed")
    if thief.get("/profile").ok:
        return Won("the thief is still signed in")
    return Refused("the reset ended every session")


@attack("E17", "A scanner that opens every link spends it.", wins="broken:E17_looking_spends")
def a_scanner_opens_the_link(target: Target) -> Outcome:
    """Follow the email's link by HEAD and GET, with cookies, before the person does."""
    person = target.person()
    token = token_of(person)
    scanner: Visitor = target.stranger()
    scanner.headers["Accept"] = "text/html"
    for method in ("HEAD", "GET", "GET"):
        scanner.request(method, f"/reset_password?token={token}")
        scanner.request(method, "/reset_password/new")
    if scanner.get("/profile").ok:
        return Won("the scanner is signed in")
    if not spend(person, token).ok:
        return Won("the link is spent before the person came")
    return Refused("looking at the link changes nothing")
