"""A: the mistakes one makes by writing the exercise down as it stands."""

from __future__ import annotations

import math
from base64 import urlsafe_b64encode

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply
from tests.attacks.target import PASSPHRASE, Person, Target
from tests.races import race


@attack("A02", "A cookie without a value is someone's session.", wins="broken:A02_optional_filter")
def empty_cookie_is_a_session(target: Target) -> Outcome:
    """Someone is signed in; an attacker shows the cookies of no one."""
    target.person().sign_in()
    for cookie in (None, "session_id=", "session_id=None", "session_id=null", "session_id"):
        reply = target.request("GET", "/profile", cookie=cookie)
        if reply.ok:
            return Won(f"the cookie {cookie!r} is the session of {reply.json['email']}")
    return Refused("no empty cookie opened a profile")


@attack(
    "A03", "The visitor names the column an account is looked up by.", wins="broken:A03_any_column"
)
def lookup_by_a_column_of_ones_choice(target: Target) -> Outcome:
    """Sign in with no email at all: count through the ids with a password people use."""
    target.person()
    for number in range(1, 6):
        reply = target.post("/sessions", id=str(number), password=PASSPHRASE)
        if reply.ok:
            return Won(f"id={number} and a password opened an account; no email was needed")
    for column in ("id", "uid", "session_id", "reset_token", "hashed_password"):
        person = target.person()
        sent = {"email": person.email, "password": person.password, column: ""}
        if target.request("POST", "/sessions", form=sent).ok:
            return Won(f"the field {column} was taken beside the email")
    return Refused(f"a field that is not asked for: {reply.status} {reply.text.strip()}")


@attack("A05", "Signing in on a second device throws out the first.", wins="course")
def one_session_a_person(target: Target) -> Outcome:
    """Sign in on a telephone and on a laptop, then out of one of the two."""
    person = target.person()
    telephone, laptop = person.sign_in(), person.sign_in()
    if not telephone.get("/profile").ok:
        return Won("the sign-in on the laptop ended the session of the telephone")
    listed = ["telephone", "laptop"]
    if not target.is_course:
        listed = telephone.get("/sessions").json["sessions"]
    telephone.delete("/sessions")
    if telephone.get("/profile").ok:
        return Won("the telephone signed out and is still in")
    if not laptop.get("/profile").ok:
        return Won("the telephone signed out, and the laptop with it")
    return Refused(f"{len(listed)} devices, and each ends alone")


@attack("A06", "A stolen copy of the database opens everybody's session.", wins="course")
def the_dump_opens_sessions(target: Target) -> Outcome:
    """Copy the database, and show every value in it that could be a secret as their own."""
    victim = target.person()
    victim.sign_in()
    rows = [row for table in target.dump().values() for row in table]
    secrets = {spelt for row in rows for value in row.values() for spelt in _spellings(value)}
    for secret in sorted(secrets):
        reply = target.request("GET", "/profile", cookie=f"session_id={secret}")
        if reply.ok:
            return Won(f"a value of the table is the session of {reply.json['email']}")
        sent = {"email": victim.email, "reset_token": secret, "new_password": PASSPHRASE}
        if target.request("PUT", "/reset_password", form=sent).ok:
            return Won("a value of the table is a reset token")
    return Refused(f"{len(secrets)} values of {len(rows)} rows opened nothing")


def _spellings(value: object) -> set[str]:
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return {raw.hex(), urlsafe_b64encode(raw).decode().rstrip("=")}
    is_secret = isinstance(value, str) and len(value) >= 16 and "@" not in value
    return {value} if is_secret and isinstance(value, str) else set()


@attack("A07", "A session's secret has fewer than 128 random bits.", wins="course")
def secrets_can_be_guessed(target: Target) -> Outcome:
    """Gather secrets, and count how many symbols really occur at each place."""
    person = target.person()
    secrets = [person.sign_in().cookies["session_id"] for _ in range(40)]
    if len(set(secrets)) < len(secrets):
        return Won("a secret came twice")
    bits = sum(math.log2(len(set(place))) for place in zip(*secrets, strict=True))
    same = sum(len(set(place)) == 1 for place in zip(*secrets, strict=True))
    evidence = f"at most {bits:.0f} bits, {same} places of {len(secrets[0])} are always the same"
    return Won(evidence) if bits < 128 or same else Refused(evidence)


@attack("A08", "Fifty registrations at once make the same account many times.", wins="course")
def the_same_account_many_times(target: Target) -> Outcome:
    """Register one email from fifty connections in the same moment, and again if nothing broke."""
    for _ in range(3):
        person = target.newcomer()
        replies = _fifty_times(person)
        rows = target.execute("SELECT id FROM users WHERE email = :email", email=person.email)
        made = [reply for reply in replies if reply.ok]
        broken = [reply for reply in replies if reply.status >= 500]
        others = {reply.seen for reply in replies if not reply.ok}
        evidence = f"{len(rows)} rows, {len(made)} times made, {len(broken)} errors"
        if len(rows) != 1 or len(made) != 1 or broken or len(others) != 1:
            return Won(evidence)
    return Refused(evidence)


def _fifty_times(person: Person) -> list[Reply]:
    sent = {"email": person.email, "password": person.password}
    return race(lambda _: person.target.request("POST", "/users", form=sent))
