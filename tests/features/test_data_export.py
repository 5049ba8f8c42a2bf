"""account_closure: what `GET /export` holds is everything, and nothing of anyone else."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Table, insert, select
from sqlalchemy.exc import NoResultFound

from bienvenue import clock
from bienvenue.authentication import CODE, Caller, Channel
from bienvenue.features.account_closure.operations import EXPORTS
from bienvenue.features.audit.models import AuditRow, Personal
from bienvenue.features.import_export.sources import Line
from bienvenue.features.mail import Message
from bienvenue.hashing import Hasher
from bienvenue.user import Base, table_of
from bienvenue.user import User as Account
from tests.conftest import PASSPHRASE, Clock, Service
from tests.features import password_resets
from tests.features.audits import only
from tests.features.closures import token_of
from tests.features.notification_emails import VERIFICATION

#: What of a person's rows is not given, with the reason. Anyone who adds a column says so here, or
#: gives it.
LEFT_OUT = {
    "users.id": "a number that never leaves the service; the public name is `uid`",
    "users.hashed_password": "opens the account to whoever guesses it",
    "users.session_id": "the generation of sessions, which says nothing",
    "users.reset_token": "the digest of a secret",
    "sessions.digest": "the digest of a secret",
    "sessions.generation": "the generation of sessions, which says nothing",
    "known_devices.digest": "the digest of a secret",
    "verified_emails.email": "the email of the account",
    "authentications.digest": "the digest of a secret",
    "authentications.data": "the email and the ip of the attempt, which the activity gives",
    "access_tokens.digest": "the digest of a secret",
    "audit_log.id": "counts the rows of everybody",
    "audit_log.commitment": "a digest of what is given",
    "audit_log.slot": "a digest of what is counted",
    "audit_log.batch": "the number of a seal",
    "messages.id": "counts the letters of everybody",
    "messages.uid": "the name of a letter in its Message-ID and in the record, which is given",
    "messages.kind": "the name of a template; its text is given",
    "messages.facts": "what the text is made of; it is given",
    "messages.encrypted_link": "a link with a secret",
    "messages.expires_at": "when that link is over, which its own feature gives",
    "messages.due_at": "when a carrier may take it",
    "messages.tries": "how often one did",
    "messages.problem": "what a mail server answered",
    "one_time_tokens.id": "counts the rows of everybody",
    "one_time_tokens.uid": "a name that nothing else says",
    "one_time_tokens.digest": "the digest of a secret",
    "one_time_tokens.slot": "the purpose, and the user or the address",
    "one_time_tokens.purpose": "the name under which its feature gives it",
    "one_time_tokens.message_uid": "the name of an email, which is given",
    "one_time_tokens.created_at": "when its email was written, which is given",
    "one_time_tokens.expires_at": "when a link is over, which its own feature gives",
    "imported_users.fingerprint": "a digest of what is given, and of the password hash",
}


@dataclass(frozen=True)
class Person:
    """Someone whose every value is their own."""

    email: str
    second: str
    third: str
    ip: str
    agent: str


BOB = Person(
    "bob@example.com", "bob@second.example", "bob@third.example", "203.0.113.7", "canary-bob/1"
)
EVE = Person(
    "eve@example.net", "eve@second.example.net", "eve@third.example", "198.51.100.9", "canary-eve/2"
)


def personal() -> dict[str, Table]:
    """Give every table with rows of a person: those with a user's id, and the users."""
    tables = Base.metadata.tables
    return {
        name: table for name, table in tables.items() if "user_id" in table.c or name == "users"
    }


