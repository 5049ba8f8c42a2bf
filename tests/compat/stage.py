"""What Flask-Login's own tests run on; it becomes the `conftest.py` beside them.

`flask_login` is our module there. Its users have accounts, as after `users import`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bienvenue import Auth, Bienvenue
from bienvenue.authentication import CODE
from bienvenue.compat import flask_login
from bienvenue.compat.flask_login import FlaskLogin, login_manager, urls
from bienvenue.settings import Settings

IDS = ("1", "2", "3", "佐藤")
ABOUT = ("author", "author_email", "copyright", "description", "license", "maintainer")


def module(name: str, **values: object) -> None:
    """Let a module of this name be imported."""
    made = ModuleType(name)
    vars(made).update(values)
    sys.modules[name] = made


sys.modules["flask_login"] = flask_login
about = (*ABOUT, "title", "url", "version", "version_info")
module("flask_login.__about__", **{f"__{name}__": None for name in about})
module(
    "flask_login.utils",
    _secret_key=urls._secret_key,
    _user_context_processor=login_manager._user_context_processor,
)
# They import it for the version of Python, which no test of theirs reads.
module("semantic_version", Version=dict)


@pytest.fixture(scope="session", autouse=True)
def accounts(bienvenue_template: Path) -> None:
    """An account for each of their users."""
    url = f"sqlite:///{bienvenue_template / 'template.db'}"
    auth = Auth(settings=Settings({}, database_url=url), features=[FlaskLogin])
    auth.upgrade()
    for number, name in enumerate(IDS):
        user = auth.accounts.add_without_password(CODE, f"user-{number}@example.org")
        auth.use(FlaskLogin).link(CODE, user.uid, name)
    auth.close()


@pytest.fixture(autouse=True)
def service(bienvenue_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database of this test; what its applications opened is closed after it."""
    assert bienvenue_database
    # Their tests say in a header from where a request comes.
    monkeypatch.setenv("BIENVENUE_TRUSTED_PROXIES", "127.0.0.1")
    made: list[Auth] = []
    real = Bienvenue.init_app

    def init_app(self: Bienvenue, *args: Any, **settings: Any) -> Auth:
        made.append(real(self, *args, **settings))
        return made[-1]

    monkeypatch.setattr(Bienvenue, "init_app", init_app)
    yield
    for auth in made:
        auth.close()
