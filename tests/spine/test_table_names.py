"""Our tables under a prefix, and in a schema of PostgreSQL, beside those of another program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url

from bienvenue import DB, Auth, claim, clock, create_app, schema
from bienvenue.authentication import CODE
from bienvenue.checkup import CheckupContext
from bienvenue.checkup.checks import other_schema
from bienvenue.cli import main
from bienvenue.schema import SchemaProblem, State
from bienvenue.settings import Settings, SettingsProblem
from bienvenue.user import Base
from tests.conftest import EMAIL, KEY, PASSPHRASE, Service
from tests.databases import Databases
from tests.features.registrations import SMTP, registered, verify
from tests.journeys.pooler import pooling

pytestmark = pytest.mark.statements

#: The tables of a program that was there first. Names of indexes are those of a whole schema.
THEIRS = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE sessions (id INTEGER PRIMARY KEY, user_id INTEGER)",
    "CREATE INDEX ix_sessions_user_id ON sessions (user_id)",
    "CREATE UNIQUE INDEX pk_preferences ON users (name)",
    "INSERT INTO users VALUES (1, 'theirs')",
)


@dataclass(frozen=True)
class Place:
    """A database with the tables of another program, and where ours are to be."""

    url: str
    table_prefix: str
    database_schema: str

    @cached_property
    def db(self) -> DB:
        """Our tables there; `close` ends its connections."""
        return DB(self.url, self.table_prefix, self.database_schema)

    def settings(self, folder: Path, **more: object) -> dict[str, Any]:
        """The settings of a service there."""
        keys = folder / "keys"
        keys.write_text(KEY)
        given: dict[str, Any] = {
            "database_url": self.url,
            "table_prefix": self.table_prefix,
            "database_schema": self.database_schema,
            "secret_key_file": keys,
            "instance": folder,
            "bcrypt_cost": 4,
        }
        return given | more

    def variables(self, folder: Path) -> dict[str, str]:
        """The same for a command."""
        return {f"BIENVENUE_{n.upper()}": str(v) for n, v in self.settings(folder).items()}


PLACES = [
    ("sqlite", "auth_", ""),
    ("postgresql", "auth_", ""),
    ("postgresql", "", "accounts"),
    ("postgresql", "auth_", "accounts"),
]


@pytest.fixture(params=PLACES, ids="-".join)
def place(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Place]:
    """A database in which another program has tables called users and sessions."""
    kind, prefix, name = request.param
    url = databases.fresh(kind, migrated=False)
    host = DB(url)
    with host.connect() as connection:
        for statement in THEIRS:
            connection.execute(text(statement))
    host.close()
    made = Place(url, prefix, name)
    yield made
    made.db.close()
    databases.drop(url)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """Closes what a test opened."""
    with ExitStack() as stack:
        yield stack


def tables(url: str, name: str | None = None) -> set[str]:
    """Every table of a database, or of one of its schemas."""
    db = DB(url)
    with db.connect(writes=False) as connection:
        found = set(inspect(connection).get_table_names(schema=name or None))
    db.close()
    return found


def signed_in(client: FlaskClient, password: str) -> FlaskClient:
    """Sign in by the form fields of the exercise."""
    answer = client.post("/sessions", data={"email": EMAIL, "password": password})
    assert answer.status_code == 200, answer.text
    return client


def test_everything_works_beside_the_tables_of_another_program(
    place: Place, tmp_path: Path
) -> None:
    """From the migration to the sealed audit log; and theirs are as they were."""
    given = place.settings(tmp_path, **SMTP)
    auth = Auth(settings=Settings({}, **given))
    assert auth.upgrade() == auth.upgrade() == schema.newest()
    auth.require_schema()
    auth.close()
    app = create_app(**given)
    auth = app.extensions["bienvenue"].auth
    service = Service(app, auth, place.url)
    assert verify(service, registered(service), PASSPHRASE).status_code == 201
    browser = signed_in(app.test_client(), PASSPHRASE)
    assert browser.get("/profile").get_json()["email"] == EMAIL
    auth.groups.add(CODE, EMAIL, "staff")
    token = auth.access_tokens.add_for(CODE, EMAIL, "backup", "*").secret
    program = auth.access_tokens.look_up(token)
    assert program is not None
    assert (program.email, auth.groups.committed(program.user_id)) == (EMAIL, ["staff"])
    reset = {"email": EMAIL, "reset_token": auth.get_reset_password_token(EMAIL)}
    changed = browser.put("/reset_password", data=reset | {"new_password": PASSPHRASE[::-1]})
    assert changed.status_code == 200
    signed_in(browser, PASSPHRASE[::-1])
    assert len(browser.get("/sessions").get_json()["sessions"]) == 1
    user = auth.accounts.find(EMAIL)
    assert auth.export(user.id)["groups"] == ["staff"]
    auth.registry.sweep(clock.now() + 10**9)
    assert auth.audit.seal() >= 0
    auth.close()
    done = CliRunner().invoke(main, ["audit", "verify"], env=place.variables(tmp_path))
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(
        main, ["users", "delete", EMAIL, "--yes"], env=place.variables(tmp_path)
    )
    assert done.exit_code == 0, done.output
    host = DB(place.url)
    with host.connect(writes=False) as connection:
        assert connection.execute(text("SELECT * FROM users")).all() == [(1, "theirs")]
        assert connection.execute(text("SELECT * FROM sessions")).all() == []
    host.close()
    ours = {f"{place.table_prefix}{name}" for name in [*Base.metadata.tables, schema.VERSION_TABLE]}
    if place.database_schema:
        assert tables(place.url) == {"users", "sessions"}
        assert tables(place.url, place.database_schema) == ours
    else:
        assert tables(place.url) - {"sqlite_sequence"} == ours | {"users", "sessions"}


def test_settings_that_look_elsewhere_are_a_sentence(
    place: Place, tmp_path: Path, closing: ExitStack
) -> None:
    """No command begins another, empty service beside accounts unless it is asked to."""
    schema.upgrade(place.db)
    other = Place(place.url, "other_", "")
    closing.callback(other.db.close)
    assert (schema.state(other.db), schema.version(other.db)) == (State.ELSEWHERE, None)
    for refused in (schema.require_current, schema.upgrade):
        with pytest.raises(SchemaProblem) as said:
            refused(other.db)
        there = "with the prefix auth_" if place.table_prefix else "without a prefix"
        assert f"are here {there}" in str(said.value)
        assert "the settings look for them with the prefix other_" in str(said.value)
        if "postgresql" in place.url:
            assert f"in the schema {place.database_schema or 'public'}" in str(said.value)
    auth = Auth(settings=Settings({}, **other.settings(tmp_path)))
    closing.callback(auth.close)
    finding = other_schema(CheckupContext(auth, other.db))
    assert (
        finding == "The tables of the service are under another prefix or schema of this database."
    )
    environ = other.variables(tmp_path)
    done = CliRunner().invoke(main, ["db", "upgrade"], env=environ)
    assert (done.exit_code, "bienvenue db upgrade --beside" in done.output) == (1, True)
    done = CliRunner().invoke(main, ["db", "upgrade", "--beside"], env=environ)
    assert (done.exit_code, done.output) == (
        0, f"the database has version {schema.newest()}\n"
    )  # fmt: skip
    place.db.add_user(EMAIL, "!")
    other.db.add_user(EMAIL, "!")
    assert [schema.state(each.db) for each in (place, other)] == [State.CURRENT, State.CURRENT]


def test_a_table_of_theirs_that_has_the_prefix_is_foreign(place: Place, closing: ExitStack) -> None:
    """The sentence names it as it would be called, and the setting that avoids it."""
    bare = Place(place.url, "", "")
    closing.callback(bare.db.close)
    with pytest.raises(SchemaProblem, match=r"a table called users.* BIENVENUE_TABLE_PREFIX"):
        schema.upgrade(bare.db)
    with place.db.connect() as connection:
        if place.database_schema:
            connection.execute(text(f"CREATE SCHEMA {place.database_schema}"))
        connection.execute(text(f"CREATE TABLE {place.table_prefix}users (id INTEGER)"))
    with pytest.raises(SchemaProblem, match=f"called {place.table_prefix}users, or"):
        schema.upgrade(place.db)


def test_a_command_of_another_prefix_hears_of_the_claim(tmp_path: Path) -> None:
    """The claim of an application names its tables, too."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    mine = Settings({}, database_url=url, table_prefix="auth_")
    assert claim.database_of(mine) == f"{tmp_path / 'shop.db'}, tables auth_*"
    away = "postgresql://localhost/shop"
    settings = Settings({}, database_url=away, database_schema="auth")
    assert claim.database_of(settings) == "shop of PostgreSQL on localhost, schema auth"


