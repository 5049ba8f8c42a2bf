"""outbox: emails are read in a browser with the key, while no mail server is configured."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from click.testing import CliRunner

from bienvenue import tokens
from bienvenue.cli import main
from bienvenue.features.outbox import MessagesAreSent
from tests.conftest import EMAIL, Clock, MakeService, Service
from tests.features.password_resets import NEW, asked
from tests.features.registrations import SMTP
from tests.web.browser import Browser

DAY = 86400

pytestmark = pytest.mark.usefixtures("bob")


def path(service: Service) -> str:
    """Give the link of the outbox as a path."""
    return service.auth.outbox.link().removeprefix("http://localhost:5000")


def test_a_developer_reads_an_email_and_follows_its_link(service: Service) -> None:
    """From the link of the terminal to a new password, without a mail server."""
    browser = Browser(service)
    asked(service)
    opened = browser.get(path(service))
    assert (opened.status_code, opened.location) == (303, "/outbox")
    listed = browser.get("/outbox")
    assert (listed.status_code, EMAIL in listed.text) == (200, True)
    (uid,) = re.findall(r'href="/outbox/([^"]+)"', listed.text)
    message = browser.get(f"/outbox/{uid}")
    assert "Reset your Bienvenue password" in message.text
    (link,) = re.findall(
        r'href="(http://localhost:5000/reset_password\?token=[^"]+)"', message.text
    )
    browser.get(link.removeprefix("http://localhost:5000"))
    done = browser.submit("/reset_password/new", "/reset_password", _method="PUT", new_password=NEW)
    assert done.status_code == 200
    assert service.auth.valid_login(EMAIL, NEW)
    assert "[link removed]" in browser.get(f"/outbox/{uid}").text


def test_a_program_reads_the_same(service: Service) -> None:
    """The list, the text, and the links that lead to us."""
    token = asked(service)
    client = service.client()
    client.get(path(service))
    (line,) = client.get("/outbox").get_json()["messages"]
    assert (line["to"], line["about"], line["state"]) == (EMAIL, "password_reset", "waiting")
    message = client.get(f"/outbox/{line['uid']}").get_json()
    assert message["links"] == [f"http://localhost:5000/reset_password?token={token}"]
    assert message["links"][0] in message["text"]
    assert client.get("/outbox/nobody").get_json()["code"] == "no_such_message"


@pytest.mark.parametrize("at", ["/outbox", "/outbox/{uid}"])
def test_no_one_else_reads_them(service: Service, at: str) -> None:
    """Not without a key, not with another, and not signed in."""
    asked(service)
    (message,) = service.auth.mail.list()
    at = at.format(uid=message.uid)
    for client in (service.client(), service.client(), service.signed_in()):
        refused = client.get(at)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "outbox_closed")
        client.get(f"/outbox?token={tokens.new()}")
    assert service.client().get(at, headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403


def test_a_key_works_for_two_days(service: Service, moving_clock: Clock) -> None:
    """On the day it was made, on the next, and no longer."""
    moving_clock.time = moving_clock.time // DAY * DAY
    key = path(service).partition("=")[2]
    outbox = service.auth.outbox
    moving_clock.forward(2 * DAY - 1)
    assert outbox.list(key) == []
    assert path(service).partition("=")[2] != key
    moving_clock.forward(1)
    client = service.client()
    client.get(f"/outbox?token={key}")
    assert client.get("/outbox").status_code == 403


def test_a_key_of_another_service_opens_nothing(
    make_service: MakeService, service: Service
) -> None:
    """It is made of the key file; a new key file makes another."""
    other = make_service()
    other.auth.keys._keys = [b"another key file has another key"]
    assert path(other) != path(service)


def test_it_is_not_there_once_emails_are_sent(make_service: MakeService, service: Service) -> None:
    """Neither the pages nor the link, whatever key the request has."""
    key = path(service)
    sending = make_service(smtp_host="mail.example.org", mail_from="no-reply@example.org")
    client = sending.client()
    client.get(key)
    for at in ("/outbox", "/outbox/x"):
        assert client.get(at).get_json()["code"] == "not_found"
    with pytest.raises(MessagesAreSent):
        sending.auth.outbox.link()


def test_the_command_says_that_emails_are_sent(service: Service) -> None:
    """Where a mail server is configured there is no link to print."""
    environ = {
        "BIENVENUE_DATABASE_URL": service.url,
        "BIENVENUE_SECRET_KEY_FILE": str(service.auth.settings.core.secret_key_file),
    }
    run = CliRunner()
    told = run.invoke(main, ["outbox", "open"], env=environ)
    assert (told.exit_code, told.output) == (0, service.auth.outbox.link() + "\n")
    names = {f"BIENVENUE_{name.upper()}": value for name, value in SMTP.items()}
    told = run.invoke(main, ["outbox", "open"], env=environ | names)
    assert told.exit_code == 1
    assert "emails are sent by SMTP" in told.output


def test_every_kind_of_email_has_a_name_for_the_list() -> None:
    """A kind that is added has one too, or it would stand there as programs call it."""
    templates = files("bienvenue") / "templates" / "bienvenue"
    listed = (templates / "outbox" / "list.html").read_text("utf-8")
    kinds = {
        file.name[:-4] for file in (templates / "mail").iterdir() if file.name.endswith(".txt")
    }
    assert len(kinds) > 10
    assert {kind for kind in kinds if f'"{kind}": _(' not in listed} == set()
