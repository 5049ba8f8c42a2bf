"""password_change: replacing a password with the old one."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from bienvenue.authentication import CODE
from bienvenue.features.password_change import WrongOldPassword
from bienvenue.features.sessions import SignedIn
from bienvenue.web.dispatch import NotSignedIn
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.audits import only
from tests.features.hearing import Hearing
from tests.features.password_resets import messages, text_of
from tests.races import race
from tests.web.browser import Browser

NEW = "onze grenouilles au soleil"
CHANGE = {"old_password": PASSPHRASE, "new_password": NEW}


def me_of(service: Service, secret: str | None) -> SignedIn:
    """The person of a secret."""
    me = service.auth.sessions.check(secret)
    assert me is not None
    return me


def opened(service: Service) -> SignedIn:
    """Bob, registered and signed in."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    return me_of(service, service.auth.create_session(EMAIL))


def test_changing_the_password_ends_every_other_session(service: Service) -> None:
    """Mine goes on under a new secret; the old secret and the old password are dead."""
    mine, other = service.signed_in(), service.signed_in()
    before = mine.get_cookie("session_id")
    hearing = Hearing(service.auth)
    answer = mine.put("/password", json=CHANGE)
    assert answer.status_code == 200
    assert answer.json == {"email": EMAIL, "message": "Password updated"}
    assert mine.get("/profile").get_json()["fresh"] is True
    assert other.get("/profile").status_code == 401
    after = mine.get_cookie("session_id")
    assert before is not None
    assert after is not None
    assert after.value != before.value
    assert service.auth.get_user_from_session_id(before.value) is None
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    assert service.auth.valid_login(EMAIL, NEW)
    assert hearing.names[:3] == ["sessions.ended", "email.queued", "password.changed"]
    assert hearing.only("sessions.ended").facts == {"reason": "password changed"}


@pytest.mark.parametrize(
    ("sent", "status", "code", "field"),
    [
        ({"old_password": "wrong"}, 403, "wrong_old_password", "old_password"),
        ({"new_password": "short"}, 422, "password_too_short", "new_password"),
        ({"new_password": "x" * 4097}, 422, "password_too_long", "new_password"),
        ({"old_password": "x" * 4097}, 422, "password_too_long", "old_password"),
        ({"new_password": "passwordpassword"}, 422, "password_common", "new_password"),
        ({"new_password": EMAIL}, 422, "password_own_words", "new_password"),
        ({"new_password": "\0" * 20}, 400, "malformed_text", "new_password"),
        ({"new_password": ""}, 400, "empty_field", "new_password"),
    ],
)
def test_a_refused_change_changes_nothing(
    service: Service, sent: dict[str, str], status: int, code: str, field: str
) -> None:
    """The refusal names the field; the password, the sessions and the secret are as before."""
    mine, other = service.signed_in(), service.signed_in()
    answer = mine.put("/password", json=CHANGE | sent)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert answer.get_json()["field"] == field
    assert "Set-Cookie" not in answer.headers
    assert [client.get("/profile").status_code for client in (mine, other)] == [200, 200]
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_wrong_old_password_is_announced(service: Service) -> None:
    """In a transaction of its own, committed before the refusal is raised."""
    me = opened(service)
    hearing = Hearing(service.auth)
    with pytest.raises(WrongOldPassword):
        service.auth.password_change.change(CODE, me, "wrong", NEW)
    assert hearing.only("password.refused").user_id == me.user_id


def test_changing_takes_a_session(service: Service) -> None:
    """No one's password is changed by no one, and the page is not shown either."""
    client = service.client()
    assert client.put("/password", json=CHANGE).status_code == 401
    assert client.get("/password").status_code == 401


def test_fifty_changes_at_once_are_one(service: Service) -> None:
    """One new password wins; all others are refused, and only the winner is signed in."""
    me = opened(service)

    def change(number: int) -> str | None:
        try:
            return service.auth.password_change.change(
                CODE, me, PASSPHRASE, f"{NEW} numéro {number}"
            )
        except (NotSignedIn, WrongOldPassword):
            return None

    secrets = race(change)
    (won,) = [number for number, secret in enumerate(secrets) if secret]
    assert service.auth.valid_login(EMAIL, f"{NEW} numéro {won}")
    assert me_of(service, secrets[won]).user_id == me.user_id
    assert len(service.auth.sessions.list(me.user_id)) == 1


def test_a_change_by_a_session_that_ended_meanwhile_is_refused(service: Service) -> None:
    """The check was right when the request came in; the transaction asks again."""
    me = opened(service)
    service.auth.destroy_session(me.user_id)
    with pytest.raises(NotSignedIn):
        service.auth.password_change.change(CODE, me, PASSPHRASE, NEW)
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_password_is_changed_in_a_browser(service: Service) -> None:
    """The form tunnels PUT; a refusal shows the page again and none of what was typed."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    refused = browser.submit(
        "/password", "/password", old_password="wrong old", new_password=NEW, _method="PUT"
    )
    assert refused.status_code == 403
    assert "Wrong current password." in refused.text
    assert "wrong old" not in refused.text
    assert NEW not in refused.text
    done = browser.submit(
        "/password", "/password", old_password=PASSPHRASE, new_password=NEW, _method="PUT"
    )
    assert (done.status_code, done.location) == (303, "/profile")
    assert EMAIL in browser.get("/profile").text
    assert service.auth.valid_login(EMAIL, NEW)


def test_the_page_of_changing_is_json_for_a_program(service: Service) -> None:
    """It says where to send what."""
    client: FlaskClient = service.signed_in()
    assert client.get("/password").json == {"action": "PUT /password"}


def test_who_acts_is_the_one_who_sends(service: Service) -> None:
    """The ip of the request, and not that of the sign-in, is in the audit log and in the notice."""
    thief = service.signed_in()
    there = {"environ_base": {"REMOTE_ADDR": "198.51.100.9"}}
    assert (
        thief.put("/password", json=CHANGE | {"old_password": "wrong"}, **there).status_code == 403
    )
    assert thief.put("/password", json=CHANGE, **there).status_code == 200
    assert thief.get("/export", **there).status_code == 200
    user = service.auth.accounts.find(EMAIL)
    for name in ("password.refused", "password.changed", "account.exported"):
        entry = only(service.auth, name)
        assert (entry.facts["actor"], entry.personal["ip"]) == (f"user {user.id}", "198.51.100.9")
    (notice,) = messages(service, "password_changed")
    assert "198.51.100.9" in text_of(service, notice)
