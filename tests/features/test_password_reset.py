"""password_reset: who gets an email, how many, and what is kept of it."""

from __future__ import annotations

import json
import logging
import traceback

import pytest
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, tokens
from bienvenue.authentication import CODE
from bienvenue.features.mail import Message, MessageState
from bienvenue.features.password_reset import NewPassword, WrongResetToken
from bienvenue.features.passwords import PasswordTooShort
from bienvenue.web.page import Visitor
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.audits import only
from tests.features.hearing import Hearing
from tests.features.password_resets import (
    IP,
    NEW,
    answered,
    ask,
    asked,
    column,
    dump,
    link,
    messages,
    put,
    statements,
)

HOUR = 3600

pytestmark = pytest.mark.usefixtures("bob")


# --- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("medium", ["application/json", "text/html"])
@pytest.mark.parametrize("whose", ["nobody", "disabled"])
def test_an_email_without_an_account_is_answered_as_one_that_has(
    service: Service, medium: str, whose: str
) -> None:
    """Status, headers, words and every statement are the same; only Bob gets an email."""
    other = f"{whose}@example.com"
    if whose == "disabled":
        service.auth.register_user(other, PASSPHRASE)
        service.auth.accounts.disable(CODE, other)
    heard = []
    for email in (EMAIL, other):
        client = service.client()
        client.get("/reset_password", headers={"Accept": medium})
        with statements(service) as said:
            answer = client.post(
                "/reset_password", json={"email": email}, headers={"Accept": medium}
            )
        assert answer.status_code == (303 if medium == "text/html" else 202)
        heard.append((*answered(client, answer, email), said))
    assert heard[0] == heard[1]
    assert [message.email for message in service.auth.mail.list()] == [EMAIL]


def test_asking_writes_an_email_and_keeps_a_digest(service: Service) -> None:
    """The link stands sealed in the email's row, and the token in no column of any table."""
    hearing = Hearing(service.auth)
    answer = ask(service, EMAIL.title())
    assert answer.json == {"email": EMAIL.title(), "message": "check your email"}
    (message,) = messages(service)
    assert (message.email, message.state, message.facts) == (
        EMAIL,
        MessageState.WAITING,
        f'{{"ip": "{IP}", "lifetime": 3600, "language": "en"}}',
    )
    token = link(service).partition("?token=")[2]
    assert link(service) == f"http://localhost:5000/reset_password?token={token}"
    assert tokens.well_formed(token)
    assert column(service) == tokens.digest("reset", token).hex()
    event = hearing.only("password_reset.requested")
    assert event.facts == {"message": "password_reset", "message_uid": message.uid}
    assert event.caller.ip == IP
    assert token not in repr(dump(service))
    assert token.encode().hex() not in repr(dump(service))
    assert token not in f"{answer.text}{answer.headers}{event}{message!r}"


def test_an_attacker_is_recorded_without_an_email(service: Service) -> None:
    """The audit log says that someone asked, and names no email and no person."""
    hearing = Hearing(service.auth)
    ask(service, "nobody@example.com")
    event = hearing.only("password_reset.requested")
    assert (event.user_id, event.facts, event.caller.ip) == (None, {}, IP)
    assert only(service.auth, "password_reset.requested").personal["ip"] == IP
    assert service.auth.mail.list() == []
    assert "nobody@example.com" not in repr(dump(service))


def test_a_malformed_email_is_refused(service: Service) -> None:
    """No email can go there, for any caller."""
    answer = ask(service, "bob")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_email")
    for email in ("bob", "bob\0@example.com", "\ud800@example.com"):
        with pytest.raises(ValueError, match="does not exist"):
            service.auth.get_reset_password_token(email)


# --- how many emails ---------------------------------------------------------------------------


def test_one_email_in_two_minutes(service: Service, moving_clock: Clock) -> None:
    """Asking sooner says the same and leaves the outstanding link as it is."""
    first = asked(service)
    moving_clock.forward(119)
    before = column(service)
    assert ask(service).status_code == 202
    assert (len(messages(service)), column(service)) == (1, before)
    assert service.auth.password_reset.email_of(first) == EMAIL
    moving_clock.forward(1)
    second = asked(service)
    assert service.auth.password_reset.email_of(second) == EMAIL
    with pytest.raises(WrongResetToken):
        service.auth.password_reset.email_of(first)
    assert [message.state for message in messages(service)] == [
        MessageState.WITHDRAWN,
        MessageState.WAITING,
    ]


