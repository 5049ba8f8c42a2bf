"""What the tests of an application use: the plugin of pytest, and the example of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask, render_template_string, request

from bienvenue import Bienvenue, form_token_required, testing
from bienvenue.authentication import CODE
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.groups.errors import MalformedGroup
from tests.conftest import EMAIL, MakeService, Service
from tests.docs.pages import GUIDE, TOP, Page
from tests.web.hosts import MakeHost, make_host

__all__ = ["make_host"]

EXAMPLE = TOP / "examples" / "testing"
ONE_DATABASE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, with the plugin as an installed package brings it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tests_of_the_example_pass(tmp_path: Path) -> None:
    """On a database of their own, whatever a developer's environment says."""
    shutil.copytree(EXAMPLE, tmp_path / "books", ignore=shutil.ignore_patterns("__pycache__"))
    given = {
        "BIENVENUE_DATABASE_URL": f"sqlite:///{tmp_path / 'development.db'}",
        "BIENVENUE_BASE_URL": "https://books.example",
        "BIENVENUE_EXTRA_FEATURES": "",
        "BIENVENUE_NO_SETTING": "1",
    }
    ran = run(tmp_path / "books", **given)
    assert (ran.returncode, "3 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr
    assert not (tmp_path / "development.db").exists()


def test_the_plugin_is_loaded_by_its_entry_point_and_by_nothing_else(tmp_path: Path) -> None:
    """No program waits for pytest, and no test run for the service."""
    script = (
        "import sys, importlib\n"
        "for name in ('app', 'auth', 'cli'): importlib.import_module(f'bienvenue.{name}')\n"
        "assert 'pytest' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    script = (
        "import sys, bienvenue.testing\nassert not {'flask', 'sqlalchemy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert "bienvenue_database" in run(tmp_path, "--fixtures").stdout
    assert "bienvenue_database" not in run(tmp_path, "--fixtures", "-p", "no:bienvenue").stdout


def test_every_name_is_in_the_guide() -> None:
    """And every name in its table is one of the module."""
    rows = set(Page(GUIDE / "testing-your-application.md").rows())
    public = {
        name
        for name, value in vars(testing).items()
        if getattr(value, "__module__", "") == testing.__name__ and not name.startswith("_")
    }
    public |= {f"Outbox.{name}" for name in ("to", "link")}
    assert rows == public - {"Outbox", "bienvenue_template"}


@ONE_DATABASE
def test_a_client_is_signed_in_as_an_account_that_may_be_there(service: Service) -> None:
    """Each has its own session; one that is shut has none."""
    one, other = service.client(), service.client()
    assert testing.signed_in(one, EMAIL) is one
    testing.signed_in(other, EMAIL)
    seen = [client.get("/profile").get_json() for client in (one, other)]
    assert [each["email"] for each in seen] == [EMAIL, EMAIL]
    assert all(each["fresh"] for each in seen)
    assert seen[0]["session"] != seen[1]["session"]
    assert service.auth.valid_login(EMAIL, testing.PASSWORD)
    service.auth.accounts.disable(CODE, EMAIL)
    assert one.get("/profile").status_code == 401
    with pytest.raises(AccountDisabled):
        testing.signed_in(one, EMAIL)


@ONE_DATABASE
def test_a_client_is_signed_in_as_an_account_of_groups(service: Service) -> None:
    """Those it had stay; a name that no group can have is refused."""
    for groups in ([], ["staff"], ("staff", "editors")):
        client = testing.signed_in(service.client(), EMAIL, groups=groups)
    assert client.get("/profile").get_json()["email"] == EMAIL
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.groups.of(user.id) == {"staff", "editors"}
    with pytest.raises(MalformedGroup):
        testing.signed_in(service.client(), EMAIL, groups=["no group"])


@ONE_DATABASE
def test_the_cookie_is_the_one_of_the_base_url(make_service: MakeService) -> None:
    """Over https it has another name."""
    service = make_service(base_url="https://books.example")
    client = testing.signed_in(service.client())
    shown = client.get("/profile", base_url="https://books.example")
    assert shown.get_json()["email"] == "user@example.org"


@ONE_DATABASE
def test_a_form_is_sent_as_a_browser_sends_it(service: Service) -> None:
    """With its token; a page without such a form is named."""
    client = testing.signed_in(service.client())
    changed = testing.submit(
        client, "/password", old_password=testing.PASSWORD, new_password="another for the tests"
    )
    assert changed.status_code == 303
    with pytest.raises(LookupError, match="/password has no form with the fields colour, taste"):
        testing.submit(client, "/password", taste="", colour="")


@ONE_DATABASE
def test_a_form_of_the_application_is_sent_with_its_token(make_host: MakeHost) -> None:
    """Whatever other forms its page has, such as the one that signs out."""
    app = make_host()
    form = '<form action="/shelf"><input name="form_token" value="{{ form_token() }}">'
    page = "{{ sign_out_form() }}" + form + '<input name="title"></form>'
    app.add_url_rule("/shelf", "shelf", view_func=lambda: render_template_string(page))

    @app.post("/shelf")
    @form_token_required
    def add() -> str:
        return f"added {request.form['title']}"

    client = testing.signed_in(app.test_client())
    assert client.post("/shelf", data={"title": "Emma"}).status_code == 403
    assert testing.submit(client, "/shelf", title="Emma").text == "added Emma"


@ONE_DATABASE
def test_the_outbox_has_every_email_oldest_first(service: Service) -> None:
    """As a sequence; the link is the newest one's."""
    outbox = testing.Outbox(service.app)
    assert (len(outbox), list(outbox), outbox[:]) == (0, [], [])
    service.auth.register_user(EMAIL, testing.PASSWORD)
    with pytest.raises(LookupError, match=f"no email to {re.escape(EMAIL)}"):
        outbox.link(EMAIL)
    service.auth.password_reset.request(CODE, EMAIL)
    service.auth.email_change.set(CODE, EMAIL, "rob@example.com", restorable=False)
    assert len(outbox) == len(outbox.to(EMAIL)) == 2
    assert outbox[0]["Subject"] != outbox[-1]["Subject"]
    assert outbox[0]["To"] == EMAIL
    assert EMAIL in testing.text_of(outbox[1]) or "rob@" in testing.text_of(outbox[1])
    empty = EmailMessage()
    empty.set_content("<p>hello</p>", subtype="html")
    assert testing.text_of(empty) == ""


@ONE_DATABASE
def test_an_email_without_a_link_is_passed_over(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest one that has a link counts, whatever came after it."""
    texts = ("first\nhttp://localhost/a?token=1\n", "http://localhost/a?token=2", "no link")
    written = [EmailMessage() for _ in texts]
    for message, text in zip(written, texts, strict=True):
        message["To"] = EMAIL
        message.set_content(text)
    outbox = testing.Outbox(service.app)
    monkeypatch.setattr(outbox, "_messages", lambda: written)
    assert outbox.link(EMAIL) == "/a?token=2"


@ONE_DATABASE
def test_the_link_of_an_email_opens_its_page(service: Service) -> None:
    """Below the path that the application gives the pages."""
    app = Flask("theirs")
    keys = service.auth.settings.key_file
    Bienvenue(app, database_url=service.url, secret_key_file=keys, bcrypt_cost=4)
    auth = app.extensions["bienvenue"].auth
    auth.register_user(EMAIL, testing.PASSWORD)
    auth.password_reset.request(CODE, EMAIL)
    link = testing.Outbox(app).link(EMAIL)
    assert link.startswith("/account/reset_password?token=")
    assert app.test_client().get(link).location == "/account/reset_password/new"
    auth.close()
