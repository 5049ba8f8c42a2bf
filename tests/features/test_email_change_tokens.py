"""email_change: what a verification is good for, for whom and how long, and what it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from bienvenue.authentication import CODE
from bienvenue.feature import Attempt
from bienvenue.features.mail import MessageState
from bienvenue.features.rate_limits import UNKNOWN_DEVICES
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.email_changes import (
    NEW_EMAIL,
    THIRD,
    ask,
    asked,
    change,
    me_of,
    restore,
    token_of,
    verify,
)
from tests.features.hearing import Hearing
from tests.features.password_resets import NEW, dump, messages, put, text_of
from tests.features.password_resets import asked as reset_asked

pytestmark = pytest.mark.statements

AMY = "amy@example.com"
Client = FlaskClient


# --- the token ----------------------------------------------------------------------------------


def test_a_token_changes_the_email_once(service: Service) -> None:
    """Signing in is with the new email from then on; the audit log and the old email are told."""
    hearing = Hearing(service.auth)
    client = service.signed_in()
    token = asked(service, client)
    answer = verify(client, token)
    assert (answer.status_code, answer.json) == (
        200,
        {"email": NEW_EMAIL, "message": "Email updated"},
    )
    assert client.get("/profile").get_json()["email"] == NEW_EMAIL
    assert service.auth.valid_login(NEW_EMAIL, PASSPHRASE)
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    assert (
        service.auth.registration.verified_at(service.auth.accounts.find(NEW_EMAIL).id) is not None
    )
    (told,) = messages(service, "email_changed")
    session = client.get("/profile").get_json()["session"]["uid"]
    assert hearing.only("email.changed").facts == {
        "session": session,
        "old": EMAIL,
        "new": NEW_EMAIL,
        "message": "email_changed",
        "message_uid": told.uid,
    }
    assert verify(client, token).status_code == 403
    assert hearing.names.count("email.changed") == 1
    (proof,) = messages(service, "new_email_verification")
    user = service.auth.accounts.find(NEW_EMAIL)
    assert (proof.encrypted_link, proof.state, proof.user_id) == (
        None,
        MessageState.WITHDRAWN,
        user.id,
    )


def test_the_old_email_is_told_what_it_has_to_know(service: Service, moving_clock: Clock) -> None:
    """When, from where, and the new email only in part, with a link that takes it back."""
    client = service.signed_in()
    token = asked(service, client)
    moving_clock.forward(60)
    verify(client, token)
    (message,) = messages(service, "email_changed")
    said = text_of(service, message)
    assert message.email == EMAIL
    for wanted in (
        "to r…@example.org",
        "requested on 15 January 2027, 08:00 UTC",
        "\n\n15 January 2027, 08:01 UTC · 192.0.2.1\n\n",
        "until 22 January 2027, 08:01 UTC",
        "http://localhost:5000/email/restore?token=",
    ):
        assert wanted in said
    assert NEW_EMAIL not in said
    page = client.get("/activity")
    assert "[link removed]" in page.text
    assert token_of(service, "email_changed") not in page.text


def _change_password(service: Service, _clock: Clock, client: Client, token: str) -> str:
    changed = {"old_password": PASSPHRASE, "new_password": NEW}
    assert client.put("/password", json=changed).status_code == 200
    assert service.auth.valid_login(EMAIL, NEW)
    return token


def _reset(service: Service, _clock: Clock, client: Client, token: str) -> str:
    assert put(service, reset_asked(service), PASSPHRASE).status_code == 200
    client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    return token


def _change_behind(service: Service, _clock: Clock, client: Client, token: str) -> str:
    user = service.auth.accounts.find(EMAIL)
    service.auth._db.update_user(user.id, email="bobby@example.com")
    assert client.get("/profile").status_code == 200
    return token


def _replace_by_a_taken_one(service: Service, _clock: Clock, client: Client, token: str) -> str:
    service.auth.register_user(AMY, PASSPHRASE)
    assert ask(client, AMY).status_code == 202
    return token


def _someone_was_first(service: Service, _clock: Clock, _client: Client, token: str) -> str:
    service.auth.register_user(NEW_EMAIL, PASSPHRASE)
    return token


def _it_is_reserved(service: Service, _clock: Clock, _client: Client, token: str) -> str:
    service.auth.register_user(NEW_EMAIL, PASSPHRASE)
    service.auth.email_change.set(CODE, NEW_EMAIL, AMY)
    return token


def _of_someone_else(service: Service, _clock: Clock, _client: Client, _token: str) -> str:
    return asked(service, service.signed_in(AMY), "amanda@example.org")


@pytest.mark.parametrize(
    "happens",
    [
        _change_password,
        _reset,
        _change_behind,
        _replace_by_a_taken_one,
        _someone_was_first,
        _it_is_reserved,
        _of_someone_else,
    ],
)
def test_a_token_that_changes_nothing(
    service: Service,
    moving_clock: Clock,
    happens: Callable[[Service, Clock, Client, str], str],
) -> None:
    """One refusal for all of them."""
    client = service.signed_in()
    token = happens(service, moving_clock, client, asked(service, client))
    before = dump(service)["users"]
    refused = verify(client, token)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "wrong_email_change_token")
    assert dump(service)["users"] == before


def test_a_token_is_worth_nothing_to_anyone_else(service: Service) -> None:
    """Neither to an attacker nor in the session of another account, which stays as it was."""
    client, amy = service.signed_in(), service.signed_in(AMY)
    token = asked(service, client)
    assert verify(service.client(), token).status_code == 401
    assert verify(amy, token).get_json()["code"] == "wrong_email_change_token"
    assert amy.get("/profile").get_json()["email"] == AMY
    assert verify(client, None).status_code == 403
    assert verify(client, token).status_code == 200


def test_another_device_of_the_same_person_proves_it(service: Service) -> None:
    """Emails open where they open; the device that asked is signed out."""
    one, other = service.signed_in(), service.signed_in()
    assert verify(other, asked(service, one)).status_code == 200
    assert [client.get("/profile").status_code for client in (one, other)] == [401, 200]


def test_a_session_that_ended_meanwhile_changes_nothing(service: Service) -> None:
    """Neither asks nor proves, also when it was alive as the request began."""
    client = service.signed_in()
    token, me = asked(service, client), me_of(service, client)
    service.auth.sessions.end_all(CODE, me.user_id)
    for act in (
        lambda: service.auth.email_change.request(CODE, me, THIRD),
        lambda: service.auth.email_change.verify(CODE, me, token),
    ):
        with pytest.raises(Exception, match="Sign in first"):
            act()
    assert verify(service.signed_in(), token).status_code == 200


# --- what it ends -------------------------------------------------------------------------------


def test_a_change_ends_what_was_open(service: Service) -> None:
    """Other sessions, known devices but this browser, and the outstanding reset token."""
    client, other = service.signed_in(), service.signed_in()
    mine, theirs = client.get_cookie("device_id"), other.get_cookie("device_id")
    assert mine is not None
    assert theirs is not None
    token = reset_asked(service)
    change(service, client)
    assert other.get("/profile").status_code == 401
    assert client.get("/profile").status_code == 200
    knows = service.auth.known_devices.knows
    assert (knows(NEW_EMAIL, mine.value), knows(NEW_EMAIL, theirs.value)) == (True, False)
    for email in (EMAIL, NEW_EMAIL):
        assert put(service, token, email=email).status_code == 403
    assert messages(service)[0].encrypted_link is None


def test_failures_go_with_the_account(service: Service) -> None:
    """A lock is neither lost by another email nor met there, and the old one has no count."""
    client = service.signed_in()
    limits = service.auth.rate_limits
    for _ in range(UNKNOWN_DEVICES):
        limits.reserve(CODE, Attempt("sign_in", EMAIL))
    for _ in range(3):
        limits.reserve(CODE, Attempt("sign_in", NEW_EMAIL))
    before = [
        (count.kind, count.failures, count.unknown_device_failures) for count in limits.find(EMAIL)
    ]
    back = change(service, client)
    assert limits.find(EMAIL) == []
    after = [
        (count.kind, count.failures, count.unknown_device_failures)
        for count in limits.find(NEW_EMAIL)
    ]
    assert after == before
    sent = {"email": NEW_EMAIL, "password": PASSPHRASE}
    assert service.client().post("/sessions", json=sent).get_json()["code"] == "password_locked"
    assert client.post("/sessions", json=sent).status_code == 200
    restore(service, back)
    assert limits.find(NEW_EMAIL) == []
    assert {count.unknown_device_failures for count in limits.find(EMAIL)} == {UNKNOWN_DEVICES}
    assert put(service, token_of(service, "password_reset")).status_code == 200
    assert limits.find(EMAIL) == []
    assert service.auth.valid_login(EMAIL, NEW)


def test_attackers_failures_at_the_new_email_lock_no_one(service: Service) -> None:
    """They were none of this account's, as no one had the email."""
    client = service.signed_in()
    for _ in range(UNKNOWN_DEVICES):
        service.auth.rate_limits.reserve(CODE, Attempt("sign_in", NEW_EMAIL))
    change(service, client)
    assert service.auth.rate_limits.find(NEW_EMAIL) == []
    assert service.auth.valid_login(NEW_EMAIL, PASSPHRASE)
