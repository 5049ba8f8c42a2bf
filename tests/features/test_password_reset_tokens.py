"""password_reset: what a token is good for, how long, and all that using it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bienvenue import clock, tokens
from bienvenue.authentication import CODE
from bienvenue.feature import Attempt
from bienvenue.features.mail import MessageState
from bienvenue.features.rate_limits import ALL, UNKNOWN_DEVICES
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.hearing import Hearing
from tests.features.password_resets import (
    NEW,
    asked,
    dump,
    messages,
    put,
    text_of,
)

HOUR = 3600

pytestmark = [pytest.mark.usefixtures("bob"), pytest.mark.statements]


# --- the token ----------------------------------------------------------------------------------


def test_a_token_sets_a_password_once(service: Service) -> None:
    """The answer is the exercise's; no one is signed in, and the owner is told."""
    hearing = Hearing(service.auth)
    token = asked(service)
    answer = put(service, token)
    assert (answer.status_code, answer.json) == (
        200,
        {"email": EMAIL, "message": "Password updated"},
    )
    assert service.auth.valid_login(EMAIL, NEW)
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    assert hearing.only("password.reset").caller.ip == "127.0.0.1"
    assert "session.opened" not in hearing.names
    assert put(service, token, "huit grenouilles sous un toit").status_code == 403
    assert service.auth.valid_login(EMAIL, NEW)
    (told,) = messages(service, "password_was_reset")
    assert (told.email, told.encrypted_link, told.state) == (EMAIL, None, MessageState.WAITING)
    assert "127.0.0.1" in text_of(service, told)


def _change_password(service: Service, _clock: Clock, token: str) -> str:
    changed = {"old_password": PASSPHRASE, "new_password": "cinq grenouilles dans un arbre"}
    assert service.signed_in().put("/password", json=changed).status_code == 200
    return token


def _change_email(service: Service, _clock: Clock, token: str) -> str:
    user = service.auth.accounts.find(EMAIL)
    service.auth._db.update_user(user.id, email="robert@example.com")
    return token


def _disable_behind(service: Service, _clock: Clock, token: str) -> str:
    user = service.auth.accounts.find(EMAIL)
    service.auth._db.update_user(user.id, disabled_at=clock.now())
    return token


def _replace_by_code(service: Service, _clock: Clock, token: str) -> str:
    return token if service.auth.get_reset_password_token(EMAIL) != token else ""


def _of_another_purpose(service: Service, _clock: Clock, token: str) -> str:
    user = service.auth.accounts.find(EMAIL)
    digest = tokens.digest("session", token).hex()
    service.auth._db.update_user(user.id, reset_token=digest)
    return token


@pytest.mark.parametrize(
    "happens",
    [
        _change_password,
        _change_email,
        _disable_behind,
        _replace_by_code,
        _of_another_purpose,
    ],
)
def test_a_token_that_opens_nothing(
    service: Service,
    moving_clock: Clock,
    hash_costs: list[int],
    happens: Callable[[Service, Clock, str], str],
) -> None:
    """One refusal for all of them, before anything is hashed, over HTTP and for code."""
    token = happens(service, moving_clock, asked(service))
    before = dump(service)["users"]
    hash_costs.clear()
    for email in (EMAIL, "robert@example.com"):
        refused = put(service, token, email=email)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "wrong_reset_token")
    with pytest.raises(ValueError, match="reset token"):
        service.auth.update_password(token, NEW)
    assert (dump(service)["users"], hash_costs) == (before, [])


def test_a_token_belongs_to_its_email(service: Service) -> None:
    """With another's email it is refused, and stays as it was; how the email is typed is free."""
    service.auth.register_user("amy@example.com", PASSPHRASE)
    token = asked(service)
    assert put(service, token, email="amy@example.com").status_code == 403
    assert put(service, token, email="amy").status_code == 400
    assert put(service, token, email=f" {EMAIL.upper()}").status_code == 200


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("fourteen chars", "password_too_short"),
        ("x" * 4097, "password_too_long"),
        ("StairwayToHeaven", "password_common"),
        ("Bob.Example.2024", "password_own_words"),
    ],
)
def test_a_refused_password_leaves_the_token_alive(
    service: Service, password: str, code: str
) -> None:
    """Anyone who chose badly chooses again; the refusal names the field."""
    token = asked(service)
    refused = put(service, token, password)
    assert (refused.status_code, refused.get_json()["code"]) == (422, code)
    assert refused.get_json()["field"] == "new_password"
    assert put(service, token).status_code == 200


# --- what it ends -------------------------------------------------------------------------------


def test_a_reset_ends_sessions_and_forgets_devices(service: Service) -> None:
    """Anyone who was signed in with the old password is out, and knows no count of the owner's."""
    one, other = service.signed_in(), service.signed_in()
    device = one.get_cookie("device_id")
    assert device is not None
    assert service.auth.known_devices.knows(EMAIL, device.value)
    put(service, asked(service))
    assert [client.get("/profile").status_code for client in (one, other)] == [401, 401]
    assert not service.auth.known_devices.knows(EMAIL, device.value)
    assert service.auth.export(service.auth.accounts.find(EMAIL).id)["known_devices"] == []


def test_a_reset_lifts_the_lock_of_a_hundred_failures(service: Service) -> None:
    """The owner proved to be the owner; the failures were of the old password."""
    for number in range(ALL):
        service.auth.rate_limits.reserve(
            CODE, Attempt("sign_in", EMAIL, known=number >= UNKNOWN_DEVICES)
        )
    client = service.client()
    locked = client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    assert locked.get_json()["code"] == "password_locked"
    token = asked(service)
    assert put(service, token).status_code == 200
    assert service.auth.rate_limits.find(EMAIL) == []
    entered = client.post("/sessions", json={"email": EMAIL, "password": NEW})
    assert entered.status_code == 200


def test_an_account_without_a_password_gets_one(service: Service) -> None:
    """An administrator makes the account, its owner the password."""
    service.auth.accounts.add_without_password(CODE, "amy@example.com")
    assert (
        put(service, asked(service, "amy@example.com"), email="amy@example.com").status_code == 200
    )
    assert service.auth.valid_login("amy@example.com", NEW)
