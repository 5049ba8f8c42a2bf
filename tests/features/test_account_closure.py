"""account_closure: closing an account, what is refused meanwhile, and opening it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from bienvenue import clock, i18n, tokens
from bienvenue.authentication import CODE
from bienvenue.features.account_closure import AccountNotClosed, AccountNotOpen
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.mail import MessageState
from bienvenue.features.one_time_tokens import OneTimeToken
from bienvenue.web.dispatch import NotSignedIn
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.audits import only
from tests.features.closures import (
    CREDENTIALS,
    GRACE,
    close,
    closed,
    link,
    reopen,
    sign_in,
    sweep,
    token_of,
)
from tests.features.hearing import Hearing, rows
from tests.features.password_resets import ask, asked, dump, messages, put, text_of

pytestmark = pytest.mark.usefixtures("bob")


# --- closing ------------------------------------------------------------------------------------


def test_closing_ends_everything_and_writes_one_email(
    service: Service, moving_clock: Clock
) -> None:
    """The answer says until when; every session, device and link is dead at once."""
    other = service.signed_in()
    device = other.get_cookie("device_id")
    assert device is not None
    reset = asked(service)
    client = service.signed_in()
    hearing = Hearing(service.auth)
    answer = close(service, client)
    until = clock.written(moving_clock.time + GRACE)
    assert (answer.status_code, answer.json) == (
        202,
        {"email": EMAIL, "until": until, "message": "account closed"},
    )
    assert [one.get("/profile").status_code for one in (client, other)] == [401, 401]
    assert client.get_cookie("session_id") is None
    assert (rows(service.auth), service.auth.known_devices.knows(EMAIL, device.value)) == (0, False)
    assert put(service, reset).status_code == 403
    (message,) = messages(service, "account_closed")
    assert (message.email, message.state) == (EMAIL, MessageState.WAITING)
    assert message.expires_at == moving_clock.time + GRACE
    assert i18n.of("en").moment(until) in text_of(service, message)
    assert link(service) == f"http://localhost:5000/account/reopen?token={token_of(service)}"
    event = hearing.only("account.closed")
    assert event.facts.keys() == {"session", "until", "message", "message_uid"}
    assert event.caller.ip == "127.0.0.1"
    assert hearing.names == ["sessions.ended", "account.closed"]
    assert hearing.only("sessions.ended").facts == {"reason": "account closed"}
    assert messages(service, "account_closed_notice") == []


def test_closing_needs_a_fresh_session(service: Service, moving_clock: Clock) -> None:
    """A borrowed browser closes nothing."""
    client = service.signed_in()
    moving_clock.forward(15 * 60)
    refused = client.delete("/profile")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "reauthentication_required")
    assert client.get("/account/close").get_json()["code"] == "reauthentication_required"
    assert messages(service, "account_closed") == []
    client.post("/reauthentication", json={"password": PASSPHRASE})
    assert client.delete("/profile").status_code == 202


def test_a_program_sends_no_field(service: Service) -> None:
    """What it does not know is refused, and nothing is closed."""
    client = service.signed_in()
    assert client.delete("/profile", json={"yes": "yes"}).status_code == 400
    assert client.delete("/profile?now=1").status_code == 400
    assert service.client().delete("/profile").status_code == 401
    assert client.get("/profile").status_code == 200


def test_a_session_that_ended_meanwhile_closes_nothing(service: Service) -> None:
    """The generation is part of the condition: signing out everywhere stops it."""
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    me = service.auth.sessions.check(cookie.value)
    assert me is not None
    service.auth.sessions.end_all(CODE, me.user_id)
    service.signed_in()
    with pytest.raises(NotSignedIn):
        service.auth.account_closure.close(CODE, me)
    assert dump(service)["account_closures"] == []


# --- meanwhile ----------------------------------------------------------------------------------


def test_only_the_right_password_hears_that_the_account_is_closing(
    service: Service, moving_clock: Clock, hash_costs: list[int]
) -> None:
    """Anyone else hears what they would hear anyway, at the same cost."""
    closed(service)
    hash_costs.clear()
    refused = sign_in(service)
    until = clock.written(moving_clock.time + GRACE)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "account_closed")
    assert refused.get_json()["until"] == until
    assert i18n.of("en").moment(until) in refused.get_json()["message"]
    assert "email we sent" in refused.get_json()["message"]
    heard = [
        service.client().post("/sessions", json={"email": email, "password": "wrong"})
        for email in (EMAIL, "nobody@example.com")
    ]
    assert [answer.status_code for answer in heard] == [401, 401]
    assert heard[0].text == heard[1].text
    assert hash_costs == [4, 4, 4]
    assert rows(service.auth) == 0


def test_no_other_way_in_is_open_meanwhile(service: Service) -> None:
    """No reset email, no token for code, no session for code; the email stays taken."""
    closed(service)
    before = len(service.auth.mail.list())
    assert ask(service).json == {"email": EMAIL, "message": "check your email"}
    newest, *others = service.auth.mail.list()
    assert (newest.kind, len(others)) == ("account_still_closed", before)
    with pytest.raises(ValueError, match="does not exist"):
        service.auth.get_reset_password_token(EMAIL)
    assert service.auth.create_session(EMAIL) is None
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    assert service.client().post("/users", json=CREDENTIALS).status_code == 409
    with pytest.raises(AccountDisabled):
        service.auth.passwords.verify(CODE, EMAIL, PASSPHRASE)


def test_the_export_says_when_the_account_is_deleted(service: Service, moving_clock: Clock) -> None:
    """For the operator who is asked; and nothing of the token."""
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.export(user.id)["account_closure"] is None
    closed(service)
    now = moving_clock.time
    assert service.auth.export(user.id)["account_closure"] == {
        "closed_at": clock.written(now),
        "delete_at": clock.written(now + GRACE),
    }


# --- opening it again ---------------------------------------------------------------------------


def test_the_link_opens_the_account_again_once(service: Service) -> None:
    """As it was, with no one signed in; the owner is told."""
    token = closed(service)
    hearing = Hearing(service.auth)
    answer = reopen(service, token)
    assert (answer.status_code, answer.json) == (200, {"email": EMAIL, "message": "account open"})
    assert "Set-Cookie" not in answer.headers or "session_id" not in answer.headers["Set-Cookie"]
    assert rows(service.auth) == 0
    assert sign_in(service).status_code == 200
    assert (dump(service)["account_closures"], len(messages(service, "account_reopened"))) == (
        [],
        1,
    )
    reopened = hearing.only("account.reopened")
    assert (reopened.facts, reopened.caller.actor) == ({}, "visitor")
    assert reopened.caller.origin.keys() == {"ip", "agent", "device"}
    (message,) = messages(service, "account_closed")
    assert (message.encrypted_link, message.state) == (None, MessageState.WITHDRAWN)
    again = reopen(service, token)
    assert (again.status_code, again.get_json()["code"]) == (403, "wrong_reopening_token")


def test_an_account_can_be_closed_again(service: Service) -> None:
    """With another link; the first one opens nothing."""
    first = closed(service)
    reopen(service, first)
    second = closed(service)
    assert reopen(service, first).status_code == 403
    assert reopen(service, second).status_code == 200


def test_the_link_works_until_the_last_second(service: Service, moving_clock: Clock) -> None:
    """A second before the deletion is due it opens, and from then on nothing does."""
    token = closed(service)
    moving_clock.forward(GRACE - 1)
    assert sweep(service) == 0
    assert reopen(service, token).status_code == 200
    token = closed(service)
    moving_clock.forward(GRACE)
    assert reopen(service, token).status_code == 403
    shown = service.client().get("/account/reopen", headers={"Cookie": f"reopening_token={token}"})
    # The browser keeps no link under this name, so the page asks to open the email again.
    assert shown.get_json()["code"] == "link_not_open"


def _disable(service: Service, token: str) -> str:
    service.auth.accounts.disable(CODE, EMAIL)
    return token


def _enable(service: Service, token: str) -> str:
    service.auth.accounts.enable(CODE, EMAIL)
    return token


def _of_another_purpose(service: Service, token: str) -> str:
    with service.auth._db.transaction() as tx:
        digest = tokens.digest("reset", token)
        tx.execute(update(OneTimeToken).values(digest=digest, purpose="password_reset"))
    return token


@pytest.mark.parametrize(
    "happens",
    [_disable, _enable, _of_another_purpose],
)
def test_a_token_that_opens_nothing(
    service: Service, happens: Callable[[Service, str], str | None]
) -> None:
    """One refusal for all of them, and nothing is changed."""
    token = happens(service, closed(service))
    before = dump(service)
    refused = reopen(service, token)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "wrong_reopening_token")
    assert dump(service) == before


# --- the administrator --------------------------------------------------------------------------


def test_disabling_a_closing_account_wins_over_the_link(
    service: Service, moving_clock: Clock
) -> None:
    """Anyone who closed it cannot open it again; it is deleted when it was to be."""
    token = closed(service)
    moving_clock.forward(60)
    hearing = Hearing(service.auth)
    service.auth.accounts.disable(CODE, EMAIL)
    assert hearing.names == ["sessions.ended", "account.disabled"]
    service.auth.accounts.disable(CODE, EMAIL)
    assert hearing.names.count("account.disabled") == 1
    assert reopen(service, token).status_code == 403
    assert sign_in(service).get_json()["code"] == "account_disabled"
    with pytest.raises(AccountNotClosed):
        service.auth.account_closure.reopen_for(CODE, EMAIL)
    moving_clock.forward(GRACE)
    assert sweep(service) == 1


@pytest.mark.parametrize("disabled_too", [False, True])
def test_enabling_a_closing_account_keeps_it(
    service: Service, moving_clock: Clock, disabled_too: bool
) -> None:
    """The row is gone, the link opens nothing, and no sweep deletes the account."""
    token = closed(service)
    if disabled_too:
        service.auth.accounts.disable(CODE, EMAIL)
    service.auth.accounts.enable(CODE, EMAIL)
    assert sign_in(service).status_code == 200
    assert reopen(service, token).status_code == 403
    assert messages(service, "account_closed")[0].encrypted_link is None
    moving_clock.forward(GRACE)
    assert sweep(service) == 0
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_an_administrator_closes_and_keeps(service: Service, moving_clock: Clock) -> None:
    """As the owner would, with the same email; each only where there is something to do."""
    del moving_clock
    with pytest.raises(AccountNotClosed):
        service.auth.account_closure.reopen_for(CODE, EMAIL)
    user, until = service.auth.account_closure.close_for(CODE, EMAIL)
    assert (user.email, until) == (EMAIL, clock.written(clock.now() + GRACE))
    with pytest.raises(AccountNotOpen):
        service.auth.account_closure.close_for(CODE, EMAIL)
    assert only(service.auth, "account.closed").personal == {"until": until}
    assert "signed in to it" not in text_of(service, messages(service, "account_closed")[0])
    assert service.auth.account_closure.reopen_for(CODE, EMAIL) == EMAIL
    assert sign_in(service).status_code == 200
    service.auth.accounts.disable(CODE, EMAIL)
    with pytest.raises(AccountNotOpen):
        service.auth.account_closure.close_for(CODE, EMAIL)


def test_an_account_enabled_behind_our_back_is_not_deleted(
    service: Service, moving_clock: Clock
) -> None:
    """Code of a host that enables the row itself meant to keep it."""
    closed(service)
    user = service.auth.accounts.find(EMAIL)
    service.auth._db.update_user(user.id, disabled_at=None)
    moving_clock.forward(GRACE)
    assert sweep(service) == 0
    assert sign_in(service).status_code == 200
    assert close(service).status_code == 202
