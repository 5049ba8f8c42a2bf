"""A feature of an application, as `examples/feature` shows it, works without a change of ours."""

from __future__ import annotations

import gettext
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from babel.messages.pofile import read_po
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import text

from bienvenue import DB, Auth, Bienvenue, cli, i18n, schema
from bienvenue.authentication import CODE
from bienvenue.checkup.checks import pending_migrations
from bienvenue.checkup.context import CheckupContext
from bienvenue.feature import Feature
from bienvenue.settings import Settings, SettingsProblem
from tests.conftest import EMAIL, KEY, PASSPHRASE
from tests.docs import shell
from tests.docs.pages import TOP
from tests.house.source import PACKAGE
from tests.web.browser import HTML

EXAMPLE = TOP / "examples" / "feature"
CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
NAMED = "display_name:DisplayNames"
VERSION = schema.newest()


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Feature[Any]]]:
    """The class of the feature, imported from its folder."""
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setattr(i18n, "_folders", [i18n.FOLDER])
    i18n.all_languages.cache_clear()
    yield importlib.import_module("display_name").DisplayNames
    i18n.all_languages.cache_clear()


@pytest.fixture
def app(kind: type[Feature[Any]], database: str, tmp_path: Path) -> Iterator[Flask]:
    """An application with the feature, on a database with its table."""
    (tmp_path / "keys").write_text(KEY)
    given: dict[str, Any] = {
        "database_url": database,
        "secret_key_file": tmp_path / "keys",
        "bcrypt_cost": 4,
    }
    auth = Auth(settings=Settings({}, **given), features=[kind])
    with pytest.raises(schema.SchemaProblem, match="display_name are not of this program's"):
        auth.require_schema()
    assert auth.upgrade() == auth.upgrade() == schema.newest()
    auth.close()
    app = Flask("theirs")
    Bienvenue(app, url_prefix="", features=[kind], **given)
    yield app
    app.extensions["bienvenue"].auth.close()


def test_it_has_its_table_page_event_notice_menu_entry_and_texts(app: Flask) -> None:
    """In two languages, and a deleted account takes its row with it."""
    client, auth = app.test_client(), app.extensions["bienvenue"].auth
    assert client.get("/display_name").status_code == 401
    client.post("/users", json=CREDENTIALS)
    client.post("/sessions", json=CREDENTIALS)
    assert client.get("/display_name").get_json()["name"] is None
    assert client.put("/display_name", json={"name": "Bob"}).status_code == 200
    assert client.put("/display_name", json={"name": "Rob"}).get_json()["name"] == "Rob"
    too_long = client.put("/display_name", json={"name": "B" * 65})
    assert (too_long.status_code, too_long.get_json()["code"]) == (422, "display_name_too_long")
    assert 'value="Rob"' in client.get("/display_name", headers=HTML).text
    assert client.put("/display_name", json={"name": "Rob"}, headers=HTML).status_code == 303
    shown = client.get("/display_name", headers={**HTML, "Accept-Language": "fr"}).text
    assert "Votre nom affiché a été modifié." in shown
    events = [entry["event"] for entry in client.get("/activity").get_json()["activity"]]
    assert events.count("display_name.changed") == 3
    assert {email.kind for email in auth.mail.list()} == {"display_name_changed"}
    french = {**HTML, "Accept-Language": "fr"}
    shown = client.get("/profile", headers=french).text
    assert 'href="/display_name">Changer de nom affiché</a>' in shown
    assert shown.index(">Activité<") < shown.index("Nom affiché") < shown.index("Télécharger")
    assert "Votre nom affiché a été modifié." in client.get("/activity", headers=french).text
    written = auth.mail.read(auth.mail.list()[0].uid)
    assert written["Subject"] == "Your Bienvenue display name was changed"
    user = auth.accounts.find(EMAIL)
    assert auth.export(user.id)["display_name"] == "Rob"
    auth.accounts.delete(CODE, EMAIL)
    assert auth.features[-1].of(user.id) is None


