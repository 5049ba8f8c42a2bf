"""sessions: how long they live, what is written when they are used, and what is swept."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import pytest
from sqlalchemy import event, text, update

from bienvenue import DB, Auth
from bienvenue.authentication import CODE
from bienvenue.features.sessions import Session, SignedIn
from bienvenue.features.sessions.models import LASTING
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import rows

LIFETIME, IDLE = 30 * 86400, 14 * 86400


@pytest.fixture
def auth(service: Service, moving_clock: Clock) -> Auth:
    """Bob's account under a clock that the test moves."""
    moving_clock.forward(1)
    service.auth.register_user(EMAIL, PASSPHRASE)
    return service.auth


def opened(auth: Auth) -> str:
    """A session's secret."""
    return auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret


def me_of(auth: Auth, secret: str) -> SignedIn:
    """What a check finds."""
    me = auth.sessions.check(secret)
    assert me is not None
    return me


def listed(auth: Auth) -> list[Session]:
    """The live sessions of Bob."""
    return list(auth.sessions.list(auth.accounts.find(EMAIL).id))


def test_a_session_lives_no_longer_than_its_lifetime(auth: Auth, moving_clock: Clock) -> None:
    """Used all the time, it is alive one second before and dead at the moment itself."""
    secret = opened(auth)
    for _ in range(29):
        moving_clock.forward(86400)
        assert auth.sessions.check(secret)
    moving_clock.forward(86400 - 1)
    assert auth.sessions.check(secret)
    assert len(listed(auth)) == 1
    moving_clock.forward(1)
    assert auth.sessions.check(secret) is None
    assert listed(auth) == []


def test_a_session_no_one_uses_dies_of_idleness(auth: Auth, moving_clock: Clock) -> None:
    """Alive one second before; dead at the moment itself, in look-up and list."""
    secret = opened(auth)
    moving_clock.forward(IDLE - 1)
    assert auth.sessions.check(secret)
    moving_clock.forward(IDLE - 1)
    assert auth.sessions.check(secret)
    moving_clock.forward(IDLE)
    assert auth.sessions.check(secret) is None
    assert listed(auth) == []


def test_both_limits_are_settings(make_service: MakeService, moving_clock: Clock) -> None:
    """A day and an hour, as for level 2, with units."""
    auth = make_service(session_lifetime="24h", session_idle="1h").auth
    auth.register_user(EMAIL, PASSPHRASE)
    secret = opened(auth)
    for _ in range(24):
        moving_clock.forward(3599)
        assert auth.sessions.check(secret)
    moving_clock.forward(24)
    assert auth.sessions.check(secret) is None
    idle = opened(auth)
    moving_clock.forward(3600)
    assert auth.sessions.check(idle) is None


def test_the_cookie_ends_with_the_session(service: Service) -> None:
    """Max-Age is the absolute lifetime."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    answer = service.client().post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    assert f"Max-Age={LIFETIME};" in answer.headers["Set-Cookie"]


def test_the_time_of_use_is_written_at_most_once_a_minute(auth: Auth, moving_clock: Clock) -> None:
    """A check inside the minute writes nothing; the next one after it does."""
    secret = opened(auth)
    start = moving_clock.time
    for seconds, seen in [(0, 0), (59, 0), (1, 60), (59, 60), (1, 120)]:
        moving_clock.forward(seconds)
        auth.sessions.check(secret)
        (row,) = listed(auth)
        assert row.last_seen_at == start + seen, seconds


def test_a_check_inside_the_minute_only_reads(
    auth: Auth, moving_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One SELECT on the connection its thread keeps, and no transaction at all."""
    secret = opened(auth)
    # What never changes of a session is read by the first check alone.
    assert auth.sessions.check(secret)
    moving_clock.forward(59)
    said: list[str] = []
    quick = auth._db.fetch_row

    def note(statement: str, values: Mapping[str, object]) -> object:
        said.append(statement.split(maxsplit=1)[0])
        return quick(statement, values)

    def write(*_: object) -> None:
        said.append("a transaction")

    monkeypatch.setattr(auth._db, "fetch_row", note)
    event.listen(auth._db.engine, "begin", write)
    assert auth.sessions.check(secret)
    event.remove(auth._db.engine, "begin", write)
    assert said == ["SELECT"]


