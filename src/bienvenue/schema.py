"""The schema of the database: which version it has, and the migration to the current one.

Alembic runs through its API, from inside the package, with a version table of its own. Two nodes
that start at once don't collide: SQLite migrates in one IMMEDIATE transaction, PostgreSQL in one
transaction under an advisory lock. A migration that is killed leaves the earlier version.
"""

import enum
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection, String, column, inspect, select, table, text

from bienvenue.db import DB, DatabaseUnavailable
from bienvenue.user import Base

VERSION_TABLE = "bienvenue_alembic_version"
_LOCK = 0x6269656E76656E75
_MIGRATIONS = resources.files("bienvenue") / "migrations"

Folders = Mapping[str, Path]
"""The folders of migrations that features bring, by feature."""

_NONE: Folders = MappingProxyType({})


class SchemaProblem(Exception):
    """The service cannot use the database in its state; the message says what to do."""


class NotMigrated(SchemaProblem):
    """The database waits for `bienvenue db upgrade`."""


class MigratedFurther(SchemaProblem):
    """A later version of the service has migrated the database."""


class DatabaseNotReady(DatabaseUnavailable):
    """A request asked the database of an application before it was migrated."""


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
    return _versions(_MIGRATIONS / "versions")


def _versions(folder: Traversable) -> list[str]:
    names = [file.name for file in folder.iterdir()]
    return sorted(name.partition("_")[0] for name in names if name[0].isdigit())


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


def _version(connection: Connection, version_table: str = VERSION_TABLE) -> str | None:
    if not inspect(connection).has_table(version_table):
        return None
    query = select(column("version_num", String)).select_from(table(version_table))
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


def _table_of(feature: str) -> str:
    """Return the version table of a feature.

    A table of its own: a program that opens no such feature still knows its own version.
    """
    return f"bienvenue_{feature}_version"


def _pending(connection: Connection, features: Folders) -> list[str]:
    """Return the features whose tables are not of their newest version."""
    return [
        name
        for name, folder in features.items()
        if _version(connection, _table_of(name)) != _versions(folder)[-1]
    ]


def pending(db: DB, features: Folders) -> list[str]:
    """Return the features whose tables are not of this program's version.

    All of them while the database is not of the service's version. Raises DatabaseUnavailable.
    """
    if state(db) is not State.CURRENT:
        return list(features)
    with db.connect(writes=False) as connection:
        return _pending(connection, features)


def _is_current(db: DB, features: Folders) -> bool:
    if state(db) is not State.CURRENT:
        return False
    with db.connect(writes=False) as connection:
        return not _pending(connection, features)


def upgrade(db: DB, features: Folders = _NONE) -> str:
    """Migrate a database, with the tables of these features, and return the service's version.

    Raises SchemaProblem, and then changes nothing, and DatabaseUnavailable.
    """
    if _is_current(db, features):
        return newest()
    db.make_room()
    with db.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _refuse(_state(connection))
        _migrate(connection, _MIGRATIONS / "versions", VERSION_TABLE)
        for name, folder in features.items():
            _migrate(connection, folder, _table_of(name))
    return newest()


def _migrate(connection: Connection, folder: Traversable, version_table: str) -> None:
    # Alembic takes as long to import as everything else together; only a migration needs it.
    from alembic import command  # noqa: PLC0415 (as above)
    from alembic.config import Config  # noqa: PLC0415 (as above)

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes |= {"connection": connection, "version_table": version_table}
    command.upgrade(config, "head")


def require_current(db: DB, features: Folders = _NONE) -> None:
    """Raise SchemaProblem unless the database has exactly the versions of this program.

    It is NotMigrated where an upgrade is all that is missing.
    """
    found = state(db)
    _refuse(found)
    if found is not State.CURRENT:
        raise NotMigrated(
            f"the database is {found.value}: run `bienvenue db upgrade` to bring it to version "
            f"{newest()}"
        )
    behind = pending(db, features) if features else []
    if behind:
        raise NotMigrated(
            f"the tables of {', '.join(behind)} are not of this program's version: run "
            "`bienvenue db upgrade`"
        )


def _refuse(found: State) -> None:
    if found is State.FOREIGN:
        raise SchemaProblem(
            "the database has a table called users, or of another of our names, that is not ours; "
            "give the service a database of its own with BIENVENUE_DATABASE_URL"
        )
    if found is State.AHEAD:
        raise MigratedFurther(
            "the database was written by a later version of the service; run that version, or "
            "restore the copy made before it was upgraded"
        )