def test_a_program_without_it_uses_the_same_database(app: Flask, database: str) -> None:
    """Its versions are in a table of their own; a version it does not know is refused."""
    auth = app.extensions["bienvenue"].auth
    db = DB(database)
    schema.require_current(db)
    assert schema.upgrade(db) == schema.newest()
    assert auth.features[-1].name == "display_name"
    db.close()


def test_its_table_has_the_prefix_of_the_settings(
    kind: type[Feature[Any]], database: str, tmp_path: Path
) -> None:
    """Its migration and its statements do not change for it."""
    (tmp_path / "keys").write_text(KEY)
    given: dict[str, Any] = {
        "database_url": database,
        "secret_key_file": tmp_path / "keys",
        "bcrypt_cost": 4,
        "table_prefix": "shop_",
    }
    app = Flask("theirs")
    auth = Bienvenue(url_prefix="", features=[kind], **given).init_app(app)
    auth.upgrade(beside=True)
    auth.require_schema()
    client = app.test_client()
    client.post("/users", json=CREDENTIALS)
    client.post("/sessions", json=CREDENTIALS)
    assert client.put("/display_name", json={"name": "Bob"}).status_code == 200
    with auth.registry.db.reading() as tx:
        assert tx.execute(text("SELECT name FROM shop_display_names")).all() == [("Bob",)]
    auth.close()


def test_a_setting_names_it_for_commands(
    kind: type[Feature[Any]], database: str, tmp_path: Path
) -> None:
    """Once, although the application names it too; a name that leads nowhere is refused."""
    (tmp_path / "keys").write_text(KEY)
    given: dict[str, Any] = {"database_url": database, "secret_key_file": tmp_path / "keys"}
    auth = Auth(settings=Settings({}, **given, extra_features=NAMED), features=[kind])
    assert [feature.name for feature in auth.features].count("display_name") == 1
    auth.close()
    for name, reason in (
        ("nowhere:Nothing", "No module named 'nowhere'"),
        ("display_name:Nothing", "has no attribute 'Nothing'"),
        ("display_name:HERE", "is no feature"),
    ):
        with pytest.raises(SettingsProblem, match=f"BIENVENUE_EXTRA_FEATURES: {name}.*{reason}"):
            Auth(settings=Settings({}, **given, extra_features=name))


