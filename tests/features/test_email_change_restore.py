"""email_change: restoring the old email, whatever a thief did, and who must not have it."""

from __future__ import annotations

import pytest

from bienvenue.authentication import CODE
from bienvenue.features.accounts import EmailTaken
from bienvenue.features.mail import MessageState
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.email_changes import (
    NEW_EMAIL,
    THIRD,
    WEEK,
    ask,
    asked,
    change,
    exists,
    reserved,
    restore,
    token_of,
    verify,
)
from tests.features.hearing import Hearing
from tests.features.password_resets import NEW, dump, messages, outstanding, put
from tests.features.password_resets import ask as ask_reset

AMY = "amy@example.com"
STOLEN = "cinq grenouilles dans un arbre"


def test_an_undo_restores_the_email_and_begins_a_reset(service: Service) -> None:
    """No one is signed in, no one can sign in, and the email lets the owner choose a password."""
    hearing = Hearing(service.auth)
    client = service.signed_in()
    back = change(service, client)
    waiting = asked(service, client, THIRD)
    answer = restore(service, back)
    assert (answer.status_code, answer.json) == (
        200,
        {"email": EMAIL, "message": "Email restored"},
    )
    assert client.get("/profile").status_code == 401
    for email in (EMAIL, NEW_EMAIL):
        assert not service.auth.valid_login(email, PASSPHRASE)
    assert hearing.only("email.restored").facts == {"old": NEW_EMAIL, "new": EMAIL}
    assert hearing.only("email.restored").caller.ip == "127.0.0.1"
    (message,) = messages(service)
    assert (message.email, message.state) == (EMAIL, MessageState.WAITING)
    assert service.auth.registration.verified_at(service.auth.accounts.find(EMAIL).id) is not None
    assert put(service, token_of(service, "password_reset")).status_code == 200
    assert service.auth.valid_login(EMAIL, NEW)
    assert verify(service.signed_in(EMAIL, NEW), waiting).status_code == 403
    assert restore(service, back).get_json()["code"] == "wrong_email_restore_token"
    assert [
        message.email for message in service.auth.mail.list() if message.email == NEW_EMAIL
    ] == [NEW_EMAIL]
    assert (outstanding(service, "email_change"), outstanding(service, "email_restore")) == ([], [])
    assert not reserved(service, NEW_EMAIL)


def test_a_thief_who_changed_everything_loses_it_all(service: Service, moving_clock: Clock) -> None:
    """The password, the email twice, a reset and a disabled account: the first link still works."""
    thief = service.signed_in()
    back = change(service, thief, THIRD)
    sent = {"old_password": PASSPHRASE, "new_password": STOLEN}
    assert thief.put("/password", json=sent).status_code == 200
    moving_clock.forward(121)
    later = change(service, thief, NEW_EMAIL)
    ask_reset(service, NEW_EMAIL)
    assert put(service, token_of(service, "password_reset"), STOLEN, NEW_EMAIL).status_code == 200
    service.auth.sessions.end_all(CODE, service.auth.accounts.find(NEW_EMAIL).id)
    service.auth.accounts.disable(CODE, NEW_EMAIL)
    service.auth.accounts.enable(CODE, NEW_EMAIL)
    thief = service.signed_in(NEW_EMAIL, STOLEN)
    waiting = asked(service, thief, "fourth@example.net")
    message = messages(service, "email_changed")[0]
    assert (message.email, message.state) == (EMAIL, MessageState.WAITING)
    assert token_of_email(service, message.uid) == back
    moving_clock.forward(WEEK - 122)
    assert restore(service, back).status_code == 200
    assert thief.get("/profile").status_code == 401
    assert not service.auth.valid_login(EMAIL, STOLEN)
    for token in (back, later):
        assert restore(service, token).status_code == 403
    assert put(service, token_of(service, "password_reset")).status_code == 200
    assert verify(service.signed_in(EMAIL, NEW), waiting).status_code == 403
    for email in (THIRD, NEW_EMAIL):
        assert not exists(service, email)
        assert not reserved(service, email)


def token_of_email(service: Service, uid: str) -> str:
    """Give the token that an email bears."""
    body = service.auth.mail.read(uid).get_body(("plain",))
    assert body is not None
    return str(body.get_content()).partition("?token=")[2].split()[0]


def test_the_link_of_a_later_change_restores_what_was_before_it(service: Service) -> None:
    """From a to b to c: b's link gives b, and a's still gives a afterwards."""
    client = service.signed_in()
    first = change(service, client, NEW_EMAIL)
    second = change(service, client, THIRD)
    assert restore(service, second).get_json()["email"] == NEW_EMAIL
    assert exists(service, NEW_EMAIL)
    assert not reserved(service, THIRD)
    assert reserved(service)
    assert restore(service, first).get_json()["email"] == EMAIL
    assert restore(service, second).status_code == 403
    assert not reserved(service, NEW_EMAIL)


