"""Commands and applications: `flask bienvenue`, an empty database, and commands without `flask`."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask, current_app
from flask.cli import FlaskGroup

from bienvenue import Bienvenue, claim, current_user, signals
from bienvenue.cli import main
from bienvenue.feature import Feature
from bienvenue.schema import SchemaProblem
from bienvenue.settings import Section, Settings
from tests.conftest import EMAIL, KEY, PASSPHRASE
from tests.ports import free_port
from tests.web.browser import HTML

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
ADD = ("users", "add", EMAIL, "--no-password")


@click.command("users greet")
def greet() -> None:
    """Greet all users."""
    click.echo("hello")


class Greetings(Feature[Section]):
    """A feature of an application."""

    name = "greetings"
    commands: ClassVar = (greet,)


Join = Callable[..., Flask]


@pytest.fixture
def join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Join]:
    """Let the service join an application whose settings stand in its code."""
    monkeypatch.setenv("BIENVENUE_INSTANCE", str(tmp_path / "instance"))
    monkeypatch.setenv("BIENVENUE_BCRYPT_COST", "4")
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "keys").write_text(KEY)
    joined: list[Flask] = []

    def make(database_url: str, **given: Any) -> Flask:
        app = Flask("books")
        app.add_url_rule("/own", "own", view_func=lambda: "own")
        app.add_url_rule("/who", "who", view_func=lambda: "known" if current_user else "unknown")
        Bienvenue(app, features=[Greetings], database_url=database_url, **given)
        joined.append(app)
        return app

    yield make
    for app in joined:
        app.extensions["bienvenue"].auth.close()


def inside(app: Flask, *words: str) -> Result:
    """Run `flask bienvenue` and a command."""
    return app.test_cli_runner().invoke(args=["bienvenue", *words])


def outside(*words: str) -> Result:
    """Run `bienvenue` and a command."""
    return CliRunner().invoke(main, words)


def test_commands_of_flask_work_on_the_database_of_the_application(
    join: Join, database: str, tmp_path: Path
) -> None:
    """Which its code names, whatever the environment says; and nothing is made beside it."""
    app = join(database, secret_key_file=tmp_path / "instance" / "keys")
    heard: list[str] = []

    def welcome(_sender: Flask, email: str, **_facts: object) -> None:
        heard.append(f"{current_app.name}: {email}")

    with signals.user_registered.connected_to(welcome, app):
        assert inside(app, *ADD).exit_code == 0
    assert heard == [f"books: {EMAIL}"]
    assert EMAIL in inside(app, "users", "list").output
    assert f"BIENVENUE_INSTANCE={tmp_path / 'instance'}" in inside(app, "settings").output
    assert "/users/new" in inside(app, "openapi").output
    assert "current" in inside(app, "db", "current").output
    assert inside(app, "check").output
    assert not (tmp_path / "instance" / "bienvenue.db").exists()
    refused = inside(app, *ADD)
    assert (refused.exit_code, refused.output) == (1, f"Error: User {EMAIL} already exists\n")


def test_the_application_has_every_command_but_serve_and_those_of_its_features(
    join: Join, database: str, tmp_path: Path
) -> None:
    """Which no other program has."""
    app = join(database, secret_key_file=tmp_path / "instance" / "keys")
    shown = inside(app, "-h").output
    names = {name for name in main.commands if f"\n  {name} " in shown}
    assert set(main.commands) - names == {"serve"}
    assert inside(app, "users", "greet").output == "hello\n"
    users = main.commands["users"]
    assert isinstance(users, click.Group)
    assert "greet" not in users.commands
    assert "bienvenue" in app.test_cli_runner().invoke(args=["--help"]).output


def test_links_of_commands_lead_to_the_pages_of_the_application(
    join: Join, database: str, tmp_path: Path
) -> None:
    """Below its path: from `flask bienvenue`, and from `bienvenue` on the same database."""
    app = join(database, secret_key_file=tmp_path / "instance" / "keys")
    auth = app.extensions["bienvenue"].auth
    inside(app, *ADD)
    inside(app, "users", "email", EMAIL, "rob@example.com")
    path = "http://localhost:5000/account/email/restore?token="
    assert path in _last(auth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIENVENUE_DATABASE_URL", database)
        patch.setenv("BIENVENUE_SECRET_KEY_FILE", str(tmp_path / "instance" / "keys"))
        assert outside("users", "email", "rob@example.com", "bo@example.com").exit_code == 0
    assert path in _last(auth)
    assert len(auth.mail.list()) == 2


def _last(auth: Any) -> str:
    newest = auth.mail.list()[0]
    return str(auth.mail.read(newest.uid).get_body(("plain",)).get_content())


SQLITE = pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)
BOTH = pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)


@BOTH
def test_an_application_starts_before_its_database_is_migrated(
    join: Join, empty_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests that need it are told what to run, until it is; the host's own pages work."""
    app = join(empty_database, secret_key_file=tmp_path / "instance" / "keys")
    flask = FlaskGroup(create_app=lambda: app)
    assert "/account/profile" in CliRunner().invoke(flask, ["routes"]).output
    assert "empty" in CliRunner().invoke(flask, ["bienvenue", "db", "current"]).output
    assert caplog.text == ""
    client = app.test_client()
    assert client.get("/own").text == "own"
    assert client.get("/who").text == "unknown"
    answer = client.post("/account/users", json=CREDENTIALS)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert "bienvenue db upgrade" in answer.get_json()["detail"]
    assert "the database is empty" in caplog.text
    assert "`flask bienvenue db upgrade`" in caplog.text
    client.set_cookie("session_id", "x" * 43)
    page = client.get("/account/sessions/new", headers=HTML)
    assert (page.status_code, "bienvenue db upgrade" in page.text) == (503, True)
    assert client.get("/who").status_code == 503
    assert client.get("/who").get_json()["code"] == "not_ready"
    assert client.get("/account/healthz").status_code == 200
    assert client.get("/account/readyz").get_json()["code"] == "not_ready"
    assert inside(app, "db", "upgrade").exit_code == 0
    assert client.get("/who").text == "unknown"
    assert app.test_client().post("/account/users", json=CREDENTIALS).status_code == 201


