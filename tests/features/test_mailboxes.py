"""A link verifies a mailbox, whoever asked for it; the request of who opens it is what counts.

Both features that an account asks for: another email, and a notification email.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bienvenue.authentication import CODE
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features import email_changes, notification_emails
from tests.features.password_resets import NEW, dump, messages
from tests.features.registrations import token_in
from tests.races import race
from tests.web.browser import Browser

pytestmark = pytest.mark.statements

STRANGER = "mallory@example.com"
MAILBOX, ANOTHER = "bob@elsewhere.example", "bob@third.example"


@dataclass(frozen=True)
class Kind:
    """What a signed-in person asks for, and the email that verifies it."""

    name: str
    email: str
    ask: Callable[[FlaskClient, str], TestResponse]
    path: str
    field: str
    #: What the owner, signed in, sees of it once it is verified.
    page: str
    shown: str

    def verify(self, client: FlaskClient, token: str) -> TestResponse:
        """Spend a token in a session."""
        return client.post(self.path, json={self.field: token})

    def has(self, client: FlaskClient) -> str | None:
        """Give what the account of a session has verified."""
        found: str | None = client.get(self.page).get_json()[self.shown]
        return found


KINDS = [
    Kind(
        "email_change",
        "new_email_verification",
        email_changes.ask,
        "/email/new",
        "email_change_token",
        "/profile",
        "email",
    ),
    Kind(
        "notification_email",
        notification_emails.VERIFICATION,
        notification_emails.name,
        "/notification_email/verification",
        "notification_email_token",
        "/notification_email",
        "notification_email",
    ),
]
each = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


def sent_to(service: Service, kind: Kind, email: str = MAILBOX) -> str:
    """Give the token of the one email of a kind that went to an address."""
    (message,) = [one for one in messages(service, kind.email) if one.email == email]
    return token_in(service, message)


def _nothing(_service: Service, _kind: Kind, _stranger: FlaskClient) -> None:
    """Leave it at asking."""


def _ask_for_another(_service: Service, kind: Kind, stranger: FlaskClient) -> None:
    assert kind.ask(stranger, "mallory@elsewhere.example").status_code == 202


def _change_the_password(_service: Service, _kind: Kind, stranger: FlaskClient) -> None:
    sent = {"old_password": PASSPHRASE, "new_password": NEW}
    assert stranger.put("/password", json=sent).status_code == 200


def _close(_service: Service, _kind: Kind, stranger: FlaskClient) -> None:
    assert stranger.delete("/profile").status_code == 202


def _disable(service: Service, _kind: Kind, _stranger: FlaskClient) -> None:
    service.auth.accounts.disable(CODE, STRANGER)


def _remove(_service: Service, kind: Kind, stranger: FlaskClient) -> None:
    if kind.name == "notification_email":
        assert stranger.delete("/notification_email").status_code == 204


@pytest.mark.table(shown=3)
@pytest.mark.parametrize(
    "then", [_nothing, _ask_for_another, _change_the_password, _close, _disable, _remove]
)
@each
def test_no_stranger_keeps_a_mailbox_for_themselves(
    service: Service, kind: Kind, then: Callable[[Service, Kind, FlaskClient], None]
) -> None:
    """Theirs is the only email that is sent, and whatever they do then, its link is the owner's.

    It was refused in the owner's session, and the owner's own request was dropped (S5).
    """
    stranger, owner = service.signed_in(STRANGER), service.signed_in()
    assert kind.ask(stranger, MAILBOX).status_code == 202
    assert kind.ask(owner, MAILBOX).status_code == 202
    then(service, kind, stranger)
    before = dump(service)["users"]
    theirs = [row for row in before if repr(STRANGER) in row]
    answer = kind.verify(owner, sent_to(service, kind))
    assert answer.status_code == 200, answer.text
    assert kind.has(owner) == MAILBOX
    assert [row for row in dump(service)["users"] if repr(STRANGER) in row] == theirs
    assert len(dump(service)["notification_emails"]) == (kind.name == "notification_email")


@each
def test_the_link_gives_the_stranger_nothing(service: Service, kind: Kind) -> None:
    """The owner of the mailbox, who asked for nothing, changes neither account by it."""
    stranger, owner = service.signed_in(STRANGER), service.signed_in()
    assert kind.ask(stranger, ANOTHER).status_code == 202
    _ask_for_another(service, kind, stranger)
    before = dump(service)
    refused = kind.verify(owner, sent_to(service, kind, ANOTHER))
    assert refused.status_code == 403
    assert dump(service) == before


@pytest.mark.table
@each
def test_what_was_asked_for_last_counts(service: Service, moving_clock: Clock, kind: Kind) -> None:
    """Also when no email was sent for it; the link to the address before it is no use then."""
    stranger, owner = service.signed_in(STRANGER), service.signed_in()
    assert kind.ask(stranger, ANOTHER).status_code == 202
    assert kind.ask(owner, MAILBOX).status_code == 202
    moving_clock.forward(1)
    assert kind.ask(owner, ANOTHER).status_code == 202
    assert kind.verify(owner, sent_to(service, kind)).status_code == 403
    assert kind.verify(owner, sent_to(service, kind, ANOTHER)).status_code == 200
    assert kind.has(owner) == ANOTHER


@each
def test_a_request_that_is_not_emailed_is_in_the_audit_log(service: Service, kind: Kind) -> None:
    """With the account that asked, which sees it in its activity."""
    stranger, owner = service.signed_in(STRANGER), service.signed_in()
    kind.ask(stranger, MAILBOX)
    kind.ask(owner, MAILBOX)
    mine = service.auth.accounts.find(EMAIL).id
    names = [row.name for row in service.auth.audit.list() if row.user_id == mine]
    assert names.count("email_limit.reached") == names.count(f"{kind.name}.requested") == 1
    assert "too many were requested" in owner.get("/activity").text


@pytest.mark.table
@each
def test_the_link_works_once_for_whoever_opens_it(service: Service, kind: Kind) -> None:
    """Of two accounts whose requests wait for one mailbox, one has its link, and no one waits."""
    stranger, owner = service.signed_in(STRANGER), service.signed_in()
    for client in (stranger, owner):
        assert kind.ask(client, MAILBOX).status_code == 202
    token = sent_to(service, kind)
    answers = race(lambda n: kind.verify((stranger, owner)[n], token).status_code, 2)
    assert sorted(answers) == [200, 403]


def test_two_links_to_one_mailbox_at_once(service: Service, moving_clock: Clock) -> None:
    """Each of an account of its own: one account gets the email, and no link to it is left."""
    kind = KINDS[0]
    clients = [service.signed_in(STRANGER), service.signed_in()]
    for client in clients:
        assert kind.ask(client, MAILBOX).status_code == 202
        moving_clock.forward(121)
    tokens = [token_in(service, message) for message in messages(service, kind.email)]
    assert len(tokens) == 2
    answers = race(lambda n: kind.verify(clients[n], tokens[n]).status_code, 2)
    assert sorted(answers) == [200, 403]
    assert not [row for row in dump(service)["one_time_tokens"] if "email_change_link" in row]


# --- the notification email, whose link needs no session ----------------------------------------


def test_without_a_session_the_link_is_for_the_account_it_names(service: Service) -> None:
    """Not for the one that asked for the same address; the page offers to sign in to that one."""
    kind = KINDS[1]
    stranger, owner = service.signed_in(STRANGER), service.signed_in()
    kind.ask(stranger, MAILBOX)
    kind.ask(owner, MAILBOX)
    browser = Browser(service)
    browser.get(f"{kind.path}?token={sent_to(service, kind)}")
    page = browser.get(kind.path)
    assert STRANGER in page.text
    assert f'href="/sessions/new?next={kind.path}"' in page.text
    signing_in = browser.form(f"/sessions/new?next={kind.path}", "/sessions")
    back = browser.send(signing_in, email=EMAIL, password=PASSPHRASE)
    assert back.location == kind.path
    page = browser.get(kind.path)
    assert (EMAIL in page.text, STRANGER in page.text) == (True, False)
    assert "/sessions/new?next" not in page.text
    assert browser.submit(kind.path, kind.path).status_code == 200
    assert (kind.has(owner), kind.has(stranger)) == (MAILBOX, None)


def test_a_session_without_a_request_leaves_the_link_to_the_account_it_names(
    service: Service,
) -> None:
    """A friend who is signed in verifies that the notices may come to them."""
    kind = KINDS[1]
    friend, owner = service.signed_in(STRANGER), service.signed_in()
    kind.ask(owner, MAILBOX)
    assert kind.verify(friend, sent_to(service, kind)).status_code == 200
    assert (kind.has(owner), kind.has(friend)) == (MAILBOX, None)


def test_the_button_is_for_the_account_on_its_page(service: Service) -> None:
    """A session that ended meanwhile does not make it another's."""
    kind = KINDS[1]
    stranger, owner = service.signed_in(STRANGER), service.signed_in()
    kind.ask(stranger, MAILBOX)
    kind.ask(owner, MAILBOX)
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    browser.get(f"{kind.path}?token={sent_to(service, kind)}")
    form = browser.form(kind.path, kind.path)
    assert form.fields["email"] == EMAIL
    service.auth.sessions.end_all(CODE, service.auth.accounts.find(EMAIL).id)
    assert browser.send(form).status_code == 403
    assert kind.has(stranger) is None
    sent = {kind.field: sent_to(service, kind), "email": "bob"}
    assert service.client().post(kind.path, json=sent).status_code == 400
