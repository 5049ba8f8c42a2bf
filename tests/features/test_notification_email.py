"""notification_email: naming a notification email, verifying it, and what it costs and tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bienvenue import clock
from bienvenue.authentication import CODE
from bienvenue.features.mail import MessageState
from bienvenue.features.notification_email import NoNotificationEmail
from bienvenue.web.dispatch import NotSignedIn
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.audits import only
from tests.features.closures import token_of
from tests.features.hearing import Hearing
from tests.features.notification_emails import (
    SECOND,
    VERIFICATION,
    asked,
    name,
    second_of,
    told,
    verified,
    verify,
)
from tests.features.password_resets import dump, messages, statements, text_of

HOUR, DAY = 3600, 86400
AMY = "amy@example.com"

pytestmark = pytest.mark.usefixtures("bob")


# --- naming one ---------------------------------------------------------------------------------


def test_naming_one_writes_an_email_there_and_nothing_else(
    service: Service, moving_clock: Clock
) -> None:
    """It does not count yet; the email names the account, and its link is sealed."""
    client = service.signed_in()
    hearing = Hearing(service.auth)
    answer = name(client, " Robert@Elsewhere.EXAMPLE")
    assert (answer.status_code, answer.json) == (
        202,
        {
            "notification_email": " Robert@Elsewhere.EXAMPLE",
            "message": "check your notification email",
        },
    )
    (message,) = messages(service, VERIFICATION)
    assert (message.email, message.state) == (SECOND, MessageState.WAITING)
    assert message.expires_at == moving_clock.time + DAY
    assert EMAIL in text_of(service, message)
    assert second_of(service) is None
    assert client.get("/notification_email").json == {
        "notification_email": None,
        "since": None,
        "waiting": SECOND,
        "action": "PUT /notification_email",
    }
    event = hearing.only("notification_email.requested")
    assert event.facts.keys() == {"session", "notification_email", "message", "message_uid"}
    assert (
        only(service.auth, "notification_email.requested").personal["notification_email"] == SECOND
    )
    assert told(service, "notification_email_added") == []


def test_no_one_learns_whose_email_it_is(service: Service) -> None:
    """Someone's first email, someone's second and no one's: same answer and statements."""
    service.auth.register_user(AMY, PASSPHRASE)
    heard: list[tuple[object, ...]] = []
    for email in (AMY, SECOND, "nobody@example.org"):
        client = service.signed_in(f"person{len(heard)}@example.com")
        with statements(service) as said:
            answer = name(client, email)
        headers = {n: v for n, v in answer.headers if n not in {"X-Request-Id", "Content-Length"}}
        heard.append((answer.status_code, answer.text.replace(email, "…"), headers, said))
    assert heard[0] == heard[1] == heard[2]
    assert told(service, VERIFICATION) == sorted([AMY, SECOND, "nobody@example.org"])


def test_ones_own_first_email_is_refused(service: Service) -> None:
    """However it is spelt; and what is no email is refused as anywhere, by the field's name."""
    client = service.signed_in()
    refused = name(client, EMAIL.upper())
    assert (refused.status_code, refused.get_json()["code"]) == (422, "same_as_account_email")
    assert refused.get_json()["field"] == "notification_email"
    malformed = name(client, "bob")
    assert (malformed.status_code, malformed.get_json()["field"]) == (400, "notification_email")
    assert told(service, VERIFICATION) == []


def test_naming_and_removing_need_a_fresh_session(service: Service, moving_clock: Clock) -> None:
    """Looking needs none; and nothing of it is an attacker's."""
    client = service.signed_in()
    verified(service, client)
    moving_clock.forward(15 * 60)
    for answer in (name(client, "eve@example.org"), client.delete("/notification_email")):
        assert (answer.status_code, answer.get_json()["code"]) == (403, "reauthentication_required")
    assert client.get("/notification_email").get_json()["notification_email"] == SECOND
    stranger = service.client()
    answers = [
        stranger.get("/notification_email"),
        name(stranger),
        stranger.delete("/notification_email"),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]