def test_no_name_with_the_longest_prefix_is_cut() -> None:
    """PostgreSQL keeps 63 bytes of a name."""
    names = [schema.VERSION_TABLE]
    for table in Base.metadata.tables.values():
        names += [table.name, *(str(index.name) for index in table.indexes)]
        names += [f"uq_{table.name}_{column.name}" for column in table.columns]
        names += [f"fk_{table.name}_{column.name}" for column in table.columns]
    assert max(map(len, names)) + 20 <= 63


def test_sqlite_has_no_schemas(tmp_path: Path) -> None:
    """Said where the database is opened."""
    with pytest.raises(SettingsProblem, match="BIENVENUE_DATABASE_SCHEMA: SQLite has no schemas"):
        DB(f"sqlite:///{tmp_path / 'a.db'}", schema="auth")


def test_db_without_arguments_takes_all_from_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `DB()` of the exercise does."""
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", f"sqlite:///{tmp_path / 'a.db'}")
    monkeypatch.setenv("BIENVENUE_TABLE_PREFIX", "auth_")
    assert (DB().table_prefix, DB().schema) == ("auth_", "")


@pytest.fixture
def postgresql(databases: Databases) -> Iterator[str]:
    """The URL of a database of PostgreSQL without a table."""
    url = databases.fresh("postgresql", migrated=False)
    yield url
    databases.drop(url)


def test_a_schema_that_a_role_may_not_create_is_a_sentence(postgresql: str) -> None:
    """And what an administrator runs; with it, the role migrates."""
    owner = DB(postgresql)
    with owner.transaction() as tx:
        tx.execute(text("CREATE ROLE clerk LOGIN"))
    url = make_url(postgresql).set(username="clerk").render_as_string(hide_password=False)
    clerk = DB(url, schema="accounts")
    with pytest.raises(SchemaProblem, match="there is no schema accounts, and this role") as said:
        schema.upgrade(clerk)
    with owner.transaction() as tx:
        tx.execute(text(str(said.value).partition("administrator run ")[2]))
    assert schema.upgrade(clerk) == schema.newest()
    for each in (clerk, owner):
        each.close()
    clean = DB(postgresql)
    with clean.transaction() as tx:
        tx.execute(text("DROP OWNED BY clerk CASCADE"))
        tx.execute(text("DROP ROLE clerk"))
    clean.close()


def test_options_of_the_url_stand_beside_the_schema(postgresql: str) -> None:
    """A limit of the URL is kept; the setting comes before a search path of the URL."""
    options = "-csearch_path=elsewhere -c lock_timeout=3s"
    url = make_url(postgresql).update_query_dict({"options": options})
    db = DB(url.render_as_string(hide_password=False), schema="accounts")
    asked = ("search_path", "lock_timeout")
    found = [db.fetch_row("SELECT current_setting(:name)", {"name": name})[0] for name in asked]
    assert found == ["accounts", "3s"]
    db.close()


def test_a_pooler_keeps_to_the_schema(postgresql: str, tmp_path: Path) -> None:
    """Each transaction sets it for itself, and the next client of the session has none."""
    with pooling(postgresql, tmp_path) as url:
        db = DB(url, "auth_", "accounts")
        assert db.pooled
        schema.upgrade(db)
        bob = db.add_user(EMAIL, "!")
        assert db.fetch_row("SELECT id FROM {users} WHERE email = :email", {"email": EMAIL}) == (
            bob.id,
        )
        other = DB(url)
        assert other.fetch_row("SELECT current_setting('search_path')", {}) == ('"$user", public',)
        for each in (db, other):
            each.close()


def test_services_of_one_database_have_locks_of_their_own(tmp_path: Path) -> None:
    """Without a prefix the number is the one of earlier versions."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    numbers = [DB(url).lock(7), DB(url, "auth_").lock(7), DB(url, "shop_").lock(7)]
    assert numbers[0] == 7
    assert len(set(numbers)) == 3


