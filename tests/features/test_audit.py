"""audit: what is recorded, who sees it, and what can be erased. Its seals: test_audit_seals.py."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from bienvenue import Auth
from bienvenue.authentication import CODE, Caller, Channel
from bienvenue.feature import Event, Reason, Refusal
from bienvenue.features.audit import Personal
from bienvenue.features.passwords import WrongCredentials
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.databases import Databases
from tests.features.audits import names, only, stored
from tests.races import race

OTHER = "another passphrase, quite long"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BY_CODE = '{"actor":"code","channel":"code"}'
THERE = Caller("visitor", Channel.API, "192.0.2.7")


def personal_rows(auth: Auth) -> int:
    """Count the rows whose personal values are there."""
    with auth._db.reading() as tx:
        return tx.scalar(select(func.count()).select_from(Personal)) or 0


def activity(client: FlaskClient) -> list[dict[str, Any]]:
    """Ask for their own activity."""
    answer = client.get("/activity").json
    assert answer is not None
    return cast("list[dict[str, Any]]", answer["activity"])


def test_an_event_is_a_row(service: Service) -> None:
    """Who, what, when and from where; the session by its public name."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.sessions.sign_in(
        Caller("visitor", Channel.API, ip="192.0.2.7", agent=FIREFOX),
        EMAIL,
        PASSPHRASE,
    )
    assert names(service.auth) == ["account.registered", "session.opened", "device.first_seen"]
    opened = only(service.auth, "session.opened")
    assert (opened.user_id, opened.user_uid, opened.times) == (user.id, user.uid, 1)
    where = {"ip": "192.0.2.7", "agent": FIREFOX, "device": "Firefox on Linux"}
    assert opened.personal == where
    (session,) = service.auth.sessions.list(user.id)
    who = {"actor": "visitor", "channel": "API"}
    assert opened.facts == {"session": session.uid} | who
    assert opened.at == pytest.approx(session.created_at, abs=5)


def test_what_is_personal_stands_behind_a_commitment(service: Service) -> None:
    """The row itself says nothing of an ip, and the same ip twice commits to two values."""
    for _ in range(2):
        service.auth.publish(Event(CODE, "password.refused", 1, {"ip": "192.0.2.7"}))
    one, two = stored(service.auth)
    assert (one.facts, two.facts) == (BY_CODE, BY_CODE)
    assert one.commitment != two.commitment


def test_a_fact_no_one_called_clear_is_personal(service: Service) -> None:
    """A new feature that forgets to say which it is puts nothing of a person where it stays."""
    service.auth.publish(
        Event(CODE, "password.refused", 1, {"phone": "+33 1 23", "reason": "a test"})
    )
    (row,) = stored(service.auth)
    assert row.facts == '{"actor":"code","channel":"code","reason":"a test"}'
    assert only(service.auth, "password.refused").personal == {"phone": "+33 1 23"}


