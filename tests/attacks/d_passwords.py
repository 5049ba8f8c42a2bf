"""D: what a password is, how it is kept, and every way to set one."""

from __future__ import annotations

import base64
import hashlib
import unicodedata

import bcrypt

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.e_reset import spend, token_of
from tests.attacks.target import PASSPHRASE, Target

LONG = "correct horse battery staple " * 3  # 87 bytes, 72 of them are what bcrypt reads
COMMON = "qwertyuiopasdfghjklzxcvbnm"
STORED = "SELECT hashed_password FROM users WHERE email = :email"
STORE = "UPDATE users SET hashed_password = :stored WHERE email = :email"


@attack("D01", "Two passwords that begin alike are one.", wins="broken:D01_truncated")
def only_the_beginning_counts(target: Target) -> Outcome:
    """Know how the victim's long passphrase begins, and make up its end."""
    for password, guess in ((LONG + "amber", LONG + "umbra"), ("🐸" * 24, "🐸" * 18 + "🦆" * 6)):
        person = target.person(password)
        if person.try_password(guess).ok:
            return Won(f"{len(guess.encode())} bytes, and only the first 72 were right")
        person.sign_in()
    return Refused("every byte counts")


@attack(
    "D02",
    "A passphrase longer than 72 bytes breaks the service, or locks its owner out.",
    wins=("course", "broken:D02_bcrypt_raises"),
)
def a_long_passphrase_breaks_it(target: Target) -> Outcome:
    """Register with long passphrases, and sign in with them."""
    for password in (LONG, ("b" * 73), "🐸" * 24, "p q r " * 600):
        person = target.newcomer(password)
        reply = person.visitor.post("/users", email=person.email, password=password)
        if not reply.ok:
            return Won(f"{len(password.encode())} bytes: {reply.status} {reply.text.strip()}")
        reply = person.try_password(password)
        if not reply.ok:
            return Won(
                f"{len(password.encode())} bytes were accepted and never open: {reply.status}"
            )
        reply = target.person().try_password(password)
        if reply.status != 401:
            return Won(f"{len(password.encode())} bytes on a short account: {reply.status}")
    if target.is_course:
        return Refused("long passphrases work")
    over = target.newcomer().try_password("p" * 5000)
    return Refused(f"long passphrases work; at 5,000 characters: {over.status} {over.json['code']}")


@attack("D03", "A damaged hash breaks the sign-in.", wins="broken:D03_malformed_hash")
def a_damaged_hash_shows(target: Target) -> Outcome:
    """Try a password on accounts whose stored hash a bad import spoilt."""
    unknown = target.newcomer().try_password(PASSPHRASE)
    for stored in (
        "",
        "!",
        "*",
        "password",
        "$2b$12$short",
        "$2b$02$" + "a" * 53,
        "$2b$31$" + "a" * 53,
        "$2b$99$" + "a" * 53,
        "$2b$04$" + "!" * 53,
        "$2b$04$" + "a" * 53 + "\n",
        "$bcrypt-sha256$v=2,t=2b,r=99$" + "a" * 22 + "$" + "a" * 31,
        "$bcrypt-sha256$v=2,t=2b,r=2$" + "a" * 22 + "$" + "a" * 31,
        "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$argon2id$v=19$m=65536,t=3,p=4$short",
        "é" * 60,
    ):
        person = target.person()
        target.execute(STORE, stored=stored, email=person.email)
        reply = person.try_password(PASSPHRASE)
        if reply.seen != unknown.seen or reply.rounds != unknown.rounds:
            return Won(f"the stored hash {stored!r}: {reply.status}, {reply.rounds} rounds")
    return Refused(f"each is as no account: {unknown.status}, {unknown.rounds} rounds")


@attack("D04", "A password ends at its first NUL.", wins="broken:D04_ends_at_nul")
def a_password_ends_at_nul(target: Target) -> Outcome:
    """Set a password with a NUL in it, and sign in with what stands before it."""
    begins = "neuf grenouilles"
    for guess in (begins, begins + "\0sous la neige"):
        person = target.newcomer(begins + "\0sous la pluie")
        made = person.visitor.post("/users", email=person.email, password=person.password)
        if made.status >= 500:
            return Won(f"a NUL broke the service: {made.status}")
        tried = person.try_password(guess)
        if tried.ok or tried.status >= 500:
            return Won(f"{guess!r} was answered {tried.status}")
        if made.ok:
            person.sign_in()
    return Refused(f"a password with a NUL: {made.status} {made.text.strip()}")