def live(service: Service, moving: Clock, who: Person) -> FlaskClient:
    """Do as a person everything that leaves a row, but for closing the account."""
    client = service.client()
    origin: dict[str, Any] = {
        "environ_base": {"REMOTE_ADDR": who.ip},
        "headers": {"User-Agent": who.agent},
    }
    before = {"email": f"was.{who.email}", "password": PASSPHRASE}
    told = {"email": before["email"], "disabled_reason": f"a reason of {who.agent}"}
    told["password_hash"] = Hasher(4).hash(PASSPHRASE).decode()
    told["last_sign_in_at"] = str(moving.time - 987_654)
    service.auth.import_export.import_lines(CODE, iter([Line("line 1", told)]), lambda _: None)
    client.post("/sessions", json=before, **origin)
    sent = {"new_email": who.email}
    assert client.put("/email", json=sent, **origin).status_code == 202
    sent = {"email_change_token": token_of(service, "new_email_verification")}
    assert client.post("/email/new", json=sent, **origin).status_code == 200
    account = {"email": who.email, "password": PASSPHRASE}
    password_resets.ask(service, who.email, who.ip)
    account["password"] = password_resets.NEW
    # Which proves the email.
    sent = {"reset_token": token_of(service, "password_reset"), "new_password": password_resets.NEW}
    renewed = client.put("/reset_password", json=sent | {"email": who.email}, **origin)
    assert renewed.status_code == 200
    client.post("/sessions", json=account | {"password": "wrong"}, **origin)
    for _ in range(2):
        moving.forward(61)
        service.client().post("/sessions", json=account, **origin)
    assert client.post("/sessions", json=account, **origin).status_code == 200
    assert client.put("/preferences", json={"language": "fr"}, **origin).status_code == 200
    service.auth.groups.add(CODE, who.email, who.agent.replace("/", "-"))
    user_id = service.auth.accounts.find(who.email).id
    service.auth.custom_fields.change(CODE, user_id, {"nickname": who.agent})
    sent = {"name": f"the token of {who.agent}", "scopes": "account:read"}
    made = client.post("/access_tokens", json=sent, **origin)
    bearer = {"Authorization": f"Bearer {made.get_json()['access_token']}"}
    assert service.client().get("/profile", headers=bearer).status_code == 200
    for email in (who.second, who.third):
        moving.forward(7)
        sent = {"notification_email": email}
        assert client.put("/notification_email", json=sent, **origin).status_code == 202
        if email == who.second:
            proof = {"notification_email_token": token_of(service, VERIFICATION)}
            verifying = service.client().post(
                "/notification_email/verification", json=proof, **origin
            )
            assert verifying.status_code == 200
    moving.forward(120)
    assert password_resets.ask(service, who.email, who.ip).status_code == 202
    sent = {"new_email": f"next.{who.email}"}
    assert client.put("/email", json=sent, **origin).status_code == 202
    caller = Caller("visitor", Channel.API, who.ip, who.agent)
    found = service.auth.passwords.authenticate(caller, who.email, password_resets.NEW)
    service.auth.authentications.store(caller, found)
    return client


def rows(service: Service, table: Table, user_id: int) -> list[Mapping[str, Any]]:
    """Give the rows of a person in a table."""
    mine = table.c["id" if table.name == "users" else "user_id"] == user_id
    with service.auth._db.reading() as tx:
        return [dict(row) for row in tx.execute(select(*table.c).where(mine)).mappings()]


def forms(value: Any) -> set[str]:
    """Give the ways in which a value of a column may stand in the export."""
    if isinstance(value, float):
        return {clock.written(value)}
    if isinstance(value, bytes):
        return {value.hex()}
    return {str(value)}


def leaves(value: Any) -> Iterator[str]:
    """Give every value of the export that is no list and no object."""
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    elif value is not None:
        yield str(value)


def missing(service: Service, user_id: int) -> tuple[set[str], list[str]]:
    """Name the tables with rows of a person, and what of them the export does not have."""
    exported = service.auth.export(user_id)
    given = set(leaves(exported))
    found, lost = set(), []
    for name, table in personal().items():
        for row in rows(service, table, user_id):
            found.add(name)
            # Whether a link went out would tell the one who asked that the address is free.
            if str(row.get("purpose")).endswith("_link"):
                continue
            for column, value in row.items():
                if column == "user_id" or value is None or f"{name}.{column}" in LEFT_OUT:
                    continue
                values = list(leaves(json.loads(value))) if column in {"facts", "data"} else [value]
                lost += [f"{name}.{column}: {one!r}" for one in values if not forms(one) & given]
    return found, lost


def test_every_row_of_every_table_is_in_the_export(service: Service, moving_clock: Clock) -> None:
    """Column by column, but for those that are left out with a reason; filled by real use."""
    client = live(service, moving_clock, BOB)
    bob = service.auth.accounts.find(BOB.email)
    found, lost = missing(service, bob.id)
    assert lost == []
    said = set(leaves(service.auth.export(bob.id)))
    mine = select(AuditRow.id).where(AuditRow.user_id == bob.id)
    with service.auth._db.reading() as tx:
        contents = tx.scalars(select(Personal.content).where(Personal.row_id.in_(mine))).all()
    assert len(contents) > 5
    assert {one for text in contents for one in leaves(json.loads(text))} - said == set()
    moving_clock.forward(3)
    assert client.delete("/profile").status_code == 202
    closing, lost = missing(service, bob.id)
    assert lost == []
    assert found | closing == personal().keys()