def test_a_session_that_ended_meanwhile_names_none(service: Service) -> None:
    """The root is part of the condition."""
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    me = service.auth.sessions.check(cookie.value)
    assert me is not None
    service.auth.sessions.end_all(CODE, me.user_id)
    with pytest.raises(NotSignedIn):
        service.auth.notification_email.request(CODE, me, SECOND)
    assert (dump(service)["notification_emails"], told(service, VERIFICATION)) == ([], [])


# --- how many emails ---------------------------------------------------------------------------


def test_one_email_in_two_minutes_to_one_email(service: Service, moving_clock: Clock) -> None:
    """Sooner the answer is the same, and the outstanding link stays, for any caller."""
    client = service.signed_in()
    first = asked(service, client)
    moving_clock.forward(119)
    assert name(client).status_code == 202
    assert name(service.signed_in(AMY)).status_code == 202
    assert told(service, VERIFICATION) == [SECOND]
    moving_clock.forward(1)
    second = asked(service, client)
    assert verify(service, first).status_code == 403
    assert verify(service, second).status_code == 200


def test_five_emails_in_an_hour_to_one_email(service: Service, moving_clock: Clock) -> None:
    """The fifth link stays."""
    client = service.signed_in()
    for _ in range(7):
        assert name(client).status_code == 202
        moving_clock.forward(120)
    assert told(service, VERIFICATION) == [SECOND] * 5
    assert verify(service, token_of(service, VERIFICATION)).status_code == 200


def test_an_account_has_ten_emails_an_hour(service: Service, moving_clock: Clock) -> None:
    """Whatever emails it names; another account of the network has its own."""
    client = service.signed_in()
    for number in range(10):
        assert name(client, f"friend{number}@example.org").status_code == 202
    refused = name(client, "friend10@example.org")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3600")
    assert refused.get_json()["code"] == "too_many_emails"
    assert name(service.signed_in(AMY), "friend10@example.org").status_code == 202
    moving_clock.forward(HOUR)
    client.post("/reauthentication", json={"password": PASSPHRASE})
    assert name(client, "friend11@example.org").status_code == 202


def test_a_network_has_twenty_emails_an_hour(service: Service) -> None:
    """Together with those of getting back in."""
    client = service.signed_in()
    for number in range(20):
        service.client().post("/reset_password", json={"email": f"p{number}@example.com"})
    assert name(client).status_code == 429
    elsewhere = {"REMOTE_ADDR": "192.0.2.9"}
    sent = {"notification_email": SECOND}
    assert client.put("/notification_email", json=sent, environ_base=elsewhere).status_code == 202


# --- verifying it ---------------------------------------------------------------------------------


def test_the_link_proves_it_once(service: Service, moving_clock: Clock) -> None:
    """No one is signed in by it; both emails are told, and the email's link is erased."""
    client = service.signed_in()
    token = asked(service, client)
    hearing = Hearing(service.auth)
    answer = verify(service, token)
    assert (answer.status_code, answer.json) == (
        200,
        {"notification_email": SECOND, "message": "notification email added"},
    )
    assert "session_id" not in str(answer.headers)
    assert second_of(service) == SECOND
    assert client.get("/notification_email").json == {
        "notification_email": SECOND,
        "since": clock.written(moving_clock.time),
        "waiting": None,
        "action": "PUT /notification_email",
    }
    added = hearing.only("notification_email.added")
    assert added.facts == {"notification_email": SECOND}
    assert added.caller.origin.keys() == {"ip", "agent", "device"}
    assert told(service, "notification_email_added") == [EMAIL, SECOND]
    for message in messages(service, "notification_email_added"):
        assert (EMAIL in text_of(service, message), SECOND in text_of(service, message)) == (
            True,
            True,
        )
    assert messages(service, VERIFICATION)[0].encrypted_link is None
    again = verify(service, token)
    assert (again.status_code, again.get_json()["code"]) == (403, "wrong_notification_email_token")


