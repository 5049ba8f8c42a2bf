"""notification_email: which notices go there, in a browser and below another path."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from bienvenue import clock
from bienvenue.authentication import CODE
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features import password_resets
from tests.features.closures import CREDENTIALS, GRACE, closed, link, reopen, rows_of
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
from tests.features.password_resets import NEW, dump, messages, put, text_of
from tests.web.browser import HTML, Browser

AMY = "amy@example.com"

pytestmark = pytest.mark.usefixtures("bob")


def path_of(url: str) -> str:
    """Give what a browser asks the service of a link for."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


# --- notices ------------------------------------------------------------------------------------


def test_every_notice_goes_to_both_and_names_the_account(service: Service) -> None:
    """A changed password, a reset, a new device: one email each; each names the first email."""
    client = service.signed_in()
    verified(service, client)
    service.signed_in()
    sent = {"old_password": PASSPHRASE, "new_password": "cinq grenouilles dans un arbre"}
    assert client.put("/password", json=sent).status_code == 200
    put(service, password_resets.asked(service))
    for kind in ("new_device", "password_changed", "password_was_reset"):
        assert told(service, kind) == [EMAIL, SECOND], kind
        for message in messages(service, kind):
            assert EMAIL in text_of(service, message)
            assert SECOND not in text_of(service, message)
            assert message.encrypted_link is None


def test_no_email_with_a_way_in_goes_there(service: Service) -> None:
    """Neither the link of a reset nor that of an account that is closing."""
    verified(service)
    password_resets.asked(service)
    token = closed(service)
    assert told(service, "password_reset") == [EMAIL]
    assert told(service, "account_closed") == [EMAIL]
    assert told(service, "account_closed_notice") == [SECOND]
    (notice,) = messages(service, "account_closed_notice")
    assert notice.encrypted_link is None
    assert f"inbox of {EMAIL}" in text_of(service, notice)
    reopen(service, token)
    assert told(service, "account_reopened") == [EMAIL, SECOND]


def test_nothing_goes_there_before_it_is_verified(service: Service) -> None:
    """Or once it is removed."""
    client = service.signed_in()
    asked(service, client)
    service.signed_in()
    assert told(service, "new_device") == [EMAIL]
    client.delete("/notification_email")
    service.signed_in()
    assert SECOND not in told(service, "new_device")


def test_it_is_no_way_in_and_not_unique(service: Service) -> None:
    """It can be someone's first email, and two people's second; none of it opens anything."""
    service.auth.register_user(SECOND, NEW)
    verified(service)
    service.auth._db.update_user(service.auth.accounts.find(SECOND).id, email="else@example.com")
    assert not service.auth.valid_login(SECOND, PASSPHRASE)
    assert service.auth.create_session(SECOND) is None
    before = len(service.auth.mail.list(1000))
    password_resets.ask(service, SECOND)
    assert len(service.auth.mail.list(1000)) == before
    assert service.client().post("/users", json=CREDENTIALS | {"email": SECOND}).status_code == 201
    service.auth.register_user(AMY, PASSPHRASE)
    amy = service.signed_in(AMY)
    service.auth.mail._counted = lambda *_: True  # type: ignore[method-assign] # (no limit here)
    assert name(amy).status_code == 202
    assert verify(service, link(service, VERIFICATION).partition("?token=")[2]).status_code == 200
    assert second_of(service) == second_of(service, AMY) == SECOND


def test_it_survives_a_new_password_and_a_reset(service: Service) -> None:
    """An intruder who changes the password does not silence it."""
    client = service.signed_in()
    verified(service, client)
    sent = {"old_password": PASSPHRASE, "new_password": "cinq grenouilles dans un arbre"}
    client.put("/password", json=sent)
    put(service, password_resets.asked(service))
    service.auth.accounts.disable(CODE, EMAIL)
    service.auth.accounts.enable(CODE, EMAIL)
    assert second_of(service) == SECOND


