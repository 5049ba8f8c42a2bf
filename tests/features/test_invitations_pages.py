"""invitations: in a browser, and on the command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bienvenue import clock
from bienvenue.cli import main
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.password_resets import dump, messages
from tests.features.registrations import (
    SMTP,
    heard,
    invited,
    link_in,
    newest,
)
from tests.features.test_password_reset_pages import path_of
from tests.web.browser import HTML, Browser

WEEK = 7 * 86400
MODES = ("open", "invited")


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service where registering takes an invitation."""
    return make_service(registration="invited")


# --- in a browser -------------------------------------------------------------------------------


def test_an_invited_person_registers_in_a_browser(service: Service) -> None:
    """The link leads to the form without its token, with the email in it."""
    browser = Browser(service)
    token = invited(service)
    opened = browser.get(path_of(link_in(service, messages(service, "invitation")[0])))
    assert (opened.status_code, opened.location) == (303, "/users/new")
    form = browser.form("/users/new", "/users")
    assert form.fields["email"] == EMAIL
    assert form.fields.keys() == {"form_token", "email", "password"}
    assert token not in browser.get("/users/new").text
    wrong = browser.send(form, email="amy@example.com", password=PASSPHRASE)
    assert wrong.status_code == 403
    assert "need an invitation" in wrong.text
    done = browser.send(form, password=PASSPHRASE)
    assert (done.status_code, done.mimetype) == (200, "text/html")
    assert browser.client.get_cookie("invitation_token") is None
    assert browser.sign_in(EMAIL, PASSPHRASE).location == "/profile"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_an_invitation_changes_nothing(service: Service, method: str) -> None:
    """A scanner of mail may do it as often as it likes."""
    token = invited(service)
    before = dump(service)
    client = service.client()
    for path in (f"/users/new?token={token}", "/users/new") * 2:
        answer = client.open(path, method=method, headers=HTML)
        assert answer.status_code in {200, 303}
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert dump(service) == before


def test_without_an_invitation_there_is_no_form(service: Service) -> None:
    """The page says what to do; so it does when the link is over."""
    browser = Browser(service)
    for path in ("/users/new", f"/users/new?token={'x' * 43}", "/users/new"):
        answer = browser.get(path)
    assert answer.status_code == 403
    assert "need an invitation" in answer.text
    assert 'action="/users"' not in answer.text
    assert heard(service.client().get("/users/new")) == (403, "wrong_invitation")


@pytest.mark.parametrize("smtp", [{}, SMTP], ids=["outbox", "smtp"])
def test_where_all_may_register_a_link_for_another_email_hinders_no_one(
    make_service: MakeService, smtp: dict[str, str]
) -> None:
    """Anyone who opened an invitation and registers with another email does so as everybody."""
    service = make_service(**smtp)
    browser = Browser(service)
    browser.get(f"/users/new?token={invited(service)}")
    assert service.client().get("/users/new").json == {"email": "", "action": "POST /users"}
    made = browser.submit("/users/new", "/users", email="amy@example.com", password=PASSPHRASE)
    assert ("Check your email" in made.text) is bool(smtp)
    assert len(service.auth.invitations.list()) == 1


# --- commands -----------------------------------------------------------------------------------


def test_the_commands_of_invitations(service: Service, moving_clock: Clock) -> None:
    """No token is printed: the email has it."""
    environ = {
        "BIENVENUE_DATABASE_URL": service.url,
        "BIENVENUE_SECRET_KEY_FILE": str(service.auth.settings.core.secret_key_file),
        "BIENVENUE_REGISTRATION": "invited",
    }
    run = CliRunner()

    def said(*command: str, **more: str) -> str:
        return run.invoke(main, command, env=environ | more).output

    at = clock.written(moving_clock.now())
    until = clock.written(moving_clock.now() + WEEK)
    assert said("invitations", "list") == "no invitations are open\n"
    here = f"invited {EMAIL} until {until}; the email is in the outbox\n"
    assert said("invite", EMAIL) == here
    names = {f"BIENVENUE_{name.upper()}": value for name, value in SMTP.items()}
    assert said("invite", EMAIL, **names) == here.replace(
        "is in the outbox", "is sent within seconds"
    )
    (row,) = service.auth.invitations.list()
    listed = said("invitations", "list")
    assert listed == f"{row.uid}  {at}  until {until}  {EMAIL}\n"
    assert newest(service, "invitation") not in listed
    assert said("invitations", "withdraw", row.uid) == f"withdrew the invitation of {EMAIL}\n"
    assert "no invitation with this name" in said("invitations", "withdraw", row.uid)
    closed = said("invite", EMAIL, BIENVENUE_REGISTRATION="closed")
    assert "New accounts can't be created here" in closed
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert "already exists" in said("invite", EMAIL)


@pytest.mark.parametrize(("mode", "leads"), [("open", True), ("invited", False), ("closed", False)])
def test_pages_lead_to_registering_only_where_anyone_may(
    make_service: MakeService, mode: str, leads: bool
) -> None:
    """And anyone who comes there all the same reads why not, and where to go on."""
    browser = Browser(make_service(registration=mode))
    for path in ("/", "/sessions/new"):
        assert ('href="/users/new"' in browser.get(path).text) is leads, path
    told = browser.get("/users/new")
    assert told.status_code == (200 if leads else 403)
    assert ("Registration is closed" in told.text) is (mode == "closed")
    assert ("You need an invitation" in told.text) is (mode == "invited")
    assert 'href="/sessions/new"' in told.text
