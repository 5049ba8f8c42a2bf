"""email_change: asking for another one, who is written to, how often, and what is kept."""

from __future__ import annotations

import json
import logging
import re
import traceback

import pytest
from flask.testing import FlaskClient

from bienvenue import clock, tokens
from bienvenue.authentication import CODE
from bienvenue.features.email_change import WrongEmailToken
from bienvenue.features.email_change.pages import EmailRestoration, NewEmailVerification
from bienvenue.features.mail import MessageState
from bienvenue.settings import SettingsProblem
from bienvenue.web.page import Visitor
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.audits import only, run
from tests.features.email_changes import (
    DAY,
    NEW_EMAIL,
    THIRD,
    WEEK,
    ask,
    asked,
    change,
    link_of,
    me_of,
    restore,
    token_of,
    verify,
)
from tests.features.hearing import Hearing
from tests.features.password_resets import (
    answered,
    dump,
    messages,
    outstanding,
    statements,
    text_of,
)

HOUR = 3600
IP = "192.0.2.1"
AMY, EVE, KEPT = "amy@example.com", "eve@example.com", "kept@example.com"


@pytest.fixture
def client(service: Service) -> FlaskClient:
    """Bob, signed in a moment ago."""
    return service.signed_in()


# --- asking -------------------------------------------------------------------------------------


@pytest.mark.table
@pytest.mark.parametrize("medium", ["application/json", "text/html"])
def test_a_taken_email_is_answered_as_a_free_one(service: Service, medium: str) -> None:
    """Status, headers, words and every statement are the same, for a reserved and a dead one too.

    Only the mailboxes hear more: nothing goes to that of a disabled account.
    """
    for email in (AMY, EVE):
        service.auth.register_user(email, PASSPHRASE)
    service.auth.accounts.disable(CODE, EVE)
    change(service, service.signed_in(KEPT), "moved@example.com")
    heard = []
    for number, email in enumerate((NEW_EMAIL, AMY, EVE, KEPT)):
        client = service.signed_in(f"bob{number}@example.com")
        client.get("/email", headers={"Accept": medium})
        with statements(service) as said:
            answer = client.put("/email", json={"new_email": email}, headers={"Accept": medium})
        assert answer.status_code == (303 if medium == "text/html" else 202)
        shown = answered(client, answer, email)
        activity = re.sub(r"\d{4}-\S+Z|[0-9a-f-]{36}", "…", client.get("/activity").text)
        user = service.auth.accounts.find(f"bob{number}@example.com")
        kept = service.auth.export(user.id)
        kept["email_change"].pop("new")
        told = json.dumps(kept).replace(f"bob{number}", "bob")
        told = re.sub(r"\d{4}-\S+?Z|[0-9a-f-]{36}|user \d+", "…", told)
        heard.append((shown, said, activity, told))
    assert heard[0] == heard[1] == heard[2] == heard[3]
    sent = [(one.kind, one.email) for one in service.auth.mail.list() if one.kind != "new_device"]
    assert sent[:3] == [
        ("new_email_taken", KEPT),
        ("new_email_taken", AMY),
        ("new_email_verification", NEW_EMAIL),
    ]
    assert [one.email for one in service.auth.mail.list() if one.email == EVE] == []
    for message in messages(service, "new_email_taken"):
        assert (message.encrypted_link, "token" in text_of(service, message)) == (None, False)
        assert "bob" not in text_of(service, message)