BOOKS = """\
from flask import Flask
from bienvenue import Bienvenue
app = Flask(__name__)
Bienvenue(app)
app.add_url_rule("/own", "own", view_func=lambda: "own")
"""
OF_BOOKS = """\
from books import app

def test_own():
    assert app.test_client().get("/own").text == "own"
"""


@pytest.mark.slow
@pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("words", "typed", "shown"),
    [
        ("flask --app books shell", "print(app.name, 'is here')", "books is here"),
        ("flask --app books routes", "", "/account/profile"),
        ("pytest -q -p no:cacheprovider -p no:bienvenue", "", "1 passed"),
    ],
)
def test_programs_that_import_an_application_start_without_a_migrated_database(
    empty_database: str, tmp_path: Path, words: str, typed: str, shown: str
) -> None:
    """As processes of their own: a shell, the list of routes, and the application's own tests."""
    (tmp_path / "books.py").write_text(BOOKS)
    (tmp_path / "test_books.py").write_text(OF_BOOKS)
    (tmp_path / "keys").write_text(KEY)
    environment = os.environ | {
        "BIENVENUE_DATABASE_URL": empty_database,
        "BIENVENUE_SECRET_KEY_FILE": str(tmp_path / "keys"),
        "BIENVENUE_INSTANCE": str(tmp_path / "instance"),
    }
    done = subprocess.run(
        [sys.executable, "-m", *words.split()],
        cwd=tmp_path,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, shown in done.stdout) == (0, True), done.stdout + done.stderr
    assert not (tmp_path / "instance").exists()


@SQLITE
def test_a_database_that_no_migration_mends_is_refused_at_the_start(
    join: Join, empty_database: str, tmp_path: Path
) -> None:
    """A table called users that is another's."""
    import sqlite3  # noqa: PLC0415 (nothing else here speaks to a database by itself)

    with sqlite3.connect(empty_database.removeprefix("sqlite:///")) as connection:
        connection.execute("CREATE TABLE users (id INTEGER)")
    with pytest.raises(SchemaProblem, match="not ours"):
        join(empty_database, secret_key_file=tmp_path / "instance" / "keys")


