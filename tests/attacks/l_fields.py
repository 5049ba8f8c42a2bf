"""L: fields that send more, or something else, than they should."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import quote

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply, Visitor
from tests.attacks.target import PASSPHRASE, Person, Target

PLANTED = "planted-by-the-visitor"
NEW_PASSWORD = "douze hiboux dans la grange"

#: Columns there are, and columns one hopes for.
COLUMNS: dict[str, Any] = {
    "id": 987_654,
    "uid": PLANTED,
    "session_id": PLANTED,
    "hashed_password": PLANTED,
    "reset_token": PLANTED,
    "created_at": 987_654,
    "disabled_at": 987_654,
    "role": PLANTED,
    "is_admin": 987_654,
    "email_verified": 987_654,
}

INJECTIONS = (
    "' OR 1=1 OR uid = '",
    "' OR 1=1 --",
    "' OR '1'='1",
    "'",
    '"',
    "'or'1'='1'or'",
    "x' UNION SELECT id, email, hashed_password FROM users --",
    "'; DROP TABLE sessions; --",
    "'||(SELECT hashed_password FROM users LIMIT 1)||'",
    "1) OR (1=1",
    "%' OR uid LIKE '%",
    "\\' OR 1=1 -- ",
    "$$ OR 1=1 $$",
    ":uid",
    "%(uid)s",
    "?",
)

NOT_TEXT: tuple[Any, ...] = (
    {},
    {"$ne": ""},
    [],
    ["a@example.org"],
    [[["x"]]],
    True,
    False,
    0,
    1,
    1.5,
    10**400,
    None,
)


@attack(
    "L01",
    "A field that no one asked for is written into the account.",
    wins=("broken:L01_registers_all_it_is_sent", "broken:L01_updates_all_it_is_sent"),
)
def more_than_was_asked_for(target: Target) -> Outcome:
    """Register, and change the password, with a column more than the form has."""
    for (column, value), medium in itertools.product(COLUMNS.items(), ("form", "json")):
        newcomer, person = target.newcomer(), target.person()
        sent = {"email": newcomer.email, "password": newcomer.password, column: value}
        send(newcomer.visitor, medium, "POST", "/users", sent)
        change = {"old_password": person.password, "new_password": NEW_PASSWORD, column: value}
        send(person.sign_in(), medium, "PUT", "/password", change)
        for whose in (newcomer, person):
            written = [key for key, found in row_of(whose).items() if str(found) == str(value)]
            if written:
                return Won(f"the visitor wrote the column {written[0]}, sent as {medium}")
    return Refused(f"none of {len(COLUMNS)} columns took what was sent")


def send(who: Visitor, medium: str, method: str, path: str, sent: dict[str, Any]) -> Reply:
    """Send the same as form fields or as JSON."""
    if medium == "form":
        return who.request(method, path, form=sent)
    return who.request(method, path, json=sent)


def row_of(person: Person) -> dict[str, Any]:
    """Give the account of a person, or nothing."""
    query = "SELECT * FROM users WHERE email = :email"
    return next(iter(person.target.execute(query, email=person.email)), {})


@attack("L06", "A field is read as SQL.", wins="broken:L06_spliced_into_the_statement")
def sql_in_every_field(target: Target) -> Outcome:
    """Write SQL into every field, every part of a path and every query, and see who notices."""
    bystander, victim, attacker = target.person(), target.person(), target.person()
    watched, browser = bystander.sign_in(), attacker.sign_in()
    tried = 0
    for text in INJECTIONS:
        for reply in injected(target, browser, victim, text):
            tried += 1
            if reply.status >= 500:
                return Won(f"{text!r} broke a statement: {reply.status}")
            if "session_id" in reply.cookies or "$2b$" in reply.text:
                return Won(f"{text!r} was answered {reply.text[:80]!r}")
        if not (watched.get("/profile").ok and browser.get("/profile").ok):
            return Won(f"{text!r} ended sessions it does not name")
    if victim.sign_in().get("/profile").json["email"] != victim.email:
        return Won("the accounts are no longer what they were")
    return Refused(f"{tried} requests, and SQL was a wrong value like any other")


def injected(target: Target, browser: Visitor, victim: Person, text: str) -> list[Reply]:
    """Send a text wherever something is read; none of these should do anything."""
    quoted = quote(text, safe="")
    named = {"email": victim.email, "password": text}
    emails = (text, f"{text.replace(' ', '/**/')}@example.org", f"{victim.email}{text}")
    return [
        browser.delete(f"/sessions/{quoted}"),
        browser.delete(f"/sessions?which={quoted}"),
        browser.delete(f"/sessions?{quoted}=all"),
        browser.get(f"/sessions?order={quoted}&uid={quoted}"),
        browser.put("/password", old_password=text, new_password=PASSPHRASE + text),
        target.request("GET", "/profile", cookie=f"session_id={text}"),
        target.request("POST", "/sessions", form=named, headers={"User-Agent": text}),
        target.request("POST", "/sessions", json=named | {text: text}),
        target.post("/users", email=victim.email, password=PASSPHRASE + text),
        *(target.post("/sessions", email=email, password=victim.password) for email in emails),
        *(target.post("/users", email=email, password="short") for email in emails),
    ]


@attack("L08", "A field that is no text makes the service fail.", wins="course")
def fields_that_are_no_text(target: Target) -> Outcome:
    """Send objects, lists, numbers, true, false and null in the place of every text."""
    person = target.person()
    browser = person.sign_in()
    forms = (
        ("POST", "/users", {"email": target.newcomer().email, "password": PASSPHRASE}),
        ("POST", "/sessions", {"email": person.email, "password": person.password}),
        ("PUT", "/password", {"old_password": person.password, "new_password": NEW_PASSWORD}),
    )
    tried = 0
    for method, path, fields in forms:
        for field, value in itertools.product(fields, NOT_TEXT):
            reply = browser.request(method, path, json=fields | {field: value})
            tried += 1
            if reply.status != 400:
                return Won(f"{method} {path} with {field}: {value!r:.20} answers {reply.status}")
        for value in NOT_TEXT[1:]:
            reply = browser.request(method, path, json=value)
            if reply.status != 400:
                return Won(f"{method} {path} with the body {value!r:.20} answers {reply.status}")
    return Refused(f"{tried} fields were refused with 400 {reply.json['code']}")