def test_asking_writes_an_email_and_keeps_a_digest(service: Service, client: FlaskClient) -> None:
    """The link stands sealed in the email's row, and the token in no column of any table."""
    hearing = Hearing(service.auth)
    answer = ask(client, NEW_EMAIL.title())
    assert answer.json == {"email": NEW_EMAIL.title(), "message": "check your email"}
    (message,) = messages(service, "new_email_verification")
    assert (message.email, message.user_id, message.state) == (
        NEW_EMAIL,
        None,
        MessageState.WAITING,
    )
    token = token_of(service, "new_email_verification")
    assert link_of(service, message) == f"http://localhost:5000/email/new?token={token}"
    assert EMAIL not in text_of(service, message)
    assert tokens.well_formed(token)
    event = hearing.only("email_change.requested")
    session = client.get("/profile").get_json()["session"]["uid"]
    assert (event.facts, event.caller.ip) == ({"session": session}, IP)
    assert only(service.auth, "email_change.requested").sentence.startswith(
        "An email change was requested"
    )
    kept = repr(dump(service))
    assert token not in kept
    assert token.encode().hex() not in kept
    assert tokens.digest("email", token).hex() in kept
    assert service.auth.accounts.find(EMAIL).email == EMAIL


def test_asking_takes_a_fresh_session(service: Service, moving_clock: Clock) -> None:
    """An attacker and anyone who signed in a while ago write no email."""
    assert ask(service.client()).status_code == 401
    stale = service.signed_in()
    moving_clock.forward(15 * 60)
    refused = ask(stale)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "reauthentication_required")
    assert messages(service, "new_email_verification") == []
    stale.post("/reauthentication", json={"password": PASSPHRASE})
    assert ask(stale).status_code == 202


@pytest.mark.parametrize(
    ("new", "status", "code"),
    [
        (EMAIL, 422, "same_email"),
        (f" {EMAIL.upper()} ", 422, "same_email"),
        ("bob", 400, "malformed_email"),
        ("bob@example..com", 400, "malformed_email"),
        ("x" * 300 + "@example.com", 400, "malformed_email"),
        ("bob\r\nBcc: eve@example.com", 400, "malformed_email"),
    ],
)
def test_what_cannot_be_the_new_email_is_refused(
    service: Service, client: FlaskClient, new: str, status: int, code: str
) -> None:
    """With the name of the field, and before anything is counted or written."""
    refused = ask(client, new)
    assert (refused.status_code, refused.get_json()["code"]) == (status, code)
    assert refused.get_json()["field"] == "new_email"
    assert [message.kind for message in service.auth.mail.list()] == []
    assert outstanding(service, "email_change") == []
    assert dump(service)["email_requests"] == []


# --- how many emails ---------------------------------------------------------------------------


def test_one_email_in_two_minutes(
    service: Service, moving_clock: Clock, client: FlaskClient
) -> None:
    """Asking sooner says the same and leaves the outstanding link as it is."""
    first = asked(service, client)
    moving_clock.forward(119)
    assert ask(client).status_code == 202
    assert len(messages(service, "new_email_verification")) == 1
    me = me_of(service, client)
    assert service.auth.email_change.pending_email(me, first) == NEW_EMAIL
    moving_clock.forward(1)
    second = asked(service, client)
    assert service.auth.email_change.pending_email(me, second) == NEW_EMAIL
    with pytest.raises(WrongEmailToken):
        service.auth.email_change.pending_email(me, first)
    states = [message.state for message in messages(service, "new_email_verification")]
    assert states == [MessageState.WITHDRAWN, MessageState.WAITING]


def test_an_email_gets_five_emails_in_an_hour(service: Service, moving_clock: Clock) -> None:
    """For any caller; no one hears that it was the sixth, and the hour after begins again."""
    clients = [service.signed_in(f"bob{number}@example.com") for number in range(6)]
    for client in clients:
        assert ask(client).status_code == 202
        moving_clock.forward(120)
    assert len(messages(service, "new_email_verification")) == 5
    moving_clock.forward(HOUR - 6 * 120)
    for client in clients[-1:]:
        client.post("/reauthentication", json={"password": PASSPHRASE})
        assert len(asked(service, client)) == 43


def test_an_account_asks_ten_times_an_hour(service: Service, client: FlaskClient) -> None:
    """One person writes to no more attackers than that, from wherever; others can still ask."""
    for number in range(10):
        assert ask(client, f"s{number}@example.com", f"198.51.100.{number}").status_code == 202
    refused = ask(client, NEW_EMAIL, "198.51.100.99")
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_emails")
    assert refused.headers["Retry-After"] == "3600"
    assert len(messages(service, "new_email_verification")) == 10
    assert ask(service.signed_in(AMY)).status_code == 202


