"""M: whatever decides who may come in fails, one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.f_sessions import with_cookie
from tests.attacks.routes import closed
from tests.attacks.target import Target

#: The tables that a sign-in or a session check asks.
GUARDS = ("users", "sessions", "rate_limits", "known_devices", "audit_log", "audit_personal")


@attack(
    "M15",
    "A guard that fails lets everybody in.",
    wins="broken:M15_remembers_when_it_fails",
    alone=True,
    noisy=True,
)
def a_guard_that_fails(target: Target) -> Outcome:
    """Take the tables away one by one, and come with what each of them should refuse."""
    ended, disabled = target.person(), target.person()
    browser = ended.sign_in()
    copied = browser.cookies["session_id"]
    tried = closed(target)
    for route in tried:
        if route.method == "GET":
            with_cookie(target, copied).get(route.at("x"))
    browser.delete("/sessions")
    target.cli("users", "disable", disabled.email)
    for table in GUARDS:
        with away(target, table):
            for route in tried:
                for visitor in (with_cookie(target, copied), target.visitor()):
                    if (reply := visitor.request(route.method, route.at("x"))).ok:
                        return Won(f"without {table} {route.method} {route.path}: {reply.status}")
            for person, password in ((ended, "not the password at all"), (disabled, None)):
                reply = person.try_password(password or person.password)
                if reply.ok or reply.cookie("session_id"):
                    return Won(f"without {table} somebody signs in: {reply.status}")
        if not ended.try_password(ended.password).ok:
            return Won(f"nobody comes in any more once {table} is back")
    return Refused(f"{len(GUARDS)} guards failed, and nobody came in by {len(tried)} paths")


@contextlib.contextmanager
def away(target: Target, table: str) -> Iterator[None]:
    """Take a table away until the block ends."""
    target.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        yield
    finally:
        target.execute(f"ALTER TABLE {table}_away RENAME TO {table}")
