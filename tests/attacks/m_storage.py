"""M: a database that cannot be written to."""

from __future__ import annotations

from collections.abc import Callable

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply
from tests.attacks.m_troubles import Trouble, exhausted, locked, read_only
from tests.attacks.target import Person, Target
from tests.races import race

NEW_PASSWORD = "douze hiboux dans la grange"


@attack("M04", "A locked database makes errors and half rows.", wins="course")
def the_database_is_locked(target: Target) -> Outcome:
    """Another program holds the lock while four people write."""
    return writing_in(target, locked)


@attack("M04", "A read-only database makes errors and half rows.", wins="course")
def the_database_is_read_only(target: Target) -> Outcome:
    """The database can only be read while four people write."""
    return writing_in(target, read_only)


@attack("M04", "A full or absent database makes errors and half rows.", wins="course")
def the_database_is_exhausted(target: Target) -> Outcome:
    """There is no page left, or no connection, while four people write."""
    return writing_in(target, exhausted)


def writing_in(target: Target, trouble: Trouble) -> Outcome:
    """Register, sign in, change a password and sign out in trouble, and again when it is over."""
    newcomer, one, two, three = target.newcomer(), *(target.person() for _ in range(3))
    changing, leaving = two.sign_in(), three.sign_in()
    change = {"old_password": two.password, "new_password": NEW_PASSWORD}
    writes: list[Callable[[], Reply]] = [
        lambda: target.post("/users", email=newcomer.email, password=newcomer.password),
        lambda: one.try_password(one.password),
        lambda: changing.put("/password", **change),
        lambda: leaving.delete("/sessions"),
    ]
    with trouble(target):
        replies = race(lambda n: writes[n](), len(writes))
    registered, signed_in, changed, left = (reply.ok for reply in replies)
    for reply in replies:
        if not reply.ok and not says_unavailable(reply):
            return Won(f"{reply.status} {reply.text[:60]!r} {dict(reply.headers)}")
    if registered is not bool(rows_of(newcomer, "users")):
        return Won("the new account is there and was refused, or the other way round")
    if signed_in is not bool(rows_of(one, "sessions")) or left is bool(rows_of(three, "sessions")):
        return Won("a session is there that should not be, or the other way round")
    if changed is not two.try_password(NEW_PASSWORD).ok:
        return Won("the new password opens the account and was refused, or the other way round")
    again = [write() for write, reply in zip(writes, replies, strict=True) if not reply.ok]
    if not all(reply.ok for reply in again):
        return Won(f"it did not recover: {[reply.status for reply in again]}")
    refused = len(again)
    return Refused(f"{refused} of 4 writes were answered 503, kept nothing and worked afterwards")


def says_unavailable(reply: Reply) -> bool:
    """Tell whether an answer says, as it should, that one may come back in a moment."""
    return (
        reply.status == 503
        and reply.header("Content-Type") == "application/problem+json"
        and str(reply.header("Retry-After")).isdigit()
        and not reply.cookies
    )


def rows_of(person: Person, table: str) -> list[object]:
    """Give the rows of a person in a table."""
    dump = person.target.dump()
    ids = [user["id"] for user in dump["users"] if user["email"] == person.email]
    key = "id" if table == "users" else "user_id"
    return [row for row in dump[table] if row[key] in ids]
