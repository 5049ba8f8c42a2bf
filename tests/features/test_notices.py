"""notices: an email about each change of an account, to its email and its notification email."""

from __future__ import annotations

import json

import pytest

from bienvenue.authentication import CODE, Caller, Channel
from bienvenue.feature import Event
from bienvenue.features.mail import Message
from bienvenue.features.notices import Notices
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing
from tests.features.notification_emails import SECOND, told, verified
from tests.features.password_resets import messages, text_of

OTHER = "another passphrase, quite long"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

pytestmark = pytest.mark.usefixtures("bob")


def rows(service: Service) -> list[Message]:
    """Give every message, newest first."""
    return list(service.auth.mail.list(1000))


def test_a_changed_password_is_told(service: Service) -> None:
    """To the email of the account, with a part of text and one of HTML, and no link."""
    user = service.auth.accounts.find(EMAIL)
    opened = service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    me = service.auth.sessions.check(opened.secret)
    assert me is not None
    hearing = Hearing(service.auth)
    service.auth.password_change.change(CODE, me, PASSPHRASE, OTHER)
    (row,) = rows(service)
    kind = "password_changed"
    assert (row.kind, row.email, row.user_id, row.encrypted_link) == (kind, EMAIL, user.id, None)
    message = service.auth.mail.read(row.uid)
    assert message["Subject"] == "Your Bienvenue password was changed"
    assert (message["To"], message["Auto-Submitted"]) == (EMAIL, "auto-generated")
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert hearing.only("email.queued").facts == {"message": kind, "message_uid": row.uid}


def test_the_first_device_is_not_told_and_the_second_is(service: Service) -> None:
    """The notice names the device; after three of a kind in a day, the others are one email."""
    sessions = service.auth.sessions
    first = sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    sessions.sign_in(Caller("visitor", Channel.API, device=first.device), EMAIL, PASSPHRASE)
    assert rows(service) == []
    sessions.sign_in(
        Caller("visitor", Channel.API, ip="192.0.2.7", agent=FIREFOX),
        EMAIL,
        PASSPHRASE,
    )
    (row,) = rows(service)
    text = text_of(service, row)
    assert row.kind == "new_device"
    assert "Firefox" in text
    assert "192.0.2.7" in text
    for number in range(11):
        sessions.sign_in(
            Caller("visitor", Channel.API, ip=f"198.51.100.{number}", agent=FIREFOX),
            EMAIL,
            PASSPHRASE,
        )
    gathered, *before = rows(service)
    assert len(before) == 3
    text = text_of(service, gathered)
    assert "198.51.100.10 · 9 times since our last email" in text
    assert "times" not in text_of(service, before[0])


@pytest.mark.thorough
def test_a_script_that_signs_in_all_day_fills_no_mailbox(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Three notices at once and one an hour; the browser in use stays signed in."""
    service = make_service(session_cap=20)
    sessions = service.auth.sessions
    first = Caller("visitor", Channel.API, ip="192.0.2.8")
    browser = sessions.sign_in(first, EMAIL, PASSPHRASE)
    for number in range(240):
        moving_clock.forward(360)
        sessions.sign_in(Caller("visitor", Channel.API, ip="192.0.2.9"), EMAIL, PASSPHRASE)
        if number % 10 == 0:
            assert sessions.check(browser.secret) is not None, number
    assert 20 <= len(rows(service)) <= 27
    times = [json.loads(row.facts).get("times", 1) for row in rows(service)]
    assert sum(times) == 240


def test_the_notification_email_is_told_too(service: Service) -> None:
    """Both notices name the account, and neither names the notification email."""
    verified(service)
    service.signed_in()
    assert told(service, "new_device") == [EMAIL, SECOND]
    for message in messages(service, "new_device"):
        assert EMAIL in text_of(service, message)
        assert SECOND not in text_of(service, message)


def test_an_event_with_an_email_of_its_own_is_told_to_the_notification_email_alone(
    service: Service,
) -> None:
    """The email of the account got that one."""
    verified(service)
    service.auth.account_closure.close_for(CODE, EMAIL)
    assert told(service, "account_closed") == [EMAIL]
    assert told(service, "account_closed_notice") == [SECOND]


def test_an_event_without_an_account_is_told_to_no_one(service: Service) -> None:
    """Neither one that names no user, nor one whose user is gone, nor one that has no notice."""
    bob = service.auth.accounts.find(EMAIL).id
    for event in (
        Event(CODE, "password.changed"),
        Event(CODE, "password.changed", bob + 1),
        Event(CODE, "session.opened", bob),
    ):
        service.auth.notices.on_event(event)
    assert rows(service) == []


def test_every_notice_has_an_event_and_a_template(service: Service) -> None:
    """A feature that declares a notice has both, so no event fails for want of a text."""
    kinds = service.auth.notices.kinds
    assert isinstance(service.auth.notices, Notices)
    assert len(kinds) >= 7
    assert set(kinds) <= service.auth.registry.events.keys()
    for kind in kinds.values():
        assert service.auth.mail._renderer._templates.get_template(f"mail/{kind}.txt")