def test_the_walk_sees_what_is_missing(service: Service, moving_clock: Clock) -> None:
    """A feature that gives nothing is found."""
    live(service, moving_clock, BOB)
    bob = service.auth.accounts.find(BOB.email)
    service.auth.features.remove(service.auth.sessions)
    found, lost = missing(service, bob.id)
    assert "sessions" in found
    assert {one.partition(":")[0] for one in lost} >= {"sessions.expires_at"}


def test_what_is_left_out_is_there(service: Service) -> None:
    """A reason for a column that is gone is taken off the list."""
    del service
    columns = {f"{name}.{column.name}" for name, table in personal().items() for column in table.c}
    assert LEFT_OUT.keys() <= columns
    assert table_of(Account).name == "users"


def test_nothing_of_someone_else_is_in_the_export(service: Service, moving_clock: Clock) -> None:
    """Of all that is given to Eve, Bob is given only words that are the same for everybody."""
    live(service, moving_clock, BOB)
    moving_clock.forward(1000)
    live(service, moving_clock, EVE)
    mine, theirs = (
        service.auth.export(service.auth.accounts.find(who.email).id) for who in (BOB, EVE)
    )
    text = json.dumps(mine)
    for canary in (EVE.email, EVE.second, EVE.third, EVE.ip, EVE.agent):
        assert canary not in text
        assert canary in json.dumps(theirs)
    shared = set(leaves(mine)) & set(leaves(theirs))
    same = {str(name) for feature in service.auth.features for name in feature.events}
    same |= {message["subject"] for message in theirs["emails"]}
    same |= {message.kind for message in service.auth.mail.list(1000)}
    assert shared - same == {
        "1",
        "API",
        "True",
        "Unknown device",
        "Werkzeug/3.1.9",
        "account:read",
        "code",
        "email changed",
        "fr",
        "nickname",
        "password reset",
        "pwd",
        "visitor",
        "waiting",
        "withdrawn",
    }


@pytest.mark.parametrize("path", ["/export"])
def test_the_page_gives_exactly_that(service: Service, moving_clock: Clock, path: str) -> None:
    """And what opens something is not in it."""
    client = live(service, moving_clock, BOB)
    bob = service.auth.accounts.find(BOB.email)
    answer = client.get(path)
    assert json.loads(answer.text) == service.auth.export(bob.id)
    cookies = [client.get_cookie(name) for name in ("session_id", "device_id")]
    secrets = [cookie.value for cookie in cookies if cookie is not None]
    assert len(secrets) == 2
    kept = [bob.hashed_password, bob.session_id, bob.reset_token, token_of(service, VERIFICATION)]
    for secret in [*secrets, *kept]:
        assert secret
        assert secret not in answer.text


# --- how much, and how often --------------------------------------------------------------------