def test_five_emails_in_an_hour(service: Service, moving_clock: Clock) -> None:
    """The fifth link stays, until the hour since the first is over."""
    begun = clock.now()
    last = ""
    for number in range(12):
        if number < 5:
            last = asked(service)
        else:
            assert ask(service).status_code == 202
        moving_clock.forward(121)
    assert len(messages(service)) == 5
    assert service.auth.password_reset.email_of(last) == EMAIL
    moving_clock.forward(begun + HOUR - 1 - clock.now())
    ask(service)
    assert len(messages(service)) == 5
    moving_clock.forward(1)
    assert asked(service) != last


def test_a_network_has_twenty_emails_an_hour(service: Service, moving_clock: Clock) -> None:
    """The next is refused in the same words whether there is an account; others are not."""
    for number in range(20):
        assert ask(service, f"person{number}@example.com").status_code == 202
    refused = [ask(service, email) for email in (EMAIL, "nobody@example.com")]
    for answer in refused:
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3600")
        assert answer.get_json()["code"] == "too_many_emails"
    assert refused[0].text == refused[1].text
    assert service.auth.mail.list() == []
    assert ask(service, ip="192.0.2.2").status_code == 202
    assert len(messages(service)) == 1
    moving_clock.forward(HOUR)
    assert ask(service).status_code == 202
    assert len(messages(service)) == 2


# --- for code of this process -------------------------------------------------------------------


def test_code_gets_a_token_and_spends_it(service: Service) -> None:
    """Over the same operations: no email with the token, and the owner is told of the change."""
    hearing = Hearing(service.auth)
    client = service.signed_in()
    token = service.auth.get_reset_password_token(EMAIL)
    assert (tokens.well_formed(token), messages(service)) == (True, [])
    with pytest.raises(PasswordTooShort):
        service.auth.update_password(token, "fourteen chars")
    service.auth.update_password(token, NEW)
    assert service.auth.valid_login(EMAIL, NEW)
    assert client.get("/profile").status_code == 401
    assert len(messages(service, "password_was_reset")) == 1
    assert {"password_reset.requested", "password.reset"} <= set(hearing.names)


def test_code_hears_who_is_not_there(service: Service) -> None:
    """No one, and no one who may come in."""
    service.auth.accounts.disable(CODE, EMAIL)
    for email in ("nobody@example.com", EMAIL):
        with pytest.raises(ValueError, match=f"User {email} does not exist"):
            service.auth.get_reset_password_token(email)


# --- what is kept -------------------------------------------------------------------------------


def test_the_export_says_until_when_a_link_works(service: Service, moving_clock: Clock) -> None:
    """The time and nothing of the token."""
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.export(user.id)["password_reset"] is None
    token = asked(service)
    exported = service.auth.export(user.id)
    assert exported["password_reset"] == {"expires_at": clock.written(moving_clock.now() + HOUR)}
    assert token not in json.dumps(exported)
    put(service, token)
    assert service.auth.export(user.id)["password_reset"] is None


def test_no_log_and_no_repr_shows_the_token(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the objects it passes through nor in what went wrong with it."""
    caplog.set_level(logging.DEBUG)
    token = asked(service)
    service.client().get(f"/reset_password?token={token}")
    put(service, token, "fourteen chars")
    put(service, token)
    put(service, token)
    with pytest.raises(ValueError, match="reset token") as raised:
        service.auth.update_password(token, NEW)
    # The frames of this file show the source, not the values.
    said = "".join(traceback.format_exception(raised.value))
    passed = [
        NewPassword(email=EMAIL, new_password=NEW, reset_token=token),
        Visitor(None, None, {"reset": token}),
        Message(kind="password_reset"),
    ]
    assert "wrong" not in repr(passed)
    assert token not in f"{caplog.text}{said}{passed!r}"
    with pytest.raises(NoResultFound):
        service.auth._db.find_user_by(reset_token=token)