def test_a_network_asks_twenty_times_an_hour(service: Service, moving_clock: Clock) -> None:
    """Over all its accounts, and together with letters of reset."""
    clients = [service.signed_in(f"bob{number}@example.com") for number in range(3)]
    for number in range(19):
        assert ask(clients[number // 8], f"s{number}@example.com").status_code == 202
    sent = {"email": "nobody@example.com"}
    service.client().post("/reset_password", json=sent, environ_base={"REMOTE_ADDR": IP})
    refused = ask(clients[2])
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_emails")
    assert ask(clients[2], ip="192.0.2.2").status_code == 202
    moving_clock.forward(HOUR)
    clients[2].post("/reauthentication", json={"password": PASSPHRASE})
    assert ask(clients[2], "s@example.com").status_code == 202


# --- settings -----------------------------------------------------------------------------------


def test_the_lifetimes_are_settings(make_service: MakeService, moving_clock: Clock) -> None:
    """To the second, and within what makes sense."""
    service = make_service(email_change_lifetime="1h", email_restore_lifetime="2d")
    client = service.signed_in()
    token = asked(service, client)
    moving_clock.forward(HOUR)
    assert verify(client, token).status_code == 403
    client.post("/reauthentication", json={"password": PASSPHRASE})
    back = change(service, client)
    moving_clock.forward(2 * DAY)
    assert restore(service, back).status_code == 403
    for wrong in ({"email_change_lifetime": "8d"}, {"email_restore_lifetime": "31d"}):
        with pytest.raises(SettingsProblem, match="EMAIL_"):
            make_service(**wrong)


# --- the command --------------------------------------------------------------------------------


def test_an_administrator_changes_an_email_at_once(service: Service, client: FlaskClient) -> None:
    """Every session ends, and the old email is told, with the link that restores it."""
    command = service.auth.email_change.commands[0]
    hearing = Hearing(service.auth)
    done = run(service, command, EMAIL, NEW_EMAIL.upper())
    assert done.output == f"changed {EMAIL} to {NEW_EMAIL}\n"
    assert client.get("/profile").status_code == 401
    assert service.auth.valid_login(NEW_EMAIL, PASSPHRASE)
    (message,) = messages(service, "email_changed")
    assert message.email == EMAIL
    assert "An administrator made the change." in text_of(service, message)
    facts = hearing.only("email.assigned").facts
    assert (facts["old"], facts["new"]) == (EMAIL, NEW_EMAIL)
    assert service.auth.registration.verified_at(service.auth.accounts.find(NEW_EMAIL).id) is None
    assert restore(service, token_of(service, "email_changed")).status_code == 200
    assert service.auth.accounts.find(EMAIL)


def test_an_administrator_takes_an_email_from_a_thief_for_good(service: Service) -> None:
    """Without a link to the thief's email, and with none to it when it goes back in time."""
    command = service.auth.email_change.commands[0]
    change(service, service.signed_in(), THIRD)
    run(service, command, THIRD, EMAIL)
    told = messages(service, "email_changed")[-1]
    assert (told.email, told.encrypted_link) == (THIRD, None)
    assert "contact support" in text_of(service, told)
    assert outstanding(service, "email_restore") == []
    run(service, command, EMAIL, NEW_EMAIL, "--without-undo")
    told = messages(service, "email_changed")[-1]
    assert (told.email, told.encrypted_link) == (EMAIL, None)
    assert outstanding(service, "email_restore") == []


def test_an_administrator_hears_what_cannot_be(service: Service) -> None:
    """No one of this name, an email someone has or is kept for someone, and the same one."""
    service.signed_in(AMY)
    change(service, service.signed_in())
    before = dump(service)["users"]
    for name, new, said in (
        ("nobody@example.com", THIRD, "no account"),
        (AMY, NEW_EMAIL, "already exists"),
        (AMY, EMAIL, "already exists"),
        (AMY, AMY, "already"),
        (AMY, "amy", "email"),
    ):
        done = run(service, service.auth.email_change.commands[0], name, new)
        assert done.exit_code != 0
        assert said in str(done.exception)
    assert dump(service)["users"] == before


# --- what is kept -------------------------------------------------------------------------------


def test_the_export_says_what_is_outstanding(
    service: Service, moving_clock: Clock, client: FlaskClient
) -> None:
    """The change that waits for a verification, and what can be restored until when; no token."""
    user = service.auth.accounts.find(EMAIL)
    exported = service.auth.export(user.id)
    assert (exported["email_change"], exported["former_emails"]) == (None, [])
    now = moving_clock.now()
    back = change(service, client)
    token = asked(service, client, THIRD)
    exported = service.auth.export(user.id)
    assert exported["email_change"] == {
        "new": THIRD,
        "requested_at": clock.written(now),
        "expires_at": clock.written(now + DAY),
        "ip": IP,
    }
    assert exported["former_emails"] == [{"email": EMAIL, "expires_at": clock.written(now + WEEK)}]
    assert token not in json.dumps(exported)
    assert back not in json.dumps(exported)


def test_sweeping_deletes_what_is_over(
    service: Service, moving_clock: Clock, client: FlaskClient
) -> None:
    """So many at a time, and nothing that still works."""
    for name in ("amy", "eve"):
        other = service.signed_in(f"{name}@example.com")
        change(service, other, f"{name}@example.org")
        asked(service, other, f"{name}@example.net")
    begun = moving_clock.now()
    moving_clock.forward(DAY - 1)
    assert client.post("/reauthentication", json={"password": PASSPHRASE}).status_code == 200
    token = asked(service, client)
    sweep = service.auth.one_time_tokens.sweep
    assert sweep(begun + DAY - 1, 9) == 0
    assert [sweep(begun + DAY, 1) for _ in range(5)] == [1, 1, 1, 1, 0]
    assert service.auth.email_change.pending_email(me_of(service, client), token) == NEW_EMAIL
    assert sweep(begun + WEEK - 1, 9) == 2
    assert [sweep(begun + WEEK, 1) for _ in range(3)] == [1, 1, 0]
    assert outstanding(service, "email_restore") == outstanding(service, "email_change") == []


def test_an_account_that_is_deleted_takes_all_of_it_along(service: Service) -> None:
    """The rows, every email, also that to the email no one verified, and the reservation."""
    client = service.signed_in()
    back = change(service, client)
    asked(service, client, THIRD)
    service.auth.accounts.delete(CODE, NEW_EMAIL)
    found = dump(service)
    assert (
        outstanding(service, "email_change"),
        outstanding(service, "email_restore"),
        found["messages"],
    ) == ([], [], [])
    assert restore(service, back).status_code == 403
    for email in (EMAIL, NEW_EMAIL, THIRD):
        service.auth.register_user(email, PASSPHRASE)


def test_no_log_and_no_repr_shows_a_token(
    service: Service, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the objects they pass through nor in what went wrong with them."""
    caplog.set_level(logging.DEBUG)
    token = asked(service, client)
    client.get(f"/email/new?token={token}")
    verify(client, token)
    verify(client, token)
    back = token_of(service, "email_changed")
    client.get(f"/email/restore?token={back}")
    restore(service, back)
    restore(service, back)
    me = me_of(service, service.signed_in(AMY))
    with pytest.raises(WrongEmailToken) as raised:
        service.auth.email_change.verify(CODE, me, token)
    said = "".join(traceback.format_exception(raised.value))
    passed = [
        NewEmailVerification(email_change_token=token),
        EmailRestoration(email_restore_token=back),
        Visitor(None, None, {"email": token, "undo": back}),
        service.auth.mail.list(),
    ]
    for secret in (token, back):
        assert secret not in f"{caplog.text}{said}{passed!r}"
