"""The schema of the database: which version it has, and the migration to the current one.

Alembic runs through its API, from inside the package, with a version table of its own. Two nodes
that start at once don't collide: SQLite migrates in one IMMEDIATE transaction, PostgreSQL in one
transaction under an advisory lock. A migration that is killed leaves the earlier version.
"""

import enum
from importlib import resources

from sqlalchemy import Connection, String, column, inspect, select, table, text

from bienvenue.db import DB
from bienvenue.user import Base

VERSION_TABLE = "bienvenue_alembic_version"
_LOCK = 0x6269656E76656E75


class SchemaProblem(Exception):
    """The service cannot use the database in its state; the message says what to do."""


class State(enum.Enum):
    """The state of a database, compared with the version of this program."""

    EMPTY = "empty"
    BEHIND = "behind"
    CURRENT = "current"
    #: Written by a later version of the service.
    AHEAD = "ahead"
    #: A table with a name of the service, such as users, that the service did not create.
    FOREIGN = "foreign"


def versions() -> list[str]:
    """Return all versions, oldest first: the numbers of the migration files."""
    files = (resources.files("bienvenue") / "migrations" / "versions").iterdir()
    return sorted(file.name.partition("_")[0] for file in files if file.name[0].isdigit())


def newest() -> str:
    """Return the version to which `upgrade` migrates."""
    return versions()[-1]


def version(db: DB) -> str | None:
    """Return the version of a database; None when it is empty or not of the service.

    Raises DatabaseUnavailable.
    """
    if state(db) is State.EMPTY:
        return None
    with db.connect(writes=False) as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    query = select(column("version_num", String)).select_from(table(VERSION_TABLE))
    return connection.execute(query).scalar()


def state(db: DB) -> State:
    """Return the state of a database; a missing file counts as empty.

    Raises DatabaseUnavailable.
    """
    if db.file is not None and not db.file.exists():
        return State.EMPTY
    with db.connect(writes=False) as connection:
        return _state(connection)


def _state(connection: Connection) -> State:
    found = _version(connection)
    if found is None:
        existing = set(inspect(connection).get_table_names())
        return State.FOREIGN if existing & Base.metadata.tables.keys() else State.EMPTY
    if found not in versions():
        return State.AHEAD
    return State.CURRENT if found == newest() else State.BEHIND


def upgrade(db: DB) -> str:
    """Migrate a database to the newest version and return that version.

    Raises SchemaProblem, and then changes nothing, and DatabaseUnavailable.
    """
    if state(db) is State.CURRENT:
        return newest()
    db.make_room()
    # Alembic takes as long to import as everything else together; only a migration needs it.
    from alembic import command  # noqa: PLC0415 (as above)
    from alembic.config import Config  # noqa: PLC0415 (as above)

    with db.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _refuse(_state(connection))
        config = Config()
        config.set_main_option("script_location", str(resources.files("bienvenue") / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return newest()


def require_current(db: DB) -> None:
    """Raise SchemaProblem unless the database has exactly the version of this program."""
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
            "the database has a table called users, or of another of our names, that is not ours; "
            "give the service a database of its own with BIENVENUE_DATABASE_URL"
        )
    if found is State.AHEAD:
        raise SchemaProblem(
            "the database was written by a later version of the service; run that version, or "
            "restore the copy made before it was upgraded"
        )
