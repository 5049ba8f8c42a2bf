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
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.schema import CreateSchema

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
    #: Without our tables where the settings look for them, and with tables of ours elsewhere.
    ELSEWHERE = "elsewhere"


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
    if state(db) in {State.EMPTY, State.ELSEWHERE}:
        return None
    with db.connect(writes=False) as connection:
        return _version(connection, _versions_of(db))


def _versions_of(db: DB, feature: str | None = None) -> str:
    """Return the version table of the service, or of a feature.

    A feature has its own: a program that opens no such feature still knows its own version.
    """
    own = VERSION_TABLE if feature is None else f"bienvenue_{feature}_version"
    return f"{db.table_prefix}{own}"


def _version(connection: Connection, version_table: str) -> str | None:
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
        return _state(db, connection)


def _state(db: DB, connection: Connection) -> State:
    found = _version(connection, _versions_of(db))
    if found is None:
        existing = set(inspect(connection).get_table_names())
        if existing & {f"{db.table_prefix}{name}" for name in Base.metadata.tables}:
            return State.FOREIGN
        return State.ELSEWHERE if _elsewhere(db, connection) else State.EMPTY
    if found not in versions():
        return State.AHEAD
    return State.CURRENT if found == newest() else State.BEHIND


def _elsewhere(db: DB, connection: Connection) -> list[str]:
    """Return where in the database there are tables of ours, which the settings do not name."""
    if not db.on_postgresql:
        existing = inspect(connection).get_table_names()
        found = [("", name) for name in existing if name.endswith(VERSION_TABLE)]
    else:
        every = text(
            "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid ="
            " relnamespace WHERE relkind = 'r' AND right(relname, :length) = :name ORDER BY 1, 2"
        )
        named = {"name": VERSION_TABLE, "length": len(VERSION_TABLE)}
        found = [(row.nspname, row.relname) for row in connection.execute(every, named)]
    return [_place(schema, name.removesuffix(VERSION_TABLE)) for schema, name in found]


def _place(schema: str, prefix: str) -> str:
    """Say where tables of ours are."""
    before = f"with the prefix {prefix}" if prefix else "without a prefix"
    return f"{before} in the schema {schema}" if schema else before


def _pending(db: DB, connection: Connection, features: Folders) -> list[str]:
    """Return the features whose tables are not of their newest version."""
    return [
        name
        for name, folder in features.items()
        if _version(connection, _versions_of(db, name)) != _versions(folder)[-1]
    ]


def pending(db: DB, features: Folders) -> list[str]:
    """Return the features whose tables are not of this program's version.

    All of them while the database is not of the service's version. Raises DatabaseUnavailable.
    """
    if state(db) is not State.CURRENT:
        return list(features)
    with db.connect(writes=False) as connection:
        return _pending(db, connection, features)


def _is_current(db: DB, features: Folders) -> bool:
    if state(db) is not State.CURRENT:
        return False
    with db.connect(writes=False) as connection:
        return not _pending(db, connection, features)


def upgrade(db: DB, features: Folders = _NONE, *, beside: bool = False) -> str:
    """Migrate a database, with the tables of these features, and return the service's version.

    With `beside`, tables of ours may stand there under another prefix or schema. Raises
    SchemaProblem, and then changes nothing, and DatabaseUnavailable.
    """
    if _is_current(db, features):
        return newest()
    db.make_room()
    with db.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _state(db, connection)
        if not (beside and found is State.ELSEWHERE):
            _refuse(db, found)
        _make_schema(db, connection)
        # Operations of Alembic name tables in full, as what they create is named.
        plain = connection.execution_options(schema_translate_map=None)
        _migrate(db, plain, _MIGRATIONS / "versions")
        for name, folder in features.items():
            _migrate(db, plain, folder, name)
    return newest()


def _make_schema(db: DB, connection: Connection) -> None:
    """Create the schema of PostgreSQL that the settings name, if there is none."""
    there = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
    if not db.schema or connection.scalar(there, {"name": db.schema}):
        return
    try:
        with connection.begin_nested():
            connection.execute(CreateSchema(db.schema))
    except ProgrammingError:
        role = connection.scalar(text("SELECT quote_ident(current_user)"))
        raise SchemaProblem(
            f"there is no schema {db.schema}, and this role may not create it: let an "
            f"administrator run CREATE SCHEMA {db.schema} AUTHORIZATION {role}"
        ) from None


def _migrate(
    db: DB, connection: Connection, folder: Traversable, feature: str | None = None
) -> None:
    # Alembic takes as long to import as everything else together; only a migration needs it.
    from alembic import command  # noqa: PLC0415 (as above)
    from alembic.config import Config  # noqa: PLC0415 (as above)

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes |= {
        "connection": connection,
        "version_table": _versions_of(db, feature),
        "table_prefix": db.table_prefix,
    }
    command.upgrade(config, "head")


def require_current(db: DB, features: Folders = _NONE) -> None:
    """Raise SchemaProblem unless the database has exactly the versions of this program.

    It is NotMigrated where an upgrade is all that is missing.
    """
    found = state(db)
    _refuse(db, found)
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


def _refuse(db: DB, found: State) -> None:
    if found is State.FOREIGN:
        raise SchemaProblem(
            f"the database has a table called {db.table_prefix}users, or of another of our names, "
            "that is not ours; give the service a database of its own with "
            "BIENVENUE_DATABASE_URL, or its tables a prefix with BIENVENUE_TABLE_PREFIX"
        )
    if found is State.AHEAD:
        raise MigratedFurther(
            "the database was written by a later version of the service; run that version, or "
            "restore the copy made before it was upgraded"
        )
    if found is State.ELSEWHERE:
        with db.connect(writes=False) as connection:
            others = ", and ".join(_elsewhere(db, connection))
        raise NotMigrated(
            f"the tables of the service are here {others}, and the settings look for them "
            f"{_place(db.schema, db.table_prefix)}: correct BIENVENUE_TABLE_PREFIX and "
            "BIENVENUE_DATABASE_SCHEMA; for a second service of its own in this database, run "
            "`bienvenue db upgrade --beside`"
        )
