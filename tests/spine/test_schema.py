"""schema: how a database gets to our version, and which ones are refused."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import alembic.op
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from bienvenue import DB, Auth, create_app, schema
from bienvenue.schema import SchemaProblem, State
from bienvenue.settings import Settings
from bienvenue.user import Base
from tests.conftest import KEY, MakeService
from tests.databases import KINDS, Databases
from tests.races import race

pytestmark = pytest.mark.statements

MIGRATIONS = resources.files("bienvenue") / "migrations"


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """The URL of a database without a table."""
    made = databases.fresh(request.param, migrated=False)
    yield made
    databases.drop(made)


@pytest.fixture
def database(url: str) -> str:
    """The same database, for a service on it: no other one is made."""
    return url


@pytest.fixture
def db(url: str) -> Iterator[DB]:
    """A DB on an empty database."""
    made = DB(url)
    yield made
    made.close()


def tables(db: DB) -> set[str]:
    """Every table there is, but those SQLite keeps for itself."""
    with db.connect(writes=False) as connection:
        return {name for name in inspect(connection).get_table_names() if "sqlite" not in name}


def upgrade_to(db: DB, version: str) -> None:
    """Bring a database to an earlier version, as an earlier release did."""
    with db.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes |= {
            "connection": connection.execution_options(schema_translate_map=None),
            "table_prefix": db.table_prefix,
            "version_table": f"{db.table_prefix}{schema.VERSION_TABLE}",
        }
        command.upgrade(config, version)


def add_user_of_before(db: DB, email: str) -> tuple[int, str]:
    """Add a user as versions up to 0013 did; give the id and the public name."""
    written = (
        "INSERT INTO users (email, hashed_password, uid, created) VALUES (:email, 'hash', :uid, 1)"
    )
    uid = str(uuid.uuid4())
    with db.connect() as connection:
        connection.execute(text(written), {"email": email, "uid": uid})
        return connection.scalar(text("SELECT max(id) FROM users")) or 0, uid


def test_an_empty_database_gets_every_table(db: DB) -> None:
    """And says which version it has, before and after."""
    assert (schema.version(db), schema.state(db)) == (None, State.EMPTY)
    assert schema.upgrade(db) == schema.newest()
    assert (schema.version(db), schema.state(db)) == (schema.newest(), State.CURRENT)
    assert tables(db) == {*Base.metadata.tables, schema.VERSION_TABLE}
    schema.require_current(db)


def test_upgrading_twice_is_harmless(db: DB) -> None:
    """What is stored stays as it is."""
    schema.upgrade(db)
    bob = db.add_user("bob@example.com", "hash")
    assert schema.upgrade(db) == schema.newest()
    assert db.find_user_by(id=bob.id).uid == bob.uid


def test_an_earlier_version_is_brought_to_ours_with_what_it_holds(db: DB) -> None:
    """Behind, it is refused with what to do; upgraded, it is current."""
    upgrade_to(db, "0001")
    user_id, _ = add_user_of_before(db, "bob@example.com")
    assert (schema.version(db), schema.state(db)) == ("0001", State.BEHIND)
    with pytest.raises(SchemaProblem, match="behind: run `bienvenue db upgrade`"):
        schema.require_current(db)
    schema.upgrade(db)
    assert schema.state(db) is State.CURRENT
    assert db.find_user_by(id=user_id).email == "bob@example.com"


def test_accounts_of_before_have_verified_nothing(
    db: DB, url: str, make_service: MakeService
) -> None:
    """No one asked them; everything else of theirs stays, and an email to them is found."""
    upgrade_to(db, "0008")
    bob, _ = add_user_of_before(db, "bob@example.com")
    with db.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO mail (uid, at, kind, user_id, email, facts, state, due, tries)"
                " VALUES ('uid', 1, 'reset', :bob, 'bob@example.com', '{}', 'sent', 1, 1)"
            ),
            {"bob": bob},
        )
    schema.upgrade(db)
    auth = make_service(database_url=url).auth
    assert auth.registration.verified_at(bob) is None
    assert (auth.registration.list(), list(auth.invitations.list())) == ([], [])
    assert auth.mail.find("uid").email == "bob@example.com"


def test_the_tables_are_those_of_the_models(db: DB) -> None:
    """Alembic finds no difference between what was migrated and what is declared."""
    schema.upgrade(db)
    with db.connect(writes=False) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_a_version_is_named_as_its_file(db: DB) -> None:
    """One line of versions without branches, each in a file that begins with its number."""
    del db
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [script.revision for script in reversed(scripts)] == schema.versions()
    for script in scripts:
        assert script.path.rpartition("/")[2].startswith(f"{script.revision}_")
        assert script.doc


@pytest.mark.parametrize("earlier", [None, "0001"])
def test_a_migration_that_dies_leaves_the_earlier_version(
    db: DB, monkeypatch: pytest.MonkeyPatch, earlier: str | None
) -> None:
    """The table was made already and is gone again; the next attempt finds what was there."""
    if earlier is not None:
        upgrade_to(db, earlier)
    before = tables(db)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(alembic.op, "create_index", die)
        with pytest.raises(KeyboardInterrupt):
            schema.upgrade(db)
    assert (schema.version(db), tables(db)) == (earlier, before)
    assert schema.upgrade(db) == schema.newest()


def test_eight_threads_that_upgrade_at_once_do_not_collide(url: str) -> None:
    """Each has connections of its own, as nodes have."""
    dbs = [DB(url) for _ in range(8)]
    assert race(lambda n: schema.upgrade(dbs[n]), 8) == [schema.newest()] * 8
    assert schema.state(dbs[0]) is State.CURRENT
    for each in dbs:
        each.close()


@pytest.mark.slow
@pytest.mark.thorough
def test_three_processes_that_upgrade_at_once_do_not_collide(url: str) -> None:
    """One migrates, the others wait and find it done."""
    program = (
        "import sys; from bienvenue import DB, schema; sys.stdin.read(1); "
        "print(schema.upgrade(DB(sys.argv[1])))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate("x", 60) for process in running]
    assert said == [(schema.newest() + "\n", "")] * 3


def test_users_of_someone_else_are_refused_and_not_touched(
    db: DB, url: str, make_service: MakeService
) -> None:
    """By the upgrade, by the check, and by the application that would start."""
    with db.connect() as connection:
        connection.execute(text("CREATE TABLE users (name VARCHAR(20))"))
        connection.execute(text("INSERT INTO users VALUES ('somebody')"))
    assert schema.state(db) is State.FOREIGN
    for refused in (
        lambda: schema.upgrade(db),
        lambda: schema.require_current(db),
        lambda: make_service(database_url=url),
    ):
        with pytest.raises(SchemaProblem, match=r"a table called users, .* that is not ours"):
            refused()
    with db.connect(writes=False) as connection:
        assert connection.execute(text("SELECT * FROM users")).all() == [("somebody",)]
    assert tables(db) == {"users"}


def test_a_later_version_is_refused_and_not_touched(db: DB) -> None:
    """An old release does not work on what a new one wrote."""
    schema.upgrade(db)
    with db.connect() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    assert schema.state(db) is State.AHEAD
    for refused in (schema.upgrade, schema.require_current):
        with pytest.raises(SchemaProblem, match="later version of the service"):
            refused(db)
    assert schema.version(db) == "9999"


def test_an_application_does_not_start_on_an_empty_database(
    db: DB, url: str, make_service: MakeService
) -> None:
    """It says what to do, and makes no table by itself."""
    with pytest.raises(SchemaProblem, match="empty: run `bienvenue db upgrade`"):
        make_service(database_url=url)
    assert tables(db) == set()


def test_an_application_does_not_start_where_no_file_is(tmp_path: Path) -> None:
    """And makes none: a file made in passing would be everybody's to read."""
    with pytest.raises(SchemaProblem, match="bienvenue db upgrade"):
        create_app(instance=tmp_path / "instance")
    assert not (tmp_path / "instance" / "bienvenue.db").exists()