def test_it_dies_with_the_account(service: Service, moving_clock: Clock) -> None:
    """No row and no email of it is left."""
    verified(service)
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.export(user.id)["notification_email"] == {
        "email": SECOND,
        "since": clock.written(moving_clock.time),
        "waiting": None,
    }
    service.auth.account_closure.close_for(CODE, EMAIL)
    moving_clock.forward(GRACE)
    assert service.auth.account_closure.sweep(clock.now(), 10) == 1
    assert rows_of(service, user.id).keys() == {"audit_log"}
    assert SECOND not in repr(dump(service))
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert second_of(service) is None


def test_a_first_email_that_becomes_the_second_hears_once(service: Service) -> None:
    """Not twice in the same mailbox."""
    verified(service)
    service.auth._db.update_user(service.auth.accounts.find(EMAIL).id, email=SECOND)
    service.signed_in(SECOND)
    assert told(service, "new_device") == [SECOND]


# --- in a browser -------------------------------------------------------------------------------


def test_a_person_adds_one_and_removes_it_in_a_browser(
    service: Service, moving_clock: Clock
) -> None:
    """From the profile to the letter, the button, and the button that removes it."""
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    assert 'href="/notification_email"' in browser.get("/profile").text
    wrong = browser.submit(
        "/notification_email", "/notification_email", _method="PUT", notification_email=EMAIL
    )
    assert (wrong.status_code, "Enter another one" in wrong.text) == (422, True)
    assert f'value="{EMAIL}"' in wrong.text
    sent = browser.submit(
        "/notification_email", "/notification_email", _method="PUT", notification_email=SECOND
    )
    assert (sent.status_code, SECOND in sent.text) == (200, True)
    assert "sent an email" in browser.get("/notification_email").text
    reader = Browser(service)
    opened = reader.get(path_of(link(service, VERIFICATION)))
    assert (opened.status_code, opened.location) == (303, "/notification_email/verification")
    shown = reader.get("/notification_email/verification")
    assert (EMAIL in shown.text, SECOND in shown.text) == (True, True)
    done = reader.submit("/notification_email/verification", "/notification_email/verification")
    assert (done.status_code, SECOND in done.text) == (200, True)
    assert reader.client.get_cookie("notification_email_token") is None
    assert reader.get("/profile").status_code == 303
    assert SECOND in browser.get("/notification_email").text
    moving_clock.forward(15 * 60)
    stale = browser.submit("/notification_email", "/notification_email", _method="DELETE")
    assert stale.location == "/reauthentication?next=%2Fnotification_email"
    on = browser.submit(str(stale.location), "/reauthentication", password=PASSPHRASE)
    assert on.location == "/notification_email"
    gone = browser.submit("/notification_email", "/notification_email", _method="DELETE")
    assert (gone.status_code, gone.location) == (303, "/notification_email")
    assert SECOND not in browser.get("/notification_email").text


@pytest.mark.table
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_the_link_changes_nothing(service: Service, method: str, accept: str) -> None:
    """A scanner of mail opens every link, as often as it likes."""
    token = asked(service)
    before = dump(service)
    client = service.client()
    for path in (path_of(link(service, VERIFICATION)), "/notification_email/verification") * 2:
        answer = client.open(path, method=method, headers={"Accept": accept})
        assert answer.status_code in {200, 303}
        assert token not in answer.text
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert dump(service) == before
    assert verify(service, token).status_code == 200
    late = client.get("/notification_email/verification", headers={"Accept": accept})
    assert (late.status_code, "was replaced or has expired" in late.text) == (403, True)


def test_the_link_leads_below_the_path_of_our_pages(mounted: FlaskClient, service: Service) -> None:
    """So does what the notices say."""
    mounted.post("/account/sessions", json=CREDENTIALS)
    sent = {"notification_email": SECOND}
    assert mounted.put("/account/notification_email", json=sent).status_code == 202
    assert link(service, VERIFICATION).startswith(
        "http://localhost:5000/account/notification_email/verification?"
    )
    opened = mounted.get(path_of(link(service, VERIFICATION)), headers=HTML)
    assert (opened.status_code, opened.location) == (
        303,
        "/account/notification_email/verification",
    )
    assert mounted.post("/account/notification_email/verification", json={}).status_code == 200
    notice = messages(service, "notification_email_added")[0]
    assert "http://localhost:5000/account/notification_email\n" in text_of(service, notice)