def run(folder: Path, named: str, *arguments: str) -> str:
    """Give what a command prints, with the feature that a setting names."""
    environment = {
        "PYTHONPATH": str(EXAMPLE),
        "BIENVENUE_EXTRA_FEATURES": named,
        "BIENVENUE_INSTANCE": str(folder / "instance"),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with shell.commands() as programs:
        command = [str(programs / "bienvenue"), *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout


def test_commands_migrate_and_show_it(tmp_path: Path) -> None:
    """As the guide has it: named by a setting, from the folder of the application."""
    assert run(tmp_path, NAMED, "db", "upgrade") == f"the database has version {VERSION}\n"
    run(tmp_path, NAMED, "users", "add", EMAIL, "--no-password")
    assert run(tmp_path, NAMED, "users", "display-name", EMAIL) == "no display name\n"


@pytest.mark.thorough
def test_commands_name_it_and_its_migration(tmp_path: Path) -> None:
    """Before and after; a setting that names nothing stops no help."""
    before = run(tmp_path, NAMED, "db", "current")
    assert before.startswith(f"none (empty; this program: {VERSION})\nin ")
    assert before.endswith("\ndisplay_name: behind\n")
    run(tmp_path, NAMED, "db", "upgrade")
    assert run(tmp_path, NAMED, "db", "current").endswith("display_name: current\n")
    run(tmp_path, NAMED, "users", "add", EMAIL, "--no-password")
    assert '"display_name": null' in run(tmp_path, NAMED, "users", "show", EMAIL)
    assert "display-name" in run(tmp_path, NAMED, "users", "--help")
    assert "users" in run(tmp_path, "nowhere:Nothing", "--help")


def test_a_check_names_the_tables_that_wait_for_their_migration(
    kind: type[Feature[Any]], database: str, tmp_path: Path
) -> None:
    """The service's own are of this version, and the feature's are not there yet."""
    (tmp_path / "keys").write_text(KEY)
    given: dict[str, Any] = {"database_url": database, "secret_key_file": tmp_path / "keys"}
    auth = Auth(settings=Settings({}, **given), features=[kind])
    schema.upgrade(auth._db)
    around = CheckupContext(auth, auth._db)
    assert pending_migrations(around) == (
        "The tables of display_name are not at this program's version yet."
    )
    service = SimpleNamespace(require_settings=lambda: auth, db=auth._db, settings=auth.settings)
    said = CliRunner().invoke(cli.current, obj=service).output
    assert said.endswith("display_name: behind\n")
    auth.upgrade()
    assert pending_migrations(CheckupContext(auth, auth._db)) is None
    auth.close()


def test_its_catalogue_is_compiled() -> None:
    """The `.mo` file says what the `.po` file does."""
    folder = EXAMPLE / "languages" / "fr" / "LC_MESSAGES"
    with (folder / "bienvenue.po").open("rb") as file:
        catalogue = read_po(file, locale="fr")
    with (folder / "bienvenue.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    texts = {str(message.id): message.string for message in catalogue if message.id}
    assert len(texts) == 7
    assert {text: compiled.gettext(text) for text in texts} == texts


JOURNEY = f"""
from bienvenue import create_app
from bienvenue.auth import Auth
from bienvenue.settings import Settings
Auth(settings=Settings()).upgrade()
app = create_app(bcrypt_cost=4)
client = app.test_client()
client.post("/users", json={CREDENTIALS!r})
client.post("/sessions", json={CREDENTIALS!r})
assert client.put("/display_name", json={{"name": "Bob"}}).get_json()["name"] == "Bob"
assert 'href="/display_name"' in client.get("/profile", headers={HTML!r}).text
told = [entry["sentence"] for entry in client.get("/activity").get_json()["activity"]]
assert "Your display name was changed." in told
auth = app.extensions["bienvenue"].auth
assert [email.kind for email in auth.mail.list()] == ["display_name_changed"]
assert auth.display_name.of(auth.accounts.find({EMAIL!r}).id) == "Bob"
"""


@pytest.mark.thorough
def test_adding_a_feature_changes_auth_and_adds_files(tmp_path: Path) -> None:
    """As CONTRIBUTING says: the example becomes a feature of a copy of the product."""
    text = " ".join((TOP / "CONTRIBUTING.md").read_text("utf-8").split())
    assert "No other module of the product changes." in text
    copy = tmp_path / "bienvenue"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    # What becomes a file of the product loses what only a feature of an application has.
    source = (EXAMPLE / "display_name.py").read_text("utf-8")
    source = re.sub(r"    (catalogue|templates|migrations) = .*\n", "", source)
    (copy / "features" / "display_name.py").write_text(source, "utf-8")
    shutil.copytree(EXAMPLE / "templates", copy / "templates", dirs_exist_ok=True)
    number = f"{int(schema.newest()) + 1:04}"
    migration = (EXAMPLE / "migrations" / "0001_display_name.py").read_text("utf-8")
    migration = migration.replace('"0001"', f'"{number}"').replace("None", f'"{schema.newest()}"')
    (copy / "migrations" / "versions" / f"{number}_display_name.py").write_text(migration, "utf-8")
    auth = (copy / "auth.py").read_text("utf-8")
    for pattern, added in (
        (
            r"(?=from bienvenue\.features\.)",
            "from bienvenue.features.display_name import DisplayNames\n",
        ),
        (r"(?<=,\n)(?=\)\n\n\ndef named)", "    DisplayNames,\n"),
        (
            r"(?= +self\.settings\.refuse_unknown)",
            "        self.display_name = self.use(DisplayNames)\n",
        ),
    ):
        auth, changes = re.subn(pattern, added, auth, count=1)
        assert changes == 1, pattern
    (copy / "auth.py").write_text(auth, "utf-8")
    environment = {
        "PYTHONPATH": str(tmp_path),
        "BIENVENUE_INSTANCE": str(tmp_path / "instance"),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", f"import bienvenue\n{JOURNEY}\nprint(bienvenue.__file__)"]
    ran = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, str(copy / "__init__.py")), ran.stderr
    assert [path.name for path, was in before.items() if path.read_bytes() != was] == ["auth.py"]
