"""A half of the project, as the tests of the exercise see it: the course, and the service."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bcrypt
from flask.testing import FlaskClient

import bienvenue
from bienvenue.auth import _generate_uuid, _hash_password
from bienvenue.settings import Settings
from tests.course.modules import load
from tests.databases import Databases

#: Long enough for the service, short enough for bcrypt, and on no one's list.
GOOD_PASSWORD = "neuf grenouilles sous la pluie"


@dataclass(frozen=True)
class Half:
    """The names of the exercise, in one half, and the few things in which the halves differ."""

    name: str
    #: The model, as one class for everything below except ``client``.
    User: type[Any]
    #: A new DB on a new database.
    DB: Callable[[], Any]
    #: A new Auth on a new database.
    Auth: Callable[[], Any]
    hash_password: Callable[[str], bytes]
    generate_uuid: Callable[[], str]
    #: A test client of a new app on a new database.
    client: Callable[[], FlaskClient]
    good_password: str
    #: The statuses: registered, taken, logged_in, wrong_login, logged_out, not_logged_in.
    status: dict[str, int]
    #: What the session id that a visitor holds looks like, as a regular expression.
    session_id: str
    #: Whether the column ``session_id`` is that session id.
    session_id_is_stored: bool


@contextlib.contextmanager
def course_half(folder: Path) -> Iterator[Half]:
    """Give the course, loaded again, with every database in a folder of its own under this one.

    A hash costs what it does in the exercise only in `hash_password`; in all else the least.
    """
    user, db, auth = load("user", "db", "auth")
    gensalt = bcrypt.gensalt

    def hash_password(password: str) -> Any:
        with patch.object(bcrypt, "gensalt", gensalt):
            return auth._hash_password(password)

    numbers = count()
    opened: list[Any] = []

    def fresh_folder() -> None:
        fresh = folder / str(next(numbers))
        fresh.mkdir()
        os.chdir(fresh)

    def new_db() -> Any:
        fresh_folder()
        opened.append(db.DB())
        return opened[-1]

    def new_auth() -> Any:
        fresh_folder()
        made = auth.Auth()
        opened.append(made._db)
        return made

    def client() -> FlaskClient:
        fresh_folder()
        (app,) = load("app")
        opened.append(app.AUTH._db)
        served: FlaskClient = app.app.test_client()
        return served

    with contextlib.chdir(folder), patch.object(bcrypt, "gensalt", lambda: gensalt(4)):
        yield Half(
            name="course",
            User=user.User,
            DB=new_db,
            Auth=new_auth,
            hash_password=hash_password,
            generate_uuid=auth._generate_uuid,
            client=client,
            good_password=GOOD_PASSWORD,
            status={
                "registered": 200,
                "taken": 400,
                "logged_in": 200,
                "wrong_login": 401,
                "logged_out": 302,
                "not_logged_in": 403,
            },
            session_id=r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
            session_id_is_stored=True,
        )
        for each in opened:
            each._engine.dispose()


@contextlib.contextmanager
def service_half(folder: Path, databases: Databases, kind: str) -> Iterator[Half]:
    """Give the service, with every database a fresh one of this kind."""
    urls: list[str] = []
    opened: list[bienvenue.DB] = []

    def given() -> dict[str, Any]:
        urls.append(databases.fresh(kind))
        keys = folder / "keys"
        keys.write_text(secrets.token_hex(32))
        return {
            "database_url": urls[-1],
            "secret_key_file": keys,
            "instance": folder,
            "bcrypt_cost": 4,
        }

    def new_db() -> bienvenue.DB:
        opened.append(bienvenue.DB(given()["database_url"]))
        return opened[-1]

    def new_auth() -> bienvenue.Auth:
        made = bienvenue.Auth(settings=Settings({}, **given()))
        opened.append(made._db)
        return made

    def client() -> FlaskClient:
        app = bienvenue.create_app(**given())
        opened.append(app.extensions["bienvenue"].auth._db)
        return app.test_client()

    yield Half(
        name=f"service on {kind}",
        User=bienvenue.User,
        DB=new_db,
        Auth=new_auth,
        hash_password=_hash_password,
        generate_uuid=_generate_uuid,
        client=client,
        good_password=GOOD_PASSWORD,
        status={
            "registered": 201,
            "taken": 409,
            "logged_in": 200,
            "wrong_login": 401,
            "logged_out": 204,
            "not_logged_in": 401,
        },
        session_id=r"[A-Za-z0-9_-]{43}",
        session_id_is_stored=False,
    )
    for each in opened:
        each.close()
    for url in urls:
        databases.drop(url)
