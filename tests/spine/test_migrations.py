"""Migrations keep what is stored: rows of every table, as an earlier release left them.

`data/rows-0013.json` was written by the service at commit e7a344a: accounts in every state, open
sessions, a sealed audit log, emails that wait, and one outstanding link of every kind.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import inspect, text

from bienvenue import DB, clock, schema
from bienvenue.authentication import CODE
from tests.conftest import Clock, MakeService, Service
from tests.databases import KINDS, Databases
from tests.features.password_resets import text_of
from tests.features.registrations import SMTP
from tests.spine.test_schema import upgrade_to

pytestmark = pytest.mark.statements

BEFORE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "rows-0013.json").read_text())
LINKS: dict[str, str] = BEFORE["links"]
PASSWORD = BEFORE["password"]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """The URL of a database of version 0013 with all rows."""
    made = databases.fresh(request.param, migrated=False)
    db = DB(made)
    fill(db)
    db.close()
    yield made
    databases.drop(made)


def fill(db: DB) -> None:
    """Migrate a database to version 0013, and write all rows into it."""
    upgrade_to(db, "0013")
    with db.connect() as connection:
        rows = BEFORE["rows"]
        for name in sorted(rows, key=lambda name: name != "users"):
            table = f"{db.table_prefix}{name}"
            for row in rows[name]:
                values = {name: _value(value) for name, value in row.items()}
                named = ", ".join(f'"{name}"' for name in values)
                given = ", ".join(f":{name}" for name in values)
                connection.execute(text(f"INSERT INTO {table} ({named}) VALUES ({given})"), values)
            if connection.dialect.name == "postgresql" and "id" in (rows[name] or [{}])[0]:
                connection.execute(
                    text(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id))"
                        f" FROM {table}"
                    )
                )


def contents(db: DB) -> dict[str, Any]:
    """Give every row of every table, by the name of the table without its prefix."""
    found = {}
    with db.connect(writes=False) as connection:
        for table in inspect(connection).get_table_names():
            rows = connection.execute(text(f"SELECT * FROM {table}")).mappings().all()
            found[table.removeprefix(db.table_prefix)] = sorted(
                str({name: row[name] for name in row if name not in {"uid", "digest"}})
                for row in rows
            )
    return found


def test_tables_with_a_prefix_migrate_to_the_same_rows(url: str, databases: Databases) -> None:
    """Also what migrations write as text, and the numbers of the rows to come."""
    plain = DB(url)
    schema.upgrade(plain)
    other = databases.fresh("postgresql" if plain.on_postgresql else "sqlite", migrated=False)
    prefixed = DB(other, "auth_")
    fill(prefixed)
    schema.upgrade(prefixed)
    assert contents(prefixed) == contents(plain)
    ids = [db.add_user("new@example.com", "!").id for db in (plain, prefixed)]
    assert ids[0] == ids[1]
    for db in (plain, prefixed):
        db.close()
    databases.drop(other)


@pytest.fixture
def database(url: str) -> str:
    """The same database, for a service on it: no other one is made."""
    return url


def _value(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


@pytest.fixture
def upgraded(url: str, make_service: MakeService, moving_clock: Clock, tmp_path: Path) -> Service:
    """A service on the upgraded database, a minute after its last row was written."""
    db = DB(url)
    assert schema.upgrade(db) == schema.newest()
    db.close()
    moving_clock.time = BEFORE["now"] + 60
    key = tmp_path / "key-of-before"
    key.write_text(BEFORE["key"])
    return make_service(secret_key_file=key, **SMTP)


def test_every_table_of_before_has_a_row() -> None:
    """Else this file would show less than it says."""
    assert [name for name, rows in BEFORE["rows"].items() if not rows] == []
    assert len(BEFORE["rows"]) == 18


@pytest.mark.usefixtures("upgraded")
def test_no_table_of_before_is_left_and_no_row_is_lost(url: str) -> None:
    """What has its own table keeps its rows; the links stand in one table."""
    counts = {}
    db = DB(url)
    with db.connect(writes=False) as connection:
        for table in inspect(connection).get_table_names():
            counts[table] = connection.scalar(text(f"SELECT count(*) FROM {table}"))
    db.close()
    before = {table: len(rows) for table, rows in BEFORE["rows"].items()}
    same = {
        "users": "users",
        "sessions": "sessions",
        "known_devices": "devices",
        "rate_limits": "limits",
        "messages": "mail",
        "email_requests": "mail_asked",
        "audit_log": "audit",
        "audit_personal": "audit_personal",
        "audit_batches": "audit_seals",
        "verified_emails": "proofs",
        "account_closures": "leavings",
        "preferences": "preferences",
    }
    assert {now: counts[now] for now in same} == {now: before[old] for now, old in same.items()}
    # A change of the email and a notification email are a request and a link each.
    assert counts["one_time_tokens"] == len(LINKS) + 2
    assert counts["notification_emails"] == 1
    assert counts.keys() == {
        *same,
        "one_time_tokens",
        "notification_emails",
        "foreign_hash_costs",
        "imported_users",
        "authentications",
        "group_memberships",
        "access_tokens",
        "custom_fields",
        schema.VERSION_TABLE,
    }


def test_sessions_and_known_browsers_go_on(upgraded: Service) -> None:
    """With the cookie of before; RFC 8176 has the name of how it was opened."""
    client = upgraded.client()
    client.set_cookie("session_id", BEFORE["secrets"]["session"])
    profile = client.get("/profile").get_json()
    assert profile["email"] == "alice@example.com"
    me = upgraded.auth.sessions.check(BEFORE["secrets"]["session"])
    assert me is not None
    assert (me.amr, me.ip) == ("pwd", "192.0.2.7")
    assert upgraded.auth.known_devices.knows("alice@example.com", BEFORE["secrets"]["device"])
    assert not upgraded.auth.known_devices.knows("bob@example.com", BEFORE["secrets"]["device"])


def test_everybody_signs_in_as_before(upgraded: Service) -> None:
    """Open, enabled again and verified accounts; the closed one and a wrong password do not."""
    for name in ("alice", "robert", "carol", "erin", "ivan"):
        sent = {"email": f"{name}@example.com", "password": PASSWORD}
        assert upgraded.client().post("/sessions", json=sent).status_code == 200, name
    sent = {"email": "dave@example.com", "password": PASSWORD}
    assert upgraded.client().post("/sessions", json=sent).get_json()["code"] == "account_closed"


def test_failures_and_preferences_are_counted_on(upgraded: Service) -> None:
    """The counts of before hold for unknown devices, by their word of today."""
    counts = {row.kind: row for row in upgraded.auth.rate_limits.find("frank@example.com")}
    before = {row["kind"]: row for row in BEFORE["rows"]["limits"]}
    assert counts.keys() == {"consecutive", "unknown"}
    for now, old in (("consecutive", "consecutive"), ("unknown", "stranger")):
        assert counts[now].failures >= 11
        assert old in before
        assert counts[now].unknown_device_failures == counts[now].failures
    alice = upgraded.auth.accounts.find("alice@example.com")
    assert upgraded.auth.preferences.language_of(alice.id) == "fr"
    assert upgraded.auth.registration.verified_at(
        upgraded.auth.accounts.find("ivan@example.com").id
    )


def test_the_audit_log_verifies_and_reads_in_the_words_of_today(upgraded: Service) -> None:
    """The sealed bytes are those of before; old names of events and facts are mapped when read."""
    (sealed,) = BEFORE["rows"]["audit_seals"]
    report = upgraded.auth.audit.verify(f"1:{sealed['mac'][:32]}")
    assert (report.problem, report.batches, report.rows) == (None, 1, sealed["size"])
    assert upgraded.auth.audit.seal() > 0
    assert upgraded.auth.audit.verify().problem is None
    declared = {name for feature in upgraded.auth.features for name in feature.events}
    entries = upgraded.auth.audit.list(None, None)
    assert {entry.name for entry in entries} <= declared
    assert {name for entry in entries for name in entry.facts} <= {
        "message",
        "message_uid",
        "policy",
        "reason",
        "session",
    }
    assert "notification_email" in {name for entry in entries for name in entry.personal}
    kinds = {entry.facts["message"] for entry in entries if "message" in entry.facts}
    assert kinds <= {message.kind for message in upgraded.auth.mail.list(1000)}
    reasons = {entry.facts["reason"] for entry in entries if "reason" in entry.facts}
    assert reasons == {"account closed", "account disabled", "email changed"}


def test_emails_that_wait_are_sent_with_their_links(upgraded: Service) -> None:
    """Each has a template by its kind of today, and its link as it was encrypted."""
    messages = upgraded.auth.mail.list(1000)
    assert len(messages) == len(BEFORE["rows"]["mail"])
    read = [text_of(upgraded, message) for message in messages]
    for link in LINKS.values():
        assert sum(link in one for one in read) == 1, link


Spent = Callable[[FlaskClient, str], Any]

SPENDING: dict[str, tuple[bool, Spent]] = {
    "password_reset": (
        False,
        lambda client, _: client.put(
            "/reset_password",
            json={"email": "carol@example.com", "new_password": "sept grenouilles sur un nuage"},
        ),
    ),
    "verification": (
        False,
        lambda client, path: client.post(path, json={"password": PASSWORD}),
    ),
    "invitation": (
        False,
        lambda client, _: client.post(
            "/users", json={"email": "hugo@example.com", "password": PASSWORD}
        ),
    ),
    "email_change": (True, lambda client, path: client.post(path, json={})),
    "email_restore": (False, lambda client, path: client.post(path, json={})),
    "notification_email": (False, lambda client, path: client.post(path, json={})),
    "reopening": (False, lambda client, path: client.post(path, json={})),
}


@pytest.mark.table
@pytest.mark.parametrize("kind", LINKS)
def test_a_link_in_a_mailbox_leads_on_and_works_once(upgraded: Service, kind: str) -> None:
    """At its path of before, which leads to the page of today; then it is spent as ever."""
    signed_in, spend = SPENDING[kind]
    client = upgraded.client()
    if signed_in:
        client.set_cookie("session_id", BEFORE["secrets"]["session"])
    link = urlsplit(LINKS[kind])
    answer = client.get(f"{link.path}?{link.query}")
    for _ in range(3):
        if answer.status_code not in {303, 308}:
            break
        path = str(answer.location)
        answer = client.get(path)
    assert answer.status_code == 200, answer.text
    spent = spend(client, path)
    assert spent.status_code in {200, 201}, spent.text
    # A taken email hears what a free one does.
    assert spend(client, path).status_code in ({202} if kind == "invitation" else {401, 403})


def test_what_was_kept_for_an_account_is_kept(upgraded: Service) -> None:
    """The former email, the day of deletion, the export in its words of today."""
    auth = upgraded.auth
    sent = {"email": "bob@example.com", "password": PASSWORD}
    auth.mail.settings = auth.mail.settings.model_copy(update={"smtp_host": None})
    assert upgraded.client().post("/users", json=sent).get_json()["code"] == "email_taken"
    robert = auth.export(auth.accounts.find("robert@example.com").id)
    assert [row["email"] for row in robert["former_emails"]] == ["bob@example.com"]
    dave = auth.export(auth.accounts.find("dave@example.com").id)
    (closed,) = BEFORE["rows"]["leavings"]
    assert dave["account_closure"] == {
        "closed_at": clock.written(closed["at"]),
        "delete_at": clock.written(closed["due"]),
    }
    alice = auth.export(auth.accounts.find("alice@example.com").id)
    assert alice["notification_email"]["email"] == "alice@example.net"
    assert alice["notification_email"]["waiting"] == "a@example.org"
    assert alice["email_change"]["new"] == "alice.new@example.com"
    assert [email for email, *_ in auth.registration.list()] == ["gina@example.com"]
    assert [row.sent_to for row in auth.invitations.list()] == ["hugo@example.com"]


def test_ids_of_before_are_never_given_again(upgraded: Service) -> None:
    """The numbers of rows go on where they stood, also where the last row is gone by then."""
    upgraded.auth.accounts.disable(CODE, "alice@example.com")
    newest = max(entry.id for entry in upgraded.auth.audit.list(None, 5))
    assert newest > max(row["id"] for row in BEFORE["rows"]["audit"])
    user = upgraded.auth.accounts.add(CODE, "zoe@example.com", "!")
    assert user.id > max(row["id"] for row in BEFORE["rows"]["users"])
