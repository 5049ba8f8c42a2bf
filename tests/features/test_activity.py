"""activity: what users and operators read of the audit log."""

from __future__ import annotations

import json
from typing import Any, cast

from flask.testing import FlaskClient
from sqlalchemy import func, select

from bienvenue import Auth
from bienvenue.authentication import CODE
from bienvenue.feature import Event
from bienvenue.features.activity import show
from bienvenue.features.audit import Personal
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.audits import run, tamper
from tests.web.browser import Browser

OTHER = "another passphrase, quite long"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def personal_rows(auth: Auth) -> int:
    """Count the rows whose personal values are there."""
    with auth._db.reading() as tx:
        return tx.scalar(select(func.count()).select_from(Personal)) or 0


def activity(client: FlaskClient) -> list[dict[str, Any]]:
    """Ask for their own activity."""
    answer = client.get("/activity").json
    assert answer is not None
    return cast("list[dict[str, Any]]", answer["activity"])


def test_people_see_their_own_activity(service: Service) -> None:
    """In plain words, newest first, with ip and device; never another's."""
    bob, amy = service.signed_in(), service.signed_in("amy@example.com")
    bob.put("/password", json={"old_password": OTHER, "new_password": OTHER})
    bob.put("/password", json={"old_password": PASSPHRASE, "new_password": OTHER})
    seen = activity(bob)
    assert [event["event"] for event in seen] == [
        "email.queued",
        "password.changed",
        "sessions.ended",
        "password.refused",
        "device.first_seen",
        "session.opened",
        "account.registered",
    ]
    assert seen[0]["email"]["subject"] == "Your Bienvenue password was changed"
    assert seen[2]["reason"] == "password changed"
    assert seen[5] == {
        "at": seen[5]["at"],
        "event": "session.opened",
        "sentence": "A device signed in.",
        "reason": None,
        "times": 1,
        "ip": "127.0.0.1",
        "device": "Unknown device",
        "email": None,
    }
    hers = activity(amy)
    assert [event["event"] for event in hers] == [
        "device.first_seen",
        "session.opened",
        "account.registered",
    ]


def test_attackers_see_nothing(service: Service) -> None:
    """401 for a program, the page of signing in for a browser."""
    service.signed_in()
    assert service.client().get("/activity").status_code == 401
    assert Browser(service).get("/activity").location == "/sessions/new?next=%2Factivity"


def test_the_page_shows_it(service: Service) -> None:
    """What came with a request is text there, however it looks."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    user = service.auth.accounts.find(EMAIL)
    service.auth.publish(
        Event(CODE, "session.opened", user.id, {"agent": "<b>x", "ip": "192.0.2.7"})
    )
    shown = browser.get("/activity").text
    assert "Your account was created." in shown
    assert "192.0.2.7" in shown
    assert "<b>x" not in shown


def test_a_hundred_are_shown_and_all_are_exported(service: Service) -> None:
    """The page has an end; a person's data has not."""
    client = service.signed_in()
    user = service.auth.accounts.find(EMAIL)
    for _ in range(110):
        service.auth.publish(Event(CODE, "password.refused", user.id, {"ip": "192.0.2.7"}))
    assert len(activity(client)) == 100
    exported = service.auth.export(user.id)["activity"]
    assert len(exported) == 113
    assert exported[0].keys() == {"at", "event", "times", "ip", "actor", "channel"}
    assert exported[-1]["event"] == "account.registered"


def test_the_command_shows_the_audit_log(service: Service) -> None:
    """Of everybody or of one person, deleted ones by their number, with control codes escaped."""
    for email in (EMAIL, "amy@example.com"):
        service.auth.register_user(email, PASSPHRASE)
    bob = service.auth.accounts.find(EMAIL)
    service.auth.publish(Event(CODE, "session.opened", bob.id, {"agent": "x\n\x1b[2J"}))
    service.auth.publish(
        Event(CODE, "rate_limit.reached", None, {"policy": "account"}, counted="key")
    )
    tamper(service.auth, "UPDATE audit_log SET times = 7 WHERE name = 'rate_limit.reached'")
    lines = run(service, show).output.splitlines()
    assert len(lines) == 4
    code = '"actor": "code"'
    assert lines[0].endswith(
        f'rate_limit.reached x7  -  {{{code}, "channel": "code", "policy": "account"}}'
    )
    assert lines[1].endswith(
        f'session.opened  {bob.uid}  {{{code}, "channel": "code", "agent": "x\\n\\u001b[2J"}}'
    )
    amy = service.auth.accounts.find("amy@example.com")
    assert lines[2].endswith(f'account.registered  {amy.uid}  {{{code}, "channel": "code"}}')
    assert run(service, show, "--limit", "1").output.splitlines() == lines[:1]
    assert run(service, show, "--user", EMAIL).output.splitlines() == [lines[1], lines[3]]
    service.auth.accounts.delete(CODE, EMAIL)
    deleted = run(service, show, "--user", str(bob.id), "--json").output.splitlines()
    newest = json.loads(deleted[0])
    assert (newest["event"], newest["user"], newest["user_id"]) == ("account.deleted", None, bob.id)
    assert newest.keys() >= {"id", "at", "facts", "personal", "times", "batch"}
    assert f"deleted account {bob.id}" in run(service, show).output
