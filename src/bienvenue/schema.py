"""The tables and their migrations: which version a database has, and how it gets to ours.

Alembic runs by its API, from inside the package, with a version table of its own. Two nodes that
start at once do not collide: SQLite migrates in one IMMEDIATE transaction, PostgreSQL in one
transaction under an advisory lock, so a migration that is killed leaves the earlier version.
"""

import enum
from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from bienvenue.db import DB

VERSION_TABLE = "bienvenue_alembic_version"
_LOCK = 0x6269656E76656E75


class SchemaProblem(Exception):
    """The database is not one this version can work with; the message says what to do."""


class State(enum.Enum):
    """What stands in a database."""

    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"
    #: Written by a later version of the service.
    AHEAD = "ahead"
    #: A table called users that is not ours.
    FOREIGN = "foreign"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("bienvenue") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def newest() -> str:
    """Name the version this package brings a database to."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def version(db: DB) -> str | None:
    """Name the version of a database, None when it has none of our tables."""
    with db.connect(writes=False) as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def state(db: DB) -> State:
    """Tell what stands in a database, changing nothing."""
    with db.connect(writes=False) as connection:
        return _state(connection)


def _state(connection: Connection) -> State:
    found = _version(connection)
    if found is None:
        return State.FOREIGN if inspect(connection).has_table("users") else State.EMPTY
    scripts = ScriptDirectory.from_config(_config())
    known = {script.revision for script in scripts.walk_revisions()}
    if found not in known:
        return State.AHEAD
    return State.CURRENT if found == scripts.get_current_head() else State.BEHIND


def upgrade(db: DB) -> str:
    """Bring a database to our version and name it. Raises SchemaProblem, changing nothing."""
    with db.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _refuse(_state(connection))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    return newest()


def require_current(db: DB) -> None:
    """Raise SchemaProblem, with what to do, unless the database has exactly our version."""
    found = state(db)
    _refuse(found)
    if found is not State.CURRENT:
        raise SchemaProblem(
            f"the database is {found.value}: run `bienvenue db upgrade` to bring it to version "
            f"{newest()}"
        )


def _refuse(found: State) -> None:
    if found is State.FOREIGN:
        raise SchemaProblem(
            "the database has a table called users that is not ours; give the service a database "
            "of its own with BIENVENUE_DATABASE_URL"
        )
    if found is State.AHEAD:
        raise SchemaProblem(
            "the database was written by a later version of the service; run that version, or "
            "restore the copy made before it was upgraded"
        )