def test_another_one_takes_its_place_once_it_is_verified(
    service: Service, moving_clock: Clock
) -> None:
    """Until then the first one counts; then it is told that it gets no more."""
    client = service.signed_in()
    verified(service, client)
    moving_clock.forward(120)
    token = asked(service, client, "robert@third.example")
    assert second_of(service) == SECOND
    shown = client.get("/notification_email").get_json()
    assert (shown["notification_email"], shown["waiting"]) == (SECOND, "robert@third.example")
    verify(service, token)
    assert second_of(service) == "robert@third.example"
    assert told(service, "notification_email_removed") == [SECOND]
    (gone,) = messages(service, "notification_email_removed")
    assert "robert@third.example" not in text_of(service, gone)
    assert told(service, "notification_email_added")[:3] == [EMAIL, EMAIL, SECOND]


def test_sweeping_leaves_what_is_verified(service: Service, moving_clock: Clock) -> None:
    """Only the email that no one opened is forgotten."""
    client = service.signed_in()
    verified(service, client)
    asked(service, client, "robert@third.example")
    moving_clock.forward(DAY - 1)
    assert service.auth.one_time_tokens.sweep(clock.now(), 10) == 0
    moving_clock.forward(1)
    assert service.auth.one_time_tokens.sweep(clock.now(), 10) == 2
    assert second_of(service) == SECOND


def _change_password(service: Service, token: str) -> str:
    sent = {"old_password": PASSPHRASE, "new_password": "cinq grenouilles dans un arbre"}
    assert service.signed_in().put("/password", json=sent).status_code == 200
    return token


def _disable_behind(service: Service, token: str) -> str:
    user = service.auth.accounts.find(EMAIL)
    service.auth._db.update_user(user.id, disabled_at=clock.now())
    return token


def _close(service: Service, token: str) -> str:
    service.auth.account_closure.close_for(CODE, EMAIL)
    service.auth.account_closure.reopen_for(CODE, EMAIL)
    return token


def _remove(service: Service, token: str) -> str:
    assert service.signed_in().delete("/notification_email").status_code == 204
    return token


@pytest.mark.parametrize(
    "happens",
    [
        _change_password,
        _disable_behind,
        _close,
        _remove,
    ],
)
def test_a_token_that_proves_nothing(
    service: Service, happens: Callable[[Service, str], str | None]
) -> None:
    """One refusal for all of them, and nothing is changed."""
    token = happens(service, asked(service))
    before = dump(service)
    refused = verify(service, token)
    assert (refused.status_code, refused.get_json()["code"]) == (
        403,
        "wrong_notification_email_token",
    )
    assert dump(service) == before


# --- removing it --------------------------------------------------------------------------------


def test_removing_it_tells_both_and_takes_what_waits_along(
    service: Service, moving_clock: Clock
) -> None:
    """From then on nothing goes there; what is not there cannot be removed."""
    client = service.signed_in()
    verified(service, client)
    moving_clock.forward(120)
    waiting = asked(service, client, "robert@third.example")
    hearing = Hearing(service.auth)
    assert client.delete("/notification_email").status_code == 204
    assert told(service, "notification_email_removed") == [EMAIL, SECOND]
    assert hearing.only("notification_email.removed").facts["notification_email"] == SECOND
    assert (second_of(service), dump(service)["notification_emails"]) == (None, [])
    assert verify(service, waiting).status_code == 403
    again = client.delete("/notification_email")
    assert (again.status_code, again.get_json()["code"]) == (404, "no_notification_email")
    with pytest.raises(NoNotificationEmail):
        service.auth.notification_email.remove_for(CODE, EMAIL)


def test_an_operator_removes_it(service: Service) -> None:
    """And both are told."""
    verified(service)
    assert service.auth.notification_email.remove_for(CODE, EMAIL) == SECOND
    assert told(service, "notification_email_removed") == [EMAIL, SECOND]