def test_a_session_that_ends_between_two_reads_is_over(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is gone when what never changes of it is read."""
    secret = opened(auth)
    quick = auth._db.fetch_row

    def ending(statement: str, values: Mapping[str, object]) -> object:
        if statement == LASTING:
            auth.sessions.end_all_users(CODE)
        return quick(statement, values)

    monkeypatch.setattr(auth._db, "fetch_row", ending)
    assert auth.sessions.check(secret) is None


def test_what_is_kept_of_sessions_is_bounded(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is not kept any more is read again."""
    monkeypatch.setattr("bienvenue.db._MOST_ROWS", 2)
    secrets = [opened(auth) for _ in range(5)]
    for secret in secrets * 2:
        assert me_of(auth, secret).email == EMAIL
        assert 1 <= len(auth.sessions._lasting) <= 2


def read_only(url: str) -> DB:
    """Open a database in which nothing can be written."""
    db = DB(url)
    if db.engine.dialect.name == "sqlite":

        def forbid(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute("PRAGMA query_only = ON")

        event.listen(db.engine, "connect", forbid)
    else:
        name = db.engine.url.database
        with db.connect() as connection:
            statement = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
            connection.execute(text(statement))
        db.close()
    return db


def test_a_check_answers_though_nothing_can_be_written(
    auth: Auth, moving_clock: Clock, database: str
) -> None:
    """A replica or a full disk: who is signed in stays signed in, and `seen` waits."""
    secret = opened(auth)
    db = read_only(database)
    moving_clock.forward(3600)
    replica = Auth(db, auth.settings)
    assert me_of(replica, secret).email == EMAIL
    assert (
        replica.sessions.list(me_of(replica, secret).user_id)[0].last_seen_at
        == moving_clock.time - 3600
    )
    db.close()


def test_a_check_does_not_wait_for_a_lock(auth: Auth, moving_clock: Clock, database: str) -> None:
    """Someone holds the row: the check answers without the time of use."""
    secret = opened(auth)
    moving_clock.forward(3600)
    other = DB(database)
    with other.transaction() as tx:
        tx.execute(update(Session).values(authenticated_at=1.0))
        me = me_of(auth, secret)
    assert me.last_seen_at == moving_clock.time - 3600
    assert [row.last_seen_at for row in listed(auth)] == [moving_clock.time - 3600]
    assert me_of(auth, secret).authenticated_at == 1.0
    assert [row.last_seen_at for row in listed(auth)] == [moving_clock.time]
    other.close()


def test_rotating_does_not_extend_the_life(auth: Auth, moving_clock: Clock) -> None:
    """The new secret ends when the old one would have; the person is fresh again."""
    secret = opened(auth)
    before = me_of(auth, secret)
    moving_clock.forward(IDLE - 60)
    assert not auth.sessions.is_fresh(me_of(auth, secret))
    rotated = auth.sessions.rotate(me_of(auth, secret))
    after = me_of(auth, rotated)
    assert auth.sessions.check(secret) is None
    assert auth.sessions.is_fresh(after)
    assert (after.expires_at, after.created_at) == (before.expires_at, before.created_at)
    assert after.session_uid == before.session_uid
    moving_clock.forward(IDLE - 60)
    assert auth.sessions.check(rotated)
    moving_clock.time = before.expires_at
    assert auth.sessions.check(rotated) is None


def test_changing_the_password_does_not_extend_the_life(auth: Auth, moving_clock: Clock) -> None:
    """It rotates the session, as said above."""
    me = me_of(auth, opened(auth))
    moving_clock.forward(86400)
    secret = auth.password_change.change(CODE, me, PASSPHRASE, "onze grenouilles au soleil")
    assert me_of(auth, secret).expires_at == me.expires_at


def test_fresh_time_is_a_setting(make_service: MakeService, moving_clock: Clock) -> None:
    """Fresh for so long after signing in, and not a second longer."""
    service = make_service(session_fresh="5m")
    client = service.signed_in()
    moving_clock.forward(299)
    assert client.get("/profile").get_json()["fresh"] is True
    moving_clock.forward(1)
    assert client.get("/profile").get_json()["fresh"] is False


def test_sweeping_deletes_only_the_dead_and_at_most_so_many(
    auth: Auth, moving_clock: Clock
) -> None:
    """Expired and idle rows go, a live one stays however old; harmless twice."""
    old = opened(auth)
    with auth._db.transaction() as tx:
        tx.execute(update(Session).values(expires_at=moving_clock.time + 2 * LIFETIME))
    for _ in range(4):
        opened(auth)
    moving_clock.forward(IDLE - 1)
    assert auth.sessions.check(old)
    moving_clock.forward(IDLE - 1)
    assert auth.sessions.check(old)
    assert auth.sessions.sweep(moving_clock.time, 3) == 3
    assert rows(auth) == 2
    assert auth.sessions.sweep(moving_clock.time, 3) == 1
    assert auth.sessions.sweep(moving_clock.time, 3) == 0
    assert auth.sessions.check(old)
    moving_clock.time += 2 * LIFETIME
    assert auth.sweep(moving_clock.time) >= 1
    assert rows(auth) == 0


def test_the_cap_ends_the_oldest(make_service: MakeService, moving_clock: Clock) -> None:
    """One more than the cap: the one opened first is dead, all others live."""
    auth = make_service(session_cap=3).auth
    auth.register_user(EMAIL, PASSPHRASE)
    secrets = []
    for _ in range(4):
        moving_clock.forward(1)
        secrets.append(opened(auth))
    assert [auth.sessions.check(secret) is not None for secret in secrets] == [False] + [True] * 3
    assert rows(auth) == 3


def test_dead_rows_leave_before_the_cap_counts(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Expired, idle and unrooted rows make room, so that no live session ends for them."""
    auth = make_service(session_cap=2).auth
    user = auth.register_user(EMAIL, PASSPHRASE)
    opened(auth)
    moving_clock.forward(IDLE)
    kept = opened(auth)
    moving_clock.forward(1)
    newest = opened(auth)
    assert auth.sessions.check(kept)
    assert (rows(auth), bool(auth.sessions.check(newest))) == (2, True)
    auth._db.update_user(user.id, session_id=None)
    moving_clock.forward(1)
    alone = opened(auth)
    assert (rows(auth), bool(auth.sessions.check(alone))) == (1, True)
    assert auth.sessions.check(newest) is None


def test_the_session_just_opened_never_falls_to_the_cap(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Not even when its clock is behind that of another node."""
    auth = make_service(session_cap=1).auth
    auth.register_user(EMAIL, PASSPHRASE)
    first = opened(auth)
    moving_clock.forward(-10)
    second = opened(auth)
    assert auth.sessions.check(first) is None
    assert auth.sessions.check(second)
