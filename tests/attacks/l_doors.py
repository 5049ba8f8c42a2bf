"""L: which ways in are open, and to whom."""

from __future__ import annotations

import uuid

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.routes import METHODS, PUBLIC, closed, routes
from tests.attacks.target import Target


@attack("L03", "A page that no one thought of is open to attackers.", wins="broken:L03_open_doors")
def a_page_somebody_forgot(target: Target) -> Outcome:
    """Ask as an attacker for every path there is, by every method, and for those made up."""
    there = {(route.method, route.path) for route in routes(target)}
    for route in closed(target):
        for name in ("x", "1", str(uuid.uuid4())):
            for accept in ("application/json", "text/html"):
                reply = target.request(route.method, route.at(name), headers={"Accept": accept})
                location = reply.header("Location") or ""
                turned_away = reply.status == 401 or location.startswith("/sessions/new")
                if not turned_away:
                    return Won(f"{route.method} {route.path} answers {reply.status} to a stranger")
    for path in {path for _, path in there}:
        for method in METHODS:
            reply = target.request(method, path)
            known = (method, path) in there or (method.replace("HEAD", "GET"), path) in PUBLIC
            if not known and reply.status != 405:
                return Won(f"{method} {path} is not in the document and answers {reply.status}")
    return Refused(f"{len(closed(target))} closed doors, and no other is open")


@attack(
    "L04",
    "A name in a path is enough to reach what belongs to another.",
    wins="broken:F10_anybodys_session_by_its_uid",
)
def what_belongs_to_another(target: Target) -> Outcome:
    """Put the names of the victim's things into every path that takes one, by every method."""
    victim, attacker = target.person().sign_in(), target.person().sign_in()
    me = victim.get("/profile").json
    names = (me["session"]["uid"], me["uid"], me["email"], me["session"]["uid"].upper(), "1")
    paths = [path for path in {route.path for route in routes(target)} if "{" in path]
    for path in paths:
        for name in names:
            for method in METHODS:
                at = path.partition("{")[0] + name
                reply = attacker.request(method, at)
                unregistered = attacker.request(method, at.replace(name, str(uuid.uuid4())))
                if reply.ok or (reply.status, reply.body) != (
                    unregistered.status,
                    unregistered.body,
                ):
                    return Won(f"{method} {path} with the victim's name answers {reply.status}")
    if not victim.get("/profile").ok:
        return Won("the victim's session is gone")
    return Refused(f"{len(paths)} paths, and the victim's names are as good as made up ones")