def filled(service: Service, user_id: int, count: int) -> None:
    """Put rows of a year into a user's activity, and as many emails of a month."""
    now, kind = clock.now(), "password_changed"
    with service.auth._db.transaction() as tx:
        tx.execute(
            insert(table_of(AuditRow)),
            [
                {
                    "at": now - number // 3,
                    "name": "session.ended",
                    "user_id": user_id,
                    "facts": '{"reason":"signed out"}',
                    "times": number + 1,
                }
                for number in range(count)
            ],
        )
        facts = '{"ip": "", "device": "", "language": "en"}'
        row = {"created_at": now, "kind": kind, "user_id": user_id, "email": BOB.email}
        sent = {"facts": facts, "state": "sent", "due_at": now, "tries": 1}
        rows = [{**row, **sent, "uid": f"{user_id}-{number}"} for number in range(count // 20)]
        tx.execute(insert(table_of(Message)), rows)


def held(client: FlaskClient) -> tuple[int, int]:
    """Read an export to its end; give the most memory that was held, and its length."""
    answer = client.get("/export", buffered=False)
    assert answer.status_code == 200
    length = 0
    gc.collect()
    tracemalloc.start()
    try:
        for piece in answer.response:
            length += len(piece)
        return tracemalloc.get_traced_memory()[1], length
    finally:
        tracemalloc.stop()
        answer.close()


@pytest.mark.thorough
@pytest.mark.statements
def test_a_large_export_holds_no_more_than_a_small_one(service: Service) -> None:
    """Six at once of 100,000 rows took 300 MB, and the service did not answer for 12 s."""
    small, large = (service.signed_in(email=email) for email in (BOB.email, EVE.email))
    for email, count in ((BOB.email, 2_000), (EVE.email, 8_000)):
        filled(service, service.auth.accounts.find(email).id, count)
    held(small)
    (least, short), (most, long) = held(small), held(large)
    assert long > 3 * short
    assert most < least + 500_000


@pytest.mark.statements
def test_nothing_is_left_out_between_two_parts(service: Service) -> None:
    """Rows of one moment too, where one part ends and the next begins."""
    client = service.signed_in()
    user = service.auth.accounts.find(BOB.email)
    filled(service, user.id, 2_000)
    given = client.get("/export").get_json()
    written = [row["times"] for row in given["activity"] if row["event"] == "session.ended"]
    assert sorted(written) == list(range(1, 2_001))
    assert [row["at"] for row in given["activity"]] == sorted(
        (row["at"] for row in given["activity"]), reverse=True
    )
    assert len(given["emails"]) == 100


def test_downloading_has_a_limit_an_hour(service: Service, moving_clock: Clock) -> None:
    """Of the account, in all its sessions; a refusal says when to come back, and is a row."""
    client, other = service.signed_in(), service.signed_in()
    eve = service.signed_in(email=EVE.email)
    answers = [each.get("/export") for each in [client, other] * (EXPORTS // 2)]
    assert {answer.status_code for answer in answers} == {200}
    for each in (client, other, client):
        refused = each.get("/export")
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_exports")
        assert refused.headers["Retry-After"] == "3600"
    page = client.get("/export", headers={"Accept": "text/html"})
    assert (page.status_code, page.mimetype) == (429, "text/html")
    assert eve.get("/export").status_code == 200
    row = only(service.auth, "export_limit.reached")
    assert row.times == 4
    assert row.user_id == service.auth.accounts.find(BOB.email).id
    moving_clock.forward(3600)
    client.post("/reauthentication", json={"password": PASSPHRASE})
    assert client.get("/export").status_code == 200


def test_an_export_of_an_account_that_is_deleted_meanwhile(service: Service) -> None:
    """Nothing was sent yet, so the answer is a refusal."""
    client = service.signed_in()
    last = service.auth.features[-1]
    with mock.patch.object(type(last), "export", side_effect=NoResultFound):
        assert client.get("/export").status_code == 401


#: What changes something, needs nobody's password, and can be sent again at once.
REPEATED: dict[str, dict[str, object]] = {
    "DELETE /email": {},
    "DELETE /notification_email": {},
    "DELETE /sessions?which=others": {},
    "GET /activity": {},
    "GET /export": {},
    "GET /profile": {},
    "POST /access_tokens": {"name": "ci", "scopes": "*"},
    "DELETE /access_tokens/current": {},
    "POST /email/new": {"email_change_token": "x" * 43},
    "PATCH /preferences": {"language": "fr"},
    "PUT /email": {"new_email": "robert@example.org"},
    "PUT /notification_email": {"notification_email": "robert@example.org"},
}
#: What ends the session, or hashes a password, which costs more than a row.
DEAR = {
    "DELETE /profile",
    "DELETE /sessions",
    "DELETE /sessions/<uid>",
    "POST /reauthentication",
    "PUT /password",
}
TIMES, ROWS = 40, 30


def test_nothing_that_a_user_repeats_fills_the_audit_log(
    service: Service, moving_clock: Clock
) -> None:
    """A row a minute, or as many an hour as a limit allows: of each page, sent forty times."""
    pages = {
        f"{page.method} {page.path}": page
        for each in service.auth.features
        for page in getattr(each, "pages", ())
        if not page.public and page.method != "GET"
    }
    told = {name.partition("?")[0].replace("current", "<uid>") for name in REPEATED} | DEAR
    assert pages.keys() <= told, "say of a new page that it can be repeated, or what it costs"
    assert moving_clock.time
    client = service.signed_in()
    for name, sent in REPEATED.items():
        method, path = name.split()
        before = len(service.auth.audit.list(limit=None))
        for _ in range(TIMES):
            client.open(path, method=method, json=sent if method != "GET" else None)
        written = len(service.auth.audit.list(limit=None)) - before
        assert written <= ROWS, f"{name}: {written} rows"
