"""B: who has an account, from what an attacker can see or clock.

Hashing is nearly all the time a sign-in takes, so its cost is compared in bcrypt rounds, exactly;
a clock would have to guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply
from tests.attacks.target import PASSPHRASE, Target

#: Times, lengths of texts that name the person, and random names.
_NO_COUNT = re.compile(
    r"^(Date|Content-Length|X-Request-Id): .*|Expires=[^;]*|(session|device)_id=\S*|[0-9a-f-]{36}"
    r"|\d{4}-\d\d-\d\dT[\d:]*Z",
    re.MULTILINE,
)
WRONG = "une phrase que personne ne dit"


def told_apart(known: Reply, unknown: Reply) -> str | None:
    """Say by what an attacker can tell two answers apart, if by anything."""
    if known.seen != unknown.seen:
        return f"{known.status} {known.text.strip()!r} or {unknown.status} {unknown.text.strip()!r}"
    if known.rounds != unknown.rounds:
        return f"the same words, and {known.rounds} rounds of bcrypt or {unknown.rounds}"
    return None


@attack("B01", "A sign-in that fails is faster when there is no account.", wins="course")
def failing_faster_for_nobody(target: Target) -> Outcome:
    """Try a wrong password where there is an account, and where there is none."""
    for password in (WRONG, WRONG * 4):
        known = target.person().try_password(password)
        unknown = target.newcomer().try_password(password)
        if evidence := told_apart(known, unknown):
            return Won(evidence)
    return Refused(f"{known.status} and {known.rounds} rounds for both")


@attack("B03", "A disabled account says so to everybody.", wins="broken:B03_disabled_first")
def disabled_accounts_show(target: Target) -> Outcome:
    """Try a wrong password on an account that an administrator disabled."""
    person = target.person()
    target.cli("users", "disable", person.email)
    disabled = person.try_password(WRONG)
    unknown = target.newcomer().try_password(WRONG)
    if evidence := told_apart(disabled, unknown):
        return Won(evidence)
    owner = person.try_password(person.password)
    if owner.ok:
        return Won("the disabled account was opened")
    return Refused(f"a stranger hears {disabled.status}, the owner {owner.json['code']}")


@attack("B04", "The pretended hash keeps its old cost.", wins="broken:B04_stale_dummy")
def the_dummy_is_cheaper(target: Target) -> Outcome:
    """Wait until the operator raises the cost, then compare both kinds of failure again."""
    for node in (target, target.node(bcrypt_cost="6")):
        known = node.person().try_password(WRONG)
        unknown = node.newcomer().try_password(WRONG)
        if evidence := told_apart(known, unknown):
            return Won(evidence)
    return Refused(f"{known.rounds} rounds for both at the new cost")


@attack("B05", "A failure at an old account is cheaper.", wins="broken:B05_no_top_up")
def old_accounts_fail_faster(target: Target) -> Outcome:
    """Raise the cost, and try wrong passwords on accounts from before."""
    node = target.node(bcrypt_cost="6")
    for password in (PASSPHRASE, PASSPHRASE * 4):
        person = target.person(password)
        for guess in (WRONG, WRONG * 4):
            sent = {"email": person.email, "password": guess}
            old = node.request("POST", "/sessions", form=sent)
            unknown = node.newcomer().try_password(guess)
            if evidence := told_apart(old, unknown):
                return Won(evidence)
    return Refused(f"{old.rounds} rounds for both, though one hash was made at cost 4")


@attack("B05", "An old account stays cheap to crack.", wins="broken:B05_no_rehash")
def old_hashes_stay(target: Target) -> Outcome:
    """Raise the cost, let the owner sign in, and look at the stolen database."""
    person = target.person()
    node = target.node(bcrypt_cost="6")
    sent = {"email": person.email, "password": person.password}
    node.request("POST", "/sessions", form=sent)
    query = "SELECT hashed_password FROM users WHERE email = :email"
    stored = target.execute(query, email=person.email)[0]["hashed_password"]
    if not stored.startswith("$2b$06$"):
        return Won(f"the owner signed in and the hash is still {stored[:7]}…")
    if not target.request("POST", "/sessions", form=sent).ok:
        return Won("the replaced hash no longer knows its password")
    return Refused(f"the first sign-in made it {stored[:7]}…")


@attack(
    "B12",
    "A field left out or too long is refused otherwise for a real account.",
    wins=("course", "broken:B12_form_checked_late"),
)
def checked_after_the_look_up(target: Target) -> Outcome:
    """Send sign-ins that can never work, for an account and for none."""
    for password in (None, "", "x" * 5000, "x\0y", "\ufeff" * 2000):
        known, unknown = (
            target.request(
                "POST",
                "/sessions",
                form={"email": who.email} | ({} if password is None else {"password": password}),
            )
            for who in (target.person(), target.newcomer())
        )
        if evidence := told_apart(known, unknown):
            return Won(evidence)
    for email in (
        "nobody",
        "a@b@example.org",
        "x" * 300 + "@example.org",
        "@",
        "\uff42ob@example.org",
    ):
        reply = target.post("/sessions", email=email, password=PASSPHRASE)
        if reply.rounds or reply.status != 400:
            return Won(f"the malformed email {email[:20]!r} was looked up: {reply.status}")
    return Refused("what cannot be a sign-in is refused before anybody is looked up")


@attack("B14", "An answer counts the accounts.", wins="broken:B14_id_in_answer")
def numbers_that_count(target: Target) -> Outcome:
    """Register two people one after the other, and look for a number that grew by one."""
    first, second = (list(_numbers(target)) for _ in range(2))
    for (place, one), (_, other) in zip(first, second, strict=True):
        if other - one == 1:
            return Won(f"{place} was {one} and then {other}")
    return Refused(f"none of {len(first)} numbers counts anything")


def _numbers(target: Target) -> Iterator[tuple[str, int]]:
    """Give every number in what a new person is told, but for times and random names."""
    person = target.newcomer()
    browser = target.visitor()
    sent = {"email": person.email, "password": person.password}
    for method, path in (
        ("POST", "/users"),
        ("POST", "/sessions"),
        ("GET", "/profile"),
        ("GET", "/sessions"),
    ):
        reply = browser.request(method, path, form=sent if method == "POST" else None)
        told = [f"{name}: {value}" for name, value in reply.headers] + [reply.text]
        text = _NO_COUNT.sub("", "\n".join(told).replace(person.email, ""))
        for number in re.finditer(r".{,20}?(\d+)", text):
            yield f"{method} {path} …{number[0]}", int(number[1])
