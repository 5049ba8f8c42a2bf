"""The two halves of the project, as the cases of the exercise see them: course and service."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import NullPool, create_engine, text

import bienvenue
from bienvenue.auth import _generate_uuid, _hash_password
from bienvenue.settings import Settings
from grade.half import GOOD_PASSWORD, Half
from grade.learner import Learner
from grade.seen import Log
from grade.sheet import COURSE
from tests.databases import Databases

__all__ = ["GOOD_PASSWORD", "Half", "Service", "course_half", "service_half"]


@contextmanager
def course_half(folder: Path) -> Iterator[Learner]:
    """Give the course, loaded as a learner's files are, with its databases below this folder."""
    with Learner(COURSE, folder) as half:
        half.name = "course"
        yield half


class Service(Half):
    """The service, with every database a fresh one of one kind."""

    status = {
        "registered": {201},
        "taken": {409},
        "logged_in": {200},
        "wrong_login": {401},
        "logged_out": {204},
        "not_logged_in": {401},
    }
    session_id = r"[A-Za-z0-9_-]{43}"
    secrets_are_stored = False

    def __init__(self, folder: Path, databases: Databases, kind: str) -> None:
        """Take a folder for keys, and the maker of databases of this kind."""
        self.name = f"service on {kind}"
        self.log = Log(Path(bienvenue.__file__).parent)
        self._folder, self._databases, self._kind = folder, databases, kind
        self._urls: list[str] = []
        self._stack = ExitStack()

    def close(self) -> None:
        """Close what was opened and drop the databases."""
        self._stack.close()
        for url in self._urls:
            self._databases.drop(url)

    def _given(self) -> dict[str, Any]:
        self._urls.append(self._databases.fresh(self._kind))
        keys = self._folder / "keys"
        keys.write_text(secrets.token_hex(32))
        return {
            "database_url": self._urls[-1],
            "secret_key_file": keys,
            "instance": self._folder,
            "bcrypt_cost": 4,
        }

    @property
    def User(self) -> type[Any]:  # noqa: N802 (the name of the exercise)
        """The model."""
        return bienvenue.User

    @property
    def DB(self) -> type[Any]:  # noqa: N802 (the name of the exercise)
        """The class of the database."""
        return bienvenue.DB

    def make_db(self) -> bienvenue.DB:
        """Make a DB on a new database."""
        made = bienvenue.DB(self._given()["database_url"])
        self._stack.callback(made.close)
        return made

    def make_auth(self) -> bienvenue.Auth:
        """Make an Auth on a new database."""
        made = bienvenue.Auth(settings=Settings({}, **self._given()))
        self._stack.callback(made._db.close)
        return made

    def make_client(self) -> FlaskClient:
        """Make a test client of a new app on a new database."""
        app = bienvenue.create_app(**self._given())
        self._stack.callback(app.extensions["bienvenue"].auth._db.close)
        return app.test_client()

    def hash_password(self, password: str) -> bytes:
        """Call `_hash_password` at the cost it has there."""
        return _hash_password(password)

    def generate_uuid(self) -> str:
        """Call `_generate_uuid`."""
        return _generate_uuid()

    def query(self, statement: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        """Run a statement on the newest database."""
        engine = create_engine(self._urls[-1], poolclass=NullPool)
        with engine.begin() as connection:
            done = connection.execute(text(statement), dict(values))
            return [dict(row) for row in done.mappings()] if done.returns_rows else []


@contextmanager
def service_half(folder: Path, databases: Databases, kind: str) -> Iterator[Service]:
    """Give the service, with every database a fresh one of this kind."""
    half = Service(folder, databases, kind)
    try:
        yield half
    finally:
        half.close()