def test_an_application_starts_while_its_database_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says 503 and recovers by itself; a warning stands in the log."""
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    app = create_app(
        database_url="postgresql://nobody@127.0.0.1:1/nowhere", secret_key_file=keys, bcrypt_cost=4
    )
    assert app.test_client().get("/readyz").status_code == 503
    assert "the database cannot answer yet" in caplog.text
    app.extensions["bienvenue"].auth.close()


def test_an_account_of_before_changes_its_email_after_the_upgrade(db: DB, url: str) -> None:
    """The rows of version 0010 stay, and the tables of changes and undos begin empty."""
    upgrade_to(db, "0010")
    bob, uid = add_user_of_before(db, "bob@example.com")
    with db.connect() as connection:
        asked = {"user": bob, "digest": "ab" * 32}
        connection.execute(text("UPDATE users SET reset_token = :digest WHERE id = :user"), asked)
        statement = (
            "INSERT INTO resets (user_id, email, expires) VALUES (:user, 'bob@example.com', 5)"
        )
        connection.execute(text(statement), asked)
    schema.upgrade(db)
    with db.connect(writes=False) as connection:
        kept = "SELECT purpose, sent_to, expires_at FROM one_time_tokens"
        rows = [tuple(row) for row in connection.execute(text(kept)).all()]
        assert rows == [("password_reset", "bob@example.com", 5.0)]
    auth = Auth(DB(url), Settings({}))
    assert auth.accounts.find("bob@example.com").uid == uid
    auth.accounts.refuse_reserved("bob@example.com")
    auth.close()