def test_a_row_lives_and_dies_with_its_event(service: Service) -> None:
    """What is rolled back did not happen, and the audit log does not say it did."""

    def fail() -> None:
        with service.auth._db.transaction():
            service.auth.publish(Event(CODE, "password.changed", 1, {"ip": "192.0.2.7"}))
            assert names(service.auth) == ["password.changed"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(service.auth) == []
    assert personal_rows(service.auth) == 0


def test_refused_attempts_are_recorded(service: Service) -> None:
    """A wrong password, a disabled account, an unknown email: of that one, not even the email."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    for email, password in ((EMAIL, OTHER), ("stranger@example.com", OTHER)):
        with pytest.raises(WrongCredentials):
            service.auth.passwords.verify(THERE, email, password)
    service.auth.accounts.disable(CODE, EMAIL)
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    refused = [e for e in service.auth.audit.list() if e.name == "password.refused"]
    assert [(entry.user_id, entry.personal) for entry in refused] == [
        (user.id, {}),
        (None, {"ip": "192.0.2.7", "device": "Unknown device"}),
        (user.id, {"ip": "192.0.2.7", "device": "Unknown device"}),
    ]


def test_no_secret_is_recorded(service: Service) -> None:
    """A tour of what there is leaves no password, secret, hash or email in the audit log."""
    client = service.signed_in()
    secrets = [
        cookie.value for name in ("session_id", "device_id") if (cookie := client.get_cookie(name))
    ]
    assert len(secrets) == 2
    client.post("/sessions", json={"email": EMAIL, "password": OTHER})
    client.post("/sessions", json={"email": "stranger@example.com", "password": OTHER})
    changed = client.put("/password", json={"old_password": PASSPHRASE, "new_password": OTHER})
    assert changed.status_code == 200
    hashed = service.auth.accounts.find(EMAIL).hashed_password
    told = repr(service.auth.audit.list(limit=None))
    for secret in (*secrets, PASSPHRASE, OTHER, hashed, EMAIL, "stranger"):
        assert secret not in told


def test_sign_ins_at_once_are_as_many_rows(make_service: MakeService) -> None:
    """No one waits for a number, none fails, and none is lost."""
    service = make_service()
    service.auth.register_user(EMAIL, PASSPHRASE)

    def sign_in(_: int) -> int:
        credentials = {"email": EMAIL, "password": PASSPHRASE}
        return service.client().post("/sessions", json=credentials).status_code

    # As many as a slow machine writes to SQLite before the last of them gives up.
    assert race(sign_in, 20) == [200] * 20
    assert names(service.auth).count("session.opened") == 20
    service.auth.audit.seal()
    report = service.auth.audit.verify()
    assert (report.problem, report.unsealed) == (None, 0)


def test_refusals_by_a_limit_are_one_row_a_key_and_minute(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """A flood fills a number and not the disk; the next minute is another row."""
    service = make_service(rate_limit_account=1)
    service.auth.register_user(EMAIL, PASSPHRASE)

    def guess(email: str, times: int) -> None:
        for _ in range(times):
            with pytest.raises(Refusal):
                service.auth.passwords.verify(THERE, email, OTHER)

    guess(EMAIL, 5)
    guess("stranger@example.com", 3)
    moving_clock.forward(60)
    guess(EMAIL, 3)
    reached = [entry for entry in service.auth.audit.list() if entry.name == "rate_limit.reached"]
    assert [entry.times for entry in reached] == [2, 2, 4]
    assert {entry.facts["policy"] for entry in reached} == {"account"}
    assert {entry.personal["ip"] for entry in reached} == {"192.0.2.7"}
    assert reached[0].personal["key"] == reached[2].personal["key"] != reached[1].personal["key"]


def test_fifty_refusals_at_once_are_counted_exactly(service: Service, moving_clock: Clock) -> None:
    """One row, fifty times, and the personal values of one."""
    assert moving_clock.time
    event = Event(
        CODE, "rate_limit.reached", None, {"policy": "account", "ip": "192.0.2.7"}, counted="key"
    )
    race(lambda _: service.auth.publish(event))
    assert only(service.auth, "rate_limit.reached").times == 50
    assert personal_rows(service.auth) == 1


def test_hearing_waits_for_no_other_writer(databases: Databases, make_service: MakeService) -> None:
    """On PostgreSQL a row is written while another transaction has written its own."""
    url = databases.fresh("postgresql")
    auth = make_service(database_url=url).auth
    with auth._db.transaction():
        auth.publish(Event(CODE, "password.changed", 1))
        other = threading.Thread(target=auth.publish, args=(Event(CODE, "password.changed", 2),))
        other.start()
        other.join(120)
        assert not other.is_alive()
    assert len(names(auth)) == 2
    auth.close()
    databases.drop(url)


def test_a_deleted_account_leaves_its_rows_and_nothing_personal(service: Service) -> None:
    """The deletion too is a row, and says nothing of the person, whatever it was told."""
    for email in (EMAIL, "amy@example.com"):
        service.auth.register_user(email, PASSPHRASE)
        service.auth.sessions.sign_in(
            Caller("visitor", Channel.API, ip="192.0.2.7", agent=FIREFOX),
            email,
            PASSPHRASE,
        )
    bob = service.auth.accounts.find(EMAIL)
    service.auth.audit.seal()
    service.auth.revoke(CODE, bob.id, Reason.PASSWORD_CHANGED)
    assert personal_rows(service.auth) == 4
    with service.auth._db.transaction():
        service.auth.publish(Event(CODE, "session.opened", bob.id, {"ip": "192.0.2.9"}))
        service.auth.publish(Event(CODE, "account.deleted", bob.id, {"ip": "192.0.2.9"}))
    assert personal_rows(service.auth) == 2
    service.auth.publish(Event(CODE, "session.opened", bob.id, {"ip": "192.0.2.9"}))
    service.auth.accounts.delete(CODE, EMAIL)
    assert personal_rows(service.auth) == 2
    theirs = service.auth.audit.list(bob.id)
    assert len(theirs) >= 5
    assert all((entry.personal, entry.user_uid) == ({}, None) for entry in theirs)
    service.auth.audit.seal()
    report = service.auth.audit.verify()
    assert (report.problem, report.erased) == (None, 4)


def test_personal_values_are_kept_for_a_time(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """After it they are erased; the rows stay, and the chain still verifies."""
    service = make_service(audit_personal="1h")
    for n in range(3):
        service.auth.publish(Event(CODE, "password.refused", n, {"ip": "192.0.2.7"}))
    service.auth.audit.seal()
    moving_clock.forward(3599)
    assert service.auth.sweep(moving_clock.time) == 0
    moving_clock.forward(1)
    assert [service.auth.audit.sweep(moving_clock.time, 2) for _ in range(3)] == [2, 1, 0]
    report = service.auth.audit.verify()
    assert (report.problem, report.rows, report.erased) == (None, 3, 3)


def test_a_long_text_is_cut(service: Service) -> None:
    """What a browser says of itself may be as long as a header."""
    service.auth.publish(Event(CODE, "session.opened", 1, {"agent": "a" * 5000 + "\0\ud800"}))
    assert only(service.auth, "session.opened").personal == {"agent": "a" * 512}


def test_every_event_has_a_sentence(service: Service) -> None:
    """For the person, or as its feature declares it."""
    sentences = service.auth.audit._registry.sentences
    declared = {name for feature in service.auth.features for name in feature.events}
    assert sentences.keys() == declared
    assert all(sentence.endswith(".") for sentence in sentences.values())