@SQLITE
def test_a_command_without_the_application_begins_no_second_database(
    join: Join, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where the accounts are; one that finds another database says that it works there."""
    join(empty_database)
    other = tmp_path / "instance" / "bienvenue.db"
    for words in (("users", "list"), ("db", "upgrade"), ("serve", "--port", str(free_port())), ADD):
        refused = outside(*words)
        assert refused.exit_code == 1
        assert refused.output.startswith("Error: the application books has its accounts in /")
        assert f"works on {other}, by default, with the keys of " in refused.output
        assert "run `flask --app books bienvenue`" in refused.output
    assert not other.exists()
    assert outside("settings").exit_code == 1
    assert outside("keys", "list").exit_code == 0
    made = tmp_path / "other.db"
    made.touch()
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", f"sqlite:///{made}")
    works = outside("db", "current")
    assert works.exit_code == 0
    assert works.stderr.startswith("Note: the application books has its accounts in /")
    assert f"works on {made}, as the settings say" in works.stderr
    keys = tmp_path / "instance" / "keys"
    assert works.output.endswith(
        f"in {made}, as the settings say, with the keys of {keys}, by default\n"
    )
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", empty_database)
    assert outside("db", "upgrade").stderr == ""


def settings(folder: Path, **given: Any) -> Settings:
    """Settings of an instance folder."""
    return Settings({}, instance=folder, **given)


@BOTH
@pytest.mark.statements
def test_an_application_with_keys_elsewhere_marks_the_folder_by_its_first_command(
    join: Join, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then `bienvenue` there begins no database and makes no keys, and says which it works on."""
    folder, keys = tmp_path / "place" / "instance", tmp_path / "elsewhere"
    monkeypatch.setenv("BIENVENUE_INSTANCE", str(folder))
    keys.write_text(KEY)
    app = join(empty_database, secret_key_file=keys)
    assert claim.read(settings(folder)) is None
    assert inside(app, "db", "upgrade").exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["application.json"]
    assert folder.stat().st_mode & 0o777 == 0o700
    where = claim.database_of(settings(folder, database_url=empty_database, secret_key_file=keys))
    for words in (("users", "list"), ("db", "upgrade"), ("db", "current"), ADD):
        refused = outside(*words)
        assert refused.exit_code == 1
        assert refused.output.startswith(
            f"Error: the application books has its accounts in {where} with the keys of {keys}, "
            f"and this command works on {folder / 'bienvenue.db'}, by default, with the keys of "
            f"{folder / 'keys'}, by default: run `flask --app books bienvenue`"
        )
    # With the database alone, other keys would be made beside those of the application.
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", empty_database)
    refused = outside("users", "list")
    assert (refused.exit_code, f"{folder / 'keys'}, by default" in refused.output) == (1, True)
    assert [path.name for path in folder.iterdir()] == ["application.json"]
    other = tmp_path / "other"
    other.write_text(KEY)
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(other))
    assert outside("users", "list").stderr.startswith("Note: the application books has its acc")
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(keys))
    works = outside("db", "current")
    assert (works.exit_code, works.stderr) == (0, "")
    assert works.output.endswith(
        f"in {where}, as the settings say, with the keys of {keys}, as the settings say\n"
    )


def test_a_claim_has_no_secret_and_is_written_once(tmp_path: Path) -> None:
    """Where accounts, keys and pages of the application are."""
    url = "postgresql://ann:pass@db.example:6543/books"
    ours = settings(tmp_path / "new", database_url=url, secret_key_file=tmp_path / "k", mount="/m")
    claim.stake(ours, "books", "/account")
    file = tmp_path / "new" / "application.json"
    assert json.loads(file.read_text()) == {
        "application": "books",
        "database": "books of PostgreSQL on db.example:6543",
        "prefix": "/account",
        "keys": str(tmp_path / "k"),
        "mount": "/m",
        "base_url": "http://localhost:5000",
    }
    written = file.stat().st_mtime_ns
    claim.stake(ours, "books", "/account")
    assert file.stat().st_mtime_ns == written
    (tmp_path / "taken").touch()
    claim.stake(settings(tmp_path / "taken"), "books", "")
    assert claim.read(settings(tmp_path / "taken")) is None
    local = settings(tmp_path, database_url="postgresql:///books")
    assert claim.database_of(local) == "books of PostgreSQL on this machine"


def test_a_claim_of_an_earlier_version_says_nothing_of_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nothing is compared with them."""
    ours = settings(tmp_path)
    old = {"application": "books", "database": claim.database_of(ours), "prefix": "/account"}
    (tmp_path / "application.json").write_text(json.dumps(old))
    monkeypatch.setenv("BIENVENUE_INSTANCE", str(tmp_path))
    assert outside("db", "upgrade").stderr == ""
    old["database"] = "/srv/books.db"
    (tmp_path / "application.json").write_text(json.dumps(old))
    said = outside("db", "current").stderr
    assert said.startswith("Note: the application books has its accounts in /srv/books.db, and")


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"application": "x"}', "\xff"])
def test_a_claim_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    """A command works without it."""
    for name in ("application.json", "arrived.json"):
        (tmp_path / name).write_text(text, "latin-1")
    assert claim.read(settings(tmp_path)) is None
    assert claim.last_arrival(settings(tmp_path)) is None


def test_the_service_by_itself_claims_nothing(join: Join, tmp_path: Path) -> None:
    """Its commands have its settings already, and it has none of Flask's."""
    from bienvenue import Auth, create_app  # noqa: PLC0415 (no application here)

    del join
    Auth().upgrade()
    app = create_app()
    assert "bienvenue" not in app.cli.commands
    assert not (tmp_path / "instance" / "application.json").exists()
    app.extensions["bienvenue"].auth.close()
    assert logging.getLogger("bienvenue").name == "bienvenue"
