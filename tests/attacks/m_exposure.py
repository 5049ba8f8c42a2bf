"""M: what a developer leaves open, and an operator never looks at."""

from __future__ import annotations

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.m_guards import away
from tests.attacks.target import Target

#: Where frames, servers and their tools show what goes on inside.
LEFT_OPEN = (
    "/console",
    "/?__debugger__=yes&cmd=resource&f=debugger.js",
    "/debug",
    "/_debug",
    "/metrics",
    "/status",
    "/server-status",
    "/admin",
    "/graphql",
    "/.env",
    "/.git/config",
    "/static/../settings.py",
    "/static/%2e%2e/settings.py",
    "/static/",
    "/instance/keys",
    "/bienvenue.db",
)
#: What only the inside of the program says.
INSIDE = ("Traceback", 'File "', ".py", "sqlalchemy", "SELECT ", "sqlite", "psycopg", "werkzeug")


@attack(
    "M11",
    "A page for developers, or an error, shows the inside.",
    wins="broken:M11_errors_say_why",
    alone=True,
    noisy=True,
)
def the_inside_is_shown(target: Target) -> Outcome:
    """Ask for what tools leave open, and cause an error that no one expects."""
    front = target.get("/").text
    for path in LEFT_OPEN:
        reply = target.get(path)
        # A query changes nothing of the first page.
        if reply.ok and reply.text != front:
            return Won(f"{path} answers {reply.status}")
    person = target.person()
    with away(target, "audit_log"):
        replies = [person.try_password(person.password), target.get("/profile")]
        replies += [target.post("/users", email="eve@example.org", password=person.password)]
    if not any(reply.status >= 500 for reply in replies):
        return Won("the error that was caused was none")
    for reply in replies:
        for said in INSIDE:
            if said.lower() in reply.text.lower():
                return Won(f"an error of {reply.status} says {said!r}")
    return Refused(f"{len(LEFT_OPEN)} paths show nothing, and neither does an error")
