"""A walk past every page there is, in every state that it can be in.

A new page needs a stop on this walk: a test compares what was met with what is served.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import Page

from bienvenue.authentication import CODE, Authentication
from bienvenue.db import DatabaseUnavailable
from tests.browser.site import SEND, Site, fill, send
from tests.conftest import EMAIL, PASSPHRASE
from tests.features.password_resets import messages, text_of
from tests.thorough import THOROUGH, often

#: Settings under which the third wrong password of an account has to wait.
IMPATIENT = {"rate_limit_account": 2}
#: And settings under which registering proves the email first; nothing carries the emails.
BY_EMAIL = {"smtp_host": "127.0.0.1", "smtp_security": "none", "mail_from": "us@example.org"}
SCOPES = "read=Read your notes, write=Change your notes"
WRONG = "ce ne sont pas les bons mots"
NEW = "sept grenouilles sur un nuage"
NOBODY, DISABLED = "nobody@example.com", "dora@example.com"
OTHER, SECOND = "robert@example.com", "bob@second.example"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


def _refused(page: Page, name: str, **typed: str) -> Iterator[str]:
    """Send a form that is refused: the state of a page that `make test` has looked at already."""
    if THOROUGH:
        fill(page, **typed)
        send(page)
        yield name


def walk(site: Site, page: Page) -> Iterator[str]:
    """Bring a window into one state after another, and name each."""
    yield from _attackers(site, page)
    yield from _messages(site, page)
    yield from _insiders(site, page)
    yield from _refusals(site, page)
    yield from _owners(site, page)


def _attackers(site: Site, page: Page) -> Iterator[str]:
    site.open(page, "/")
    yield "welcome"
    site.open(page, "/preferences")
    yield "preferences"
    site.open(page, "/users/new")
    yield "register"
    fill(page, email=EMAIL, password="trop court")
    yield "register-typing"
    fill(page, password=PASSPHRASE)
    page.click(".reveal")
    yield "register-enough-shown"
    refused = {
        "short": "trop court",
        "common": "passwordpassword",
        "own-words": EMAIL * 2,
    }
    for name, password in [*refused.items()][: often(1, len(refused))]:
        fill(page, email=EMAIL, password=password)
        send(page)
        yield f"register-{name}"
    yield from _refused(page, "register-malformed", email="bob@localhost", password=PASSPHRASE)
    fill(page, email=EMAIL, password=PASSPHRASE)
    send(page)
    yield "registered"
    site.open(page, "/users/new")
    fill(page, email=EMAIL, password=PASSPHRASE)
    send(page)
    yield "register-taken"
    site.open(page, "/sessions/new")
    yield "sign-in"
    for name in ("sign-in-wrong", "sign-in-again", "sign-in-too-many"):
        fill(page, email=NOBODY, password=WRONG)
        send(page)
        yield name


def _messages(site: Site, page: Page) -> Iterator[str]:
    site.open(page, "/reset_password/new")
    yield "reset-over"
    site.open(page, "/reset_password")
    yield "reset"
    yield from _refused(page, "reset-malformed", email="bob@localhost")
    fill(page, email=EMAIL)
    send(page)
    yield "reset-asked"
    site.open(page, "/outbox")
    yield "outbox-closed"
    page.goto(site.service.auth.outbox.link())
    yield "outbox"
    page.click("main li a")
    yield "outbox-letter"
    page.click("main a[href*='token=']")
    yield "reset-new"
    yield from _refused(page, "reset-new-short", new_password="trop court")
    fill(page, new_password=NEW)
    send(page)
    yield "reset-done"


def _insiders(site: Site, page: Page) -> Iterator[str]:
    auth = site.service.auth
    auth.sessions.open(CODE, Authentication(auth.accounts.find(EMAIL)))
    site.sign_in(page, NEW, "/sessions/new?next=/password")
    yield "password"
    yield from _refused(page, "password-wrong", old_password=WRONG, new_password=PASSPHRASE)
    yield from _refused(page, "password-short", old_password=NEW, new_password="trop court")
    fill(page, old_password=NEW, new_password=PASSPHRASE)
    send(page)
    yield "profile-said"
    for path, name in [
        ("/", "welcome-inside"),
        ("/profile", "profile"),
        ("/sessions", "devices"),
        ("/activity", "activity"),
        ("/email/verified", "email-verified"),
        ("/sessions/new", "sign-in-inside"),
        ("/reauthentication", "confirm"),
    ]:
        site.open(page, path)
        yield name
    yield from _refused(page, "confirm-wrong", password=WRONG)


def _refusals(site: Site, page: Page) -> Iterator[str]:
    site.open(page, "/nothing/here")
    yield "refused-404"
    if THOROUGH:
        site.open(page, "/users")
        yield "refused-405"
        site.open(page, "/sessions/new?next=%00")
        yield "refused-400"
        site.open(page, "/reset_password")
        page.evaluate("document.querySelector('#email').value = 'x'.repeat(70000) + '@example.com'")
        send(page)
        yield "refused-413"
    site.open(page, "/password")
    page.evaluate("document.querySelector('main [name=form_token]').value = 'x'")
    fill(page, old_password=WRONG, new_password=NEW)
    page.click(SEND)
    page.wait_for_selector(f"h1:text-is('{site.say('This page is out of date')}')")
    yield "refused-403"
    audit: Any = site.service.auth.audit
    errors: list[tuple[Exception, str]]
    errors = [(RuntimeError(), "500"), (DatabaseUnavailable("away"), "503")]
    for error, name in errors[: often(1, 2)]:

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        audit.list = fail
        site.open(page, "/activity")
        del audit.list
        yield f"refused-{name}"


def _link(site: Site, kind: str) -> str:
    """Give the link of the newest email of a kind."""
    text = text_of(site.service, messages(site.service, kind)[-1])
    return str(re.findall(r"https?://\S+token=\S+", text)[0])


def _press(site: Site, page: Page, text: str) -> None:
    with page.expect_navigation():
        page.click(f'main button:text-is("{site.say(text)}")')


def _owners(site: Site, page: Page) -> Iterator[str]:
    for path, name in [
        ("/email/new", "email-new-over"),
        ("/email/restore", "email-undo-over"),
        ("/notification_email/verification", "second-over"),
        ("/account/reopen", "leaving-over"),
        ("/email", "email"),
    ]:
        site.open(page, path)
        yield name
    yield from _refused(page, "email-malformed", new_email="bob@localhost")
    fill(page, new_email=OTHER)
    send(page)
    yield "email-asked"
    page.goto(_link(site, "new_email_verification"))
    yield "email-new"
    _press(site, page, "Change email")
    yield "email-changed"
    undo = _link(site, "email_changed")
    site.open(page, "/notification_email")
    yield "second"
    yield from _refused(page, "second-malformed", notification_email="bob@localhost")
    fill(page, notification_email=SECOND)
    _press(site, page, "Send verification email")
    yield "second-asked"
    page.goto(_link(site, "notification_email_verification"))
    yield "second-prove"
    _press(site, page, "Send notifications here")
    yield "second-proven"
    site.open(page, "/notification_email")
    yield "second-named"
    yield from _tokens(site, page)
    site.open(page, "/account/close")
    yield "leaving"
    _press(site, page, "Close account")
    yield "leaving-closed"
    site.open(page, "/sessions/new")
    fill(page, email=OTHER, password=PASSPHRASE)
    send(page)
    yield "sign-in-closing"
    page.goto(_link(site, "account_closed"))
    yield "leaving-undo"
    _press(site, page, "Reopen account")
    yield "leaving-kept"
    page.goto(undo)
    yield "email-undo"
    _press(site, page, "Restore email")
    yield "email-restored"
    site.service.auth.register_user(DISABLED, PASSPHRASE)
    site.service.auth.accounts.disable(CODE, DISABLED)
    site.open(page, "/sessions/new")
    fill(page, email=DISABLED, password=PASSPHRASE)
    send(page)
    yield "sign-in-disabled"


def _tokens(site: Site, page: Page) -> Iterator[str]:
    site.open(page, "/access_tokens")
    yield "tokens-none"
    site.open(page, "/access_tokens/new")
    yield "tokens-new"
    fill(page, name="Sauvegarde de la nuit")
    _press(site, page, "Create token")
    yield "tokens-without-scopes"
    page.check('[name="scope.read"]')
    page.check('[name="scope.account:read"]')
    _press(site, page, "Create token")
    yield "tokens-added"
    site.open(page, "/access_tokens")
    yield "tokens"


def walk_by_email(site: Site, page: Page) -> Iterator[str]:
    """Bring a window into the states of a service that verifies emails."""
    site.open(page, "/email/verification")
    yield "proof-over"
    yield from _refused(page, "proof-again-malformed", email="bob@localhost")
    site.open(page, "/users/new")
    fill(page, email=EMAIL, password=PASSPHRASE)
    send(page)
    yield "proof-sent"
    send(page)
    yield "proof-sent-again"
    message = messages(site.service, "registration")[-1]
    link = str(re.findall(r"https?://\S+", text_of(site.service, message))[0])
    page.goto(link)
    yield "verification-here"
    page.context.clear_cookies(name="registration")
    page.goto(link)
    yield "verification"
    fill(page, password=WRONG)
    send(page)
    yield "proof-wrong"
    fill(page, password=PASSPHRASE)
    send(page)
    yield "proof-done"


def walk_by_invitation(site: Site, page: Page) -> Iterator[str]:
    """Bring a window into the states of a service that lets only invited people in."""
    site.open(page, "/sessions/new")
    yield "sign-in-by-invitation"
    site.open(page, "/users/new")
    yield "register-by-invitation"
    site.service.auth.invitations.invite(CODE, EMAIL)
    page.goto(_link(site, "invitation"))
    yield "register-invited"
    yield from _refused(page, "register-invited-another", email=NOBODY, password=PASSPHRASE)
    fill(page, email=EMAIL, password=PASSPHRASE)
    send(page)
    yield "registered-invited"


def walk_closed(site: Site, page: Page) -> Iterator[str]:
    """Bring a window into the states of a service where no one registers."""
    site.open(page, "/")
    yield "welcome-closed"
    site.open(page, "/sessions/new")
    yield "sign-in-closed"
    site.open(page, "/users/new")
    yield "register-closed"
    site.open(page, "/email/verification")
    yield "proof-closed"


#: Every walk, with the settings of the service that it needs.
WALKS: dict[Callable[[Site, Page], Iterator[str]], Any] = {
    walk: IMPATIENT | {"access_token_scopes": SCOPES},
    walk_by_email: BY_EMAIL,
    walk_by_invitation: {"registration": "invited"},
    walk_closed: {"registration": "closed"},
}