@attack("D05", "A digest from another leak verifies the password.", wins="broken:D05_raw_digest")
def a_digest_is_as_good(target: Target) -> Outcome:
    """Have a digest of the victim's passphrase from another site, and both databases."""
    person = target.person(LONG)
    stored = target.execute(STORED, email=person.email)[0]["hashed_password"]
    salt, made = stored.split("$")[-2:]
    hashed = f"$2b$04${salt}{made}".encode()
    for kind in ("md5", "sha1", "sha256", "sha384", "sha512"):
        leaked = hashlib.new(kind, LONG.encode()).digest()
        for shape in (leaked, leaked.hex().encode(), base64.b64encode(leaked)):
            # bcrypt reads 72 bytes, and some libraries stop at a NUL.
            if bcrypt.checkpw(shape[:72], hashed):
                return Won(f"the {kind} of the passphrase is enough to test it against the hash")
    return Refused("no digest without the account's salt fits the hash")


@attack(
    "D07",
    "The same passphrase fails on another keyboard, or another one passes.",
    wins=("course", "broken:D07_compatible"),
)
def accents_and_look_alikes(target: Target) -> Outcome:
    """Register with é in two characters, and sign in with é in one; then with look-alikes."""
    spoken = "l'été où la forêt brûlait"
    person = target.person(unicodedata.normalize("NFD", spoken))
    if not person.try_password(unicodedata.normalize("NFC", spoken)).ok:
        return Won("the owner typed the same words on another keyboard and stays outside")
    person = target.person("finally five frogs ①")
    for guess in ("ﬁnally ﬁve frogs ①", "finally five frogs 1"):
        if person.try_password(guess).ok:
            return Won(f"{guess!r} passed for {person.password!r}")
    return Refused("one spelling of every letter, and no letter for another")


@attack(
    "D09",
    "A password that everybody tries first is accepted.",
    wins=("course", "broken:D09_change_unchecked", "broken:D09_command_unchecked"),
)
def a_common_password_is_accepted(target: Target) -> Outcome:
    """Set a password from the top of every cracker's list, in each way there is."""
    for password in (COMMON, COMMON.upper(), "password"):
        person = target.newcomer(password)
        if person.visitor.post("/users", email=person.email, password=password).ok:
            return Won(f"one may register with {password!r}")
    if target.is_course:
        return _a_common_password_by_reset(target)
    said = target.cli("users", "add", target.newcomer().email, "--password-stdin", stdin=COMMON)
    if said.code == 0:
        return Won(f"the command line takes {COMMON!r}")
    person = target.person()
    browser = person.sign_in()
    changed = browser.put("/password", old_password=person.password, new_password=COMMON)
    if changed.ok:
        return Won(f"one may change to {COMMON!r}")
    return Refused(f"{changed.status} {changed.json['code']} on every way")


def _a_common_password_by_reset(target: Target) -> Outcome:
    """Choose it where the exercise has its only other way to a password: the reset."""
    person = target.person()
    reply = spend(person, token_of(person), COMMON)
    if reply.ok:
        return Won(f"it is refused at registration, and a reset takes {COMMON!r}")
    return Refused(f"{reply.status} at registration and at the reset")


@attack("D12", "The old password is not needed for a new one.", wins="broken:D12_old_not_compared")
def changing_without_the_old_one(target: Target) -> Outcome:
    """Sit down at a browser that is signed in, and lock its owner out."""
    person = target.person()
    browser = person.sign_in()
    new = "une tout autre phrase de passe"
    for old in (None, "", "wrong", PASSPHRASE[:-1], [PASSPHRASE], {"$ne": ""}, True, 0, "*"):
        sent = {"new_password": new} | ({} if old is None else {"old_password": old})
        reply = browser.request("PUT", "/password", json=sent)
        if reply.ok or reply.status >= 500 or person.try_password(new).ok:
            return Won(f"old_password {old!r} was answered {reply.status}")
    body = b"old_password=wrong&new_password=une+tout+autre+phrase"
    for doubled in (body + b"&old_password=", b"old_password[]=&" + body):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        if browser.request("PUT", "/password", body=doubled, headers=form).ok:
            return Won("a second old password was taken for the first")
    return Refused(f"the last answer was {reply.status} {reply.json['code']}")


@attack("D13", "Signing in makes the account.", wins="broken:D13_made_at_sign_in")
def signing_in_makes_an_account(target: Target) -> Outcome:
    """Sign in with someone's email before they have an account, and wait for them."""
    victim = target.newcomer()
    reply = victim.try_password("the attacker's own passphrase")
    if reply.ok:
        return Won(f"the account of {victim.email} is the attacker's now")
    rows = target.execute("SELECT id FROM users WHERE email = :email", email=victim.email)
    victim.register()
    if rows or victim.try_password("the attacker's own passphrase").ok:
        return Won("the failed sign-in left an account")
    return Refused(f"{reply.status}, and the email was free for its owner")