def test_anyone_who_goes_back_takes_back_what_came_after(
    service: Service, moving_clock: Clock
) -> None:
    """The owner may have the old email again by asking; no link brings the other one back."""
    client = service.signed_in()
    first = change(service, client, NEW_EMAIL)
    moving_clock.forward(121)
    second = change(service, client, THIRD)
    moving_clock.forward(121)
    token = asked(service, client, EMAIL)
    assert messages(service, "new_email_verification")[-1].email == EMAIL
    assert verify(client, token).status_code == 200
    told = messages(service, "email_changed")[-1]
    assert (told.email, told.encrypted_link) == (THIRD, None)
    for back in (first, second):
        assert restore(service, back).status_code == 403
    assert outstanding(service, "email_restore") == []
    assert exists(service, EMAIL)
    assert client.get("/profile").status_code == 200


def test_no_one_else_has_the_old_email_meanwhile(service: Service, moving_clock: Clock) -> None:
    """Neither by registering, nor from an administrator, nor by changing to it; then anyone."""
    amy = service.signed_in(AMY)
    change(service, service.signed_in())
    for passing in (WEEK - 1, 1):
        taken = service.client().post("/users", json={"email": EMAIL, "password": PASSPHRASE})
        assert (taken.status_code, taken.get_json()["code"]) == (409, "email_taken")
        with pytest.raises(EmailTaken, match=f"User {EMAIL} already exists"):
            service.auth.accounts.add_without_password(CODE, EMAIL)
        for take in (
            lambda: service.auth.email_change.set(CODE, AMY, EMAIL),
            lambda: service.auth.invitations.invite(CODE, EMAIL),
        ):
            with pytest.raises(EmailTaken):
                take()
        assert not exists(service, EMAIL)
        moving_clock.forward(passing)
    amy.post("/reauthentication", json={"password": PASSPHRASE})
    assert verify(amy, asked(service, amy, EMAIL)).status_code == 200
    assert exists(service, EMAIL)


def test_a_reserved_email_is_told_that_someone_tried(service: Service) -> None:
    """In the words of a taken one, and without a token."""
    amy = service.signed_in(AMY)
    change(service, service.signed_in())
    assert ask(amy, EMAIL).status_code == 202
    (message,) = messages(service, "new_email_taken")
    assert (message.email, message.encrypted_link) == (EMAIL, None)


def test_an_email_someone_got_after_all_is_not_taken_from_them(service: Service) -> None:
    """A row behind the service's back: the link is refused, and stays as it was."""
    back = change(service, service.signed_in())
    service.auth._db.add_user(EMAIL, "!")
    before = dump(service)
    assert restore(service, back).get_json()["code"] == "wrong_email_restore_token"
    assert dump(service) == before


def test_a_disabled_account_has_its_email_back_and_no_email(service: Service) -> None:
    """Who may not come in is sent no way in; once enabled, the owner asks for one."""
    back = change(service, service.signed_in())
    service.auth.accounts.disable(CODE, NEW_EMAIL)
    assert restore(service, back).status_code == 200
    assert messages(service) == []
    assert service.auth.accounts.find(EMAIL).disabled_at is not None
    service.auth.accounts.enable(CODE, EMAIL)
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    ask_reset(service)
    assert put(service, token_of(service, "password_reset")).status_code == 200


def test_the_email_of_the_reset_is_none_of_a_attackers(service: Service) -> None:
    """Anyone who asked for emails a moment ago does not keep the owner's from being written."""
    client = service.signed_in()
    for _ in range(3):
        ask_reset(service)
    back = change(service, client)
    ask_reset(service)
    before = len(messages(service))
    restore(service, back)
    assert len(messages(service)) == before + 1
    assert put(service, token_of(service, "password_reset")).status_code == 200


def test_a_registration_of_a_reserved_email_makes_no_account(make_service: MakeService) -> None:
    """Where registering is verified by an email, its reader cannot take the email away."""
    service = make_service(smtp_host="mail.example.org", mail_from="no-reply@example.org")
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.email_change.set(CODE, EMAIL, NEW_EMAIL)
    sent = {"email": EMAIL, "password": STOLEN}
    assert service.client().post("/users", json=sent).status_code == 202
    found = {"verification_token": token_of(service, "registration"), "password": STOLEN}
    assert service.client().post("/email/verification", json=found).status_code == 403
    assert not exists(service, EMAIL)


def test_what_was_pending_for_the_new_email_is_over(make_service: MakeService) -> None:
    """Anyone who registered with it and did not verify it has no account to make any more."""
    service = make_service(smtp_host="mail.example.org", mail_from="no-reply@example.org")
    service.auth.register_user(EMAIL, PASSPHRASE)
    sent = {"email": NEW_EMAIL, "password": STOLEN}
    assert service.client().post("/users", json=sent).status_code == 202
    client = service.client()
    client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    change(service, client)
    assert service.auth.registration.list() == []