MIGRATIONS = {
    "0001_notes": """
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE")),
        sa.Column("kind", sa.String(10), index=True),
    )
    owner = sa.Column("owner", sa.String(36), sa.ForeignKey("users.uid", name="fk_notes_owner"))
    with op.batch_alter_table("notes") as notes:
        notes.add_column(owner)
    op.create_index("ix_notes_owner", "notes", ["owner"])
    op.add_column("notes", sa.Column("at", sa.Double()))
""",
    "0002_papers": """
    with op.batch_alter_table("notes", recreate="always") as notes:
        notes.drop_column("at")
        notes.create_unique_constraint("uq_notes_kind", ["kind"])
    op.rename_table("notes", "papers")
    op.execute(f"INSERT INTO {named('papers')} (id, kind) VALUES (1, 'plan')")
""",
}


@pytest.mark.usefixtures("place")
def test_migrations_of_a_feature_name_its_tables_without_the_prefix(
    place: Place, tmp_path: Path
) -> None:
    """Whichever operation they use; only SQL that is text asks for the name."""
    folder, before = tmp_path / "notes", "None"
    folder.mkdir()
    for name, body in MIGRATIONS.items():
        lines = (
            "import sqlalchemy as sa",
            "from alembic import op",
            "from bienvenue.table_names import named",
            f"revision, down_revision = {name[:4]!r}, {before}",
            f"def upgrade():{body}",
        )
        (folder / f"{name}.py").write_text("\n".join(lines))
        before = repr(name[:4])
    db = place.db
    schema.upgrade(db, {"notes": folder})
    schema.require_current(db, {"notes": folder})
    prefix = place.table_prefix
    with db.connect(writes=False) as connection:
        assert connection.execute(text(f"SELECT id, kind FROM {prefix}papers")).all() == [
            (1, "plan")
        ]
        seen = inspect(connection)
        keys = {
            (*key["constrained_columns"], key["referred_table"], key["options"].get("ondelete"))
            for key in seen.get_foreign_keys(f"{prefix}papers")
        }
        users = f"{prefix}users"
        assert keys == {("user_id", users, "CASCADE"), ("owner", users, None)}
        unique = seen.get_unique_constraints(f"{prefix}papers")
        assert [each["name"] for each in unique] == [f"{prefix}uq_notes_kind"]
        assert seen.has_table(f"{prefix}bienvenue_notes_version")
    db.close()
