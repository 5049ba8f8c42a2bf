"""Testing: fixtures for the tests of an application that has the service.

pytest loads this module by itself where the package is installed; nothing else imports it. A test
gets a migrated database of its own in milliseconds, and hashes that cost next to nothing.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, overload
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from bienvenue.auth import Auth

#: The password of the accounts that `signed_in` creates.
PASSWORD = "the password of every test"  # noqa: S105 (no secret: it opens accounts of tests)

_PREFIX = "BIENVENUE_"
#: The settings that decide which tables there are.
_OF_TABLES = {f"{_PREFIX}EXTRA_FEATURES", f"{_PREFIX}TABLE_PREFIX"}
_LINK = "://"


# --- the database -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def bienvenue_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a migrated SQLite database and a key file, made once for all tests."""
    # Imported when a test asks: other projects of the same environment do not wait for it.
    from bienvenue import key_file  # noqa: PLC0415 (as above)
    from bienvenue.auth import Auth  # noqa: PLC0415 (as above)
    from bienvenue.settings import Settings  # noqa: PLC0415 (as above)

    folder = tmp_path_factory.mktemp("bienvenue")
    key_file.new(folder / "keys")
    kept = {name: value for name, value in os.environ.items() if name in _OF_TABLES}
    url = f"sqlite:///{folder / 'template.db'}"
    auth = Auth(settings=Settings(kept, database_url=url, instance=folder))
    auth.upgrade()
    # Closing the last connection folds the write-ahead log into the file.
    auth.close()
    return folder


@pytest.fixture
def bienvenue_database(
    bienvenue_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The URL of a migrated database of this test, which the environment names, too.

    Other settings of the environment are taken away: a developer's mail server is not for tests.
    """
    folder = tmp_path / "bienvenue"
    folder.mkdir()
    url = f"sqlite:///{folder / 'accounts.db'}"
    shutil.copyfile(bienvenue_template / "template.db", folder / "accounts.db")
    for name in [
        name for name in os.environ if name.startswith(_PREFIX) and name not in _OF_TABLES
    ]:
        monkeypatch.delenv(name)
    for name, value in {
        "DATABASE_URL": url,
        "SECRET_KEY_FILE": str(bienvenue_template / "keys"),
        "INSTANCE": str(folder),
        "BASE_URL": "http://localhost",
        "BCRYPT_COST": "4",
    }.items():
        monkeypatch.setenv(_PREFIX + name, value)
    return url


# --- visitors -----------------------------------------------------------------------------------


def signed_in(
    client: "FlaskClient", email: str = "user@example.org", groups: Iterable[str] = ()
) -> "FlaskClient":
    """Sign a client in, as an account that is created when there is none; return the client.

    The account is added to these groups. No form is sent, and no password hashed for an account
    that exists. Raises MFARequired where the account must show another factor, MalformedGroup, and
    the refusal of an account that is shut.
    """
    from bienvenue.authentication import CODE, Authentication  # noqa: PLC0415 (see above)
    from bienvenue.features.accounts import NoSuchUser  # noqa: PLC0415 (see above)
    from bienvenue.web import cookies  # noqa: PLC0415 (see above)

    auth = _auth_of(client.application)
    try:
        user = auth.accounts.find(email)
    except NoSuchUser:
        user = auth.register_user(email, PASSWORD)
    for group in groups:
        auth.groups.add(CODE, user.uid, group)
    opened = auth.sessions.open(CODE, Authentication(user, ("pwd",)))
    assert opened is not None, "the account changed while it signed in"  # noqa: S101 (a test's own)
    name = cookies.name_of(cookies.SESSION, auth.settings)
    host = urlsplit(auth.settings.base_url).hostname or "localhost"
    client.set_cookie(name, opened.secret, domain=host, secure=auth.settings.https)
    return client


def submit(client: "FlaskClient", page: str, **typed: str) -> "TestResponse":
    """Open a page of the service as a browser does, fill in its first form that has the fields.

    Hidden fields, such as the form token, are sent as they are. Returns the response to the form.
    Raises LookupError when no form of the page has all of these fields.
    """
    browser = {"Accept": "text/html"}
    reader = _Forms()
    reader.feed(client.get(page, headers=browser).text)
    for form in reader.forms:
        if typed.keys() <= form.fields.keys():
            return client.post(form.action, data=form.fields | typed, headers=browser)
    raise LookupError(f"{page} has no form with the fields {', '.join(sorted(typed))}")


@dataclass
class _Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[_Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(_Form(found.get("action", "")))
        elif tag == "input" and found.get("name") and self.forms:
            self.forms[-1].fields[found["name"]] = found.get("value", "")


# --- emails -------------------------------------------------------------------------------------


class Outbox(Sequence[EmailMessage]):
    """The emails that an application wrote, oldest first; none of them leaves."""

    def __init__(self, app: "Flask") -> None:
        """Take the application."""
        self._auth = _auth_of(app)

    @overload
    def __getitem__(self, index: int) -> EmailMessage: ...

    @overload
    def __getitem__(self, index: slice) -> list[EmailMessage]: ...

    def __getitem__(self, index: int | slice) -> EmailMessage | list[EmailMessage]:
        """Return an email, or some. Raises IndexError."""
        return self._messages()[index]

    def __len__(self) -> int:
        """Return how many emails there are."""
        return len(self._messages())

    def __iter__(self) -> Iterator[EmailMessage]:
        """Iterate over the emails, oldest first."""
        return iter(self._messages())

    def to(self, email: str) -> list[EmailMessage]:
        """Return the emails to an address, oldest first."""
        return [message for message in self if message["To"] == email]

    def link(self, email: str) -> str:
        """Return path and query of the link in the newest email to an address that has one.

        Raises LookupError.
        """
        for message in reversed(self.to(email)):
            for line in text_of(message).splitlines():
                if _LINK in line and "token=" in line:
                    found = urlsplit(line.strip())
                    return f"{found.path}?{found.query}"
        raise LookupError(f"no email to {email} has a link with a token")

    def _messages(self) -> list[EmailMessage]:
        mail = self._auth.mail
        return [mail.read(message.uid) for message in reversed(mail.list())]


def text_of(message: EmailMessage) -> str:
    """Return the plain text of an email."""
    body = message.get_body(("plain",))
    return "" if body is None else str(body.get_content())


@pytest.fixture
def outbox(app: "Flask") -> Outbox:
    """The emails of the application, which is the fixture `app` of the tests."""
    return Outbox(app)


def _auth_of(app: "Flask") -> "Auth":
    auth: Auth = app.extensions["bienvenue"].auth
    return auth
