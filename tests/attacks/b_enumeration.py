"""B: who has an account, from what an attacker can see or clock.

Hashing is nearly all the time a sign-in takes, so its cost is compared in bcrypt rounds, exactly;
a clock would have to guess.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply
from tests.attacks.target import PASSPHRASE, Target, TargetFails

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


#: What other systems stored of one passphrase, each at a cost of its own.
BROUGHT_ALONG = (
    "scrypt:1024:8:1$iuvg80mwDaMIGkOY$",
    "scrypt:4096:8:1$iuvg80mwDaMIGkOY$",
    "pbkdf2:sha256:1000$Qd2HDd9EbBLyR37d$",
    "pbkdf2:sha256:5000$Qd2HDd9EbBLyR37d$",
    "pbkdf2:sha512:3000$OBleMNqiy6SXb0KY$",
)


@attack(
    "B05",
    "An account that was brought along fails otherwise than one that is not there.",
    wins=("broken:B04_pretends_ours_alone", "broken:B05_foreign_alone"),
)
def brought_along_accounts_fail_otherwise(target: Target) -> Outcome:
    """Try wrong passwords on accounts of every kind of hash, and on one of ours, and on none."""
    lines, emails = ["email,password_hash"], []
    for begun in BROUGHT_ALONG:
        emails.append(target.newcomer().email)
        lines.append(f"{emails[-1]},{begun}{hashed(begun, PASSPHRASE)}")
    file = target.folder / "people.csv"
    file.write_text("\n".join([*lines, ""]))
    said = target.cli("users", "import", str(file))
    if said.code:
        raise TargetFails(f"the import said {said.text}")
    unknown = target.newcomer().try_password(WRONG)
    for email in (*emails, target.person().email):
        known = target.post("/sessions", email=email, password=WRONG)
        if evidence := told_apart(known, unknown):
            return Won(evidence)
    opened = target.post("/sessions", email=emails[0], password=PASSPHRASE)
    if not opened.ok:
        raise TargetFails(f"an account that was brought along does not open: {opened.text}")
    return Refused(f"{unknown.rounds} units for all {len(emails)} kinds, for ours and for none")


def hashed(begun: str, password: str) -> str:
    """Finish a hash of Werkzeug as it would, in hexadecimal."""
    method, salt, _ = begun.split("$")
    kind, *numbers = method.split(":")
    if kind == "pbkdf2":
        digest, rounds = numbers
        return hashlib.pbkdf2_hmac(digest, password.encode(), salt.encode(), int(rounds)).hex()
    n, r, p = map(int, numbers)
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=n, r=r, p=p).hex()


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
