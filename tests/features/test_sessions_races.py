"""sessions: what happens when many requests come at once."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from bienvenue.authentication import CODE
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.passwords import WrongCredentials
from bienvenue.features.sessions import Session, Sessions
from bienvenue.web.dispatch import NotSignedIn
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.hearing import Hearing, rows
from tests.races import race

pytestmark = pytest.mark.statements

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}


@pytest.mark.slow
def test_fifty_first_sign_ins_at_once_are_fifty_sessions_under_one_root(service: Service) -> None:
    """The root is NULL when they begin; none of them takes it from another."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    clients = [service.client() for _ in range(50)]

    def sign_in(number: int) -> int:
        # They pass the row of the user one by one: on a busy machine the last ones are sent away.
        for _ in range(20):
            status = clients[number].post("/sessions", json=CREDENTIALS).status_code
            if status != 503:
                break
        return status

    assert race(sign_in) == [200] * 50
    assert [client.get("/profile").status_code for client in clients] == [200] * 50
    root = service.auth._db.find_user_by(id=user.id).session_id
    assert {row.generation for row in service.auth.sessions.list(user.id)} == {root}


@pytest.mark.slow
def test_fifty_sign_ins_at_once_keep_the_cap(make_service: MakeService) -> None:
    """Five live sessions and no row more; the next one lives, and ends one of them."""
    service = make_service(session_cap=5)
    service.auth.register_user(EMAIL, PASSPHRASE)
    secrets = race(lambda _: service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret)
    alive = [secret for secret in secrets if service.auth.sessions.check(secret)]
    assert (len(alive), rows(service.auth)) == (5, 5)
    newest = service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret
    assert service.auth.sessions.check(newest)
    assert len([secret for secret in alive if service.auth.sessions.check(secret)]) == 4


def test_one_session_rotated_fifty_times_at_once_has_one_new_secret(service: Service) -> None:
    """All others hear that the session is gone."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    old = service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret
    me = service.auth.sessions.check(old)
    assert me is not None

    def rotate(_: int) -> str | None:
        try:
            return service.auth.sessions.rotate(me)
        except NotSignedIn:
            return None

    (won,) = [secret for secret in race(rotate) if secret]
    assert service.auth.sessions.check(won)
    assert service.auth.sessions.check(old) is None
    assert rows(service.auth) == 1


def test_signing_out_fifty_times_at_once_is_one_event(service: Service) -> None:
    """One statement deletes the row, so one request says that it did."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    me = service.auth.sessions.check(service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret)
    assert me is not None
    hearing = Hearing(service.auth)
    race(lambda _: service.auth.sessions.end(CODE, me))
    assert hearing.names == ["session.ended"]


def test_disabling_while_fifty_sign_in_leaves_no_session(service: Service) -> None:
    """One before it ends, and one after it is refused."""
    service.auth.register_user(EMAIL, PASSPHRASE)

    def act(number: int) -> str | None:
        if number == 25:
            service.auth.accounts.disable(CODE, EMAIL)
            return None
        try:
            return service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret
        except (AccountDisabled, WrongCredentials):
            return None

    secrets = [secret for secret in race(act) if secret]
    assert [service.auth.sessions.check(secret) for secret in secrets] == [None] * len(secrets)
    service.auth.accounts.enable(CODE, EMAIL)
    assert [service.auth.sessions.check(secret) for secret in secrets] == [None] * len(secrets)


def test_ending_all_others_while_fifty_sign_in_keeps_mine(service: Service) -> None:
    """My session lives, and no session opened before the end of it does."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    mine = service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret
    before = [service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret for _ in range(3)]
    me = service.auth.sessions.check(mine)
    assert me is not None
    kept: list[str] = []

    def act(number: int) -> None:
        if number == 10:
            kept.append(service.auth.sessions.end_others(CODE, me))
        else:
            service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)

    race(act, 20)
    (new,) = kept
    assert service.auth.sessions.check(new)
    assert [service.auth.sessions.check(secret) for secret in [mine, *before]] == [None] * 4
    user = service.auth.accounts.find(EMAIL)
    assert {row.generation for row in service.auth.sessions.list(user.id)} == {user.session_id}


def test_everybody_is_signed_out_once(service: Service) -> None:
    """How many people it were, one event each, and nothing the second time."""
    service.signed_in()
    service.signed_in()
    service.signed_in("amy@example.com")
    service.auth.register_user("eve@example.com", PASSPHRASE)
    hearing = Hearing(service.auth)
    sessions: Sessions = service.auth.sessions
    assert sessions.end_all_users(CODE) == 2
    assert hearing.names == ["sessions.ended"] * 2
    assert {event.user_id for event in hearing.committed} == {
        service.auth.accounts.find(email).id for email in (EMAIL, "amy@example.com")
    }
    assert (rows(service.auth), sessions.end_all_users(CODE)) == (0, 0)


def test_fifty_first_uses_after_a_minute_are_all_answered(service: Service) -> None:
    """They all want to write the time of use; none waits, none fails."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    with service.auth._db.transaction() as tx:
        tx.execute(update(Session).values(last_seen_at=Session.last_seen_at - 3600))
    found = race(lambda _: service.auth.sessions.check(cookie.value) is not None)
    assert found == [True] * 50
