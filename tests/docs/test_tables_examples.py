"""Tables of an application that refer to users, as `examples/tables` shows them."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import create_engine, inspect, text

from bienvenue import Auth
from bienvenue.models import not_ours, users
from tests.conftest import EMAIL, KEY, PASSPHRASE
from tests.databases import Databases
from tests.docs.pages import TOP

EXAMPLES = TOP / "examples" / "tables"
CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
PLACES = [
    ("sqlite", "", ""),
    ("sqlite", "auth_", ""),
    ("postgresql", "auth_", ""),
    ("postgresql", "", "accounts"),
]


@pytest.fixture(params=PLACES, ids="-".join)
def url(
    request: pytest.FixtureRequest,
    databases: Databases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """A database without a table, and the settings that an application on it has."""
    kind, prefix, schema = request.param
    made = databases.fresh(kind, migrated=False)
    (tmp_path / "keys").write_text(KEY)
    for name, value in {
        "SECRET_KEY_FILE": str(tmp_path / "keys"),
        "INSTANCE": str(tmp_path),
        "BCRYPT_COST": "4",
        "TABLE_PREFIX": prefix,
        "DATABASE_SCHEMA": schema,
    }.items():
        monkeypatch.setenv(f"BIENVENUE_{name}", value)
    yield made
    databases.drop(made)


def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import an example anew: its classes name the tables of the settings."""
    monkeypatch.syspath_prepend(EXAMPLES)
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def begun(app: Flask, url: str) -> Auth:
    """Create the tables of both, as the README says."""
    auth: Auth = app.extensions["bienvenue"].auth
    auth.upgrade()
    done = app.test_cli_runner().invoke(args=["create-tables"])
    assert done.exit_code == 0, done.output
    engine = create_engine(url)
    assert "notes" in inspect(engine).get_table_names()
    engine.dispose()
    return auth


def dropped(url: str, metadata: Any) -> list[Any]:
    """Give what Alembic would change in the database for the models of the application."""
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": not_ours, "include_schemas": False}
        )
        found = compare_metadata(context, metadata)
    engine.dispose()
    return [each for each in found if each[0] == "remove_table"]


def test_with_flask_sqlalchemy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note keeps its user; once it is gone, the user can be deleted."""
    module = imported("with_flask_sqlalchemy", monkeypatch)
    app = module.create_app(url)
    auth = begun(app, url)
    client = app.test_client()
    client.post("/account/users", data=CREDENTIALS)
    client.post("/account/sessions", data=CREDENTIALS)
    assert client.post("/notes", data={"text": "milk"}).get_json() == {"text": "milk", "by": EMAIL}
    assert client.get("/notes").get_json() == ["milk"]
    command = app.test_cli_runner()
    done = command.invoke(args=["bienvenue", "users", "delete", EMAIL, "--yes"])
    assert done.exit_code == 1
    assert "Error: Rows of the application still refer to this account." in done.output
    assert client.get("/notes").get_json() == ["milk"]
    with app.app_context():
        assert dropped(url, module.db.metadata) == []
        module.db.session.execute(text("DELETE FROM notes"))
        module.db.session.commit()
        module.db.session.remove()
    assert command.invoke(args=["bienvenue", "users", "delete", EMAIL, "--yes"]).exit_code == 0
    with app.app_context():
        module.db.engine.dispose()
    auth.close()


def test_with_sqlalchemy_alone(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Notes go with their user, by ON DELETE CASCADE."""
    app = imported("with_sqlalchemy", monkeypatch).create_app(url)
    app.logger.setLevel(logging.INFO)
    auth = begun(app, url)
    client = app.test_client()
    client.post("/account/users", data=CREDENTIALS)
    client.post("/account/sessions", data=CREDENTIALS)
    assert client.post("/notes", data={"text": "milk"}).get_json() == {"text": "milk", "by": EMAIL}
    assert client.get("/notes").get_json() == ["milk"]
    done = app.test_cli_runner().invoke(args=["bienvenue", "users", "delete", EMAIL, "--yes"])
    assert done.exit_code == 0, done.output
    assert "went with the account" in caplog.text
    with app.extensions["engine"].connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM notes")).scalar() == 0
    app.extensions["engine"].dispose()
    auth.close()


def test_the_table_of_users_is_one_object_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the prefix and the schema of the settings, or of the arguments."""
    assert users() is users("", "")
    assert users("auth_", "accounts").fullname == "accounts.auth_users"
    assert users("auth_").fullname == "auth_users"
    monkeypatch.setenv("BIENVENUE_TABLE_PREFIX", "auth_")
    assert users() is users("auth_")


@pytest.mark.parametrize(
    ("settings", "name", "kind", "theirs"),
    [
        ({}, "users", "table", False),
        ({}, "group_memberships", "table", False),
        ({}, "bienvenue_alembic_version", "table", False),
        ({}, "notes", "table", True),
        ({"TABLE_PREFIX": "auth_"}, "users", "table", True),
        ({"TABLE_PREFIX": "auth_"}, "auth_users", "table", False),
        ({"DATABASE_SCHEMA": "accounts"}, "accounts", "schema", False),
        ({"DATABASE_SCHEMA": "accounts"}, "public", "schema", True),
        ({}, None, "schema", True),
        ({}, "email", "column", True),
    ],
)
def test_alembic_of_the_application_leaves_our_tables_alone(
    settings: dict[str, str], name: str | None, kind: str, theirs: bool, monkeypatch: Any
) -> None:
    """By name and kind, as Alembic asks."""
    for each, value in settings.items():
        monkeypatch.setenv(f"BIENVENUE_{each}", value)
    assert not_ours(name, kind, {}) is theirs
