"""DB: the three methods of the exercise, and the only place that commits.

`add_user`, `find_user_by` and `update_user` commit by themselves, or join an open `transaction()`.
Everything else in the service writes inside `transaction()`.
"""

import functools
import importlib
import logging
import os
import random
import re
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar, cast

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Select,
    Table,
    UpdateBase,
    bindparam,
    create_engine,
    event,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    NoResultFound,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from bienvenue import table_names
from bienvenue.settings import PREFIX, Settings, SettingsProblem
from bienvenue.user import User

PATIENCE = 5.0
"""Seconds to wait for a lock, a connection or a place in the pool before an answer of 503."""

_MOST_ROWS = 10_000
"""Unchanging rows of a kind that a process keeps."""

_NAME = f"{PREFIX}DATABASE_URL"
_BEGINNING = "bienvenue_beginning"
"""The name under which a connection to a pooler has the statements of each transaction's start."""

_TRIES = 6
_RETRIED = {"40001", "40P01"}
LOGGED_AS = "bienvenue"
# SQLAlchemy hides parameters when told to, and at DEBUG still logs every row it reads.
logging.getLogger(f"sqlalchemy.engine.Engine.{LOGGED_AS}").addFilter(
    lambda record: not str(record.msg).startswith("Row ")
)
#: Whether the current code runs inside a `retried` operation, which runs again as a whole.
_in_retried: ContextVar[bool] = ContextVar("retried", default=False)

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseUnavailable(Exception):
    """The database is locked, read-only, full or unreachable; the operation was rolled back."""


class Transaction(Session):
    """A session that only `DB.transaction` commits; `after_commit` has what runs afterwards."""

    def __init__(self, connection: Connection) -> None:
        """Open on a connection whose transaction belongs to the DB."""
        super().__init__(bind=connection, expire_on_commit=False, autoflush=True)
        self.after_commit: list[Callable[[], None]] = []

    def change(self, statement: UpdateBase, values: Mapping[str, Any] | None = None) -> int:
        """Run one conditional UPDATE or DELETE and return how many rows it matched."""
        result = self.execute(statement, values, execution_options={"synchronize_session": False})
        return cast("CursorResult[Any]", result).rowcount


class _Kept:
    """A connection that belongs to one thread and is closed when the thread ends."""

    def __init__(self, connection: Any, beginning: tuple[str, ...]) -> None:
        self.connection = connection
        self._beginning = beginning
        self._process = os.getpid()

    def row(self, statement: str, values: Mapping[str, Any]) -> Any:
        """Run a SELECT and return its first row or None."""
        if not self._beginning:
            return self.connection.execute(statement, values).fetchone()
        # Three ways there and back. PgBouncer 1.18 loses messages that do not wait for each answer:
        # in one of eight runs it gave two clients no session any more.
        self.connection.execute("; ".join(("BEGIN", *self._beginning)))
        found = self.connection.execute(statement, values).fetchone()
        self.connection.execute("COMMIT")
        return found

    def close(self) -> None:
        if self._process != os.getpid():
            _inherited.append(self.connection)
            return
        with suppress(Exception):
            self.connection.close()

    __del__ = close


#: What a forked process has from its parent, which uses it on. It is kept here so that nothing
#: closes it: that would end the session of the parent at the server, or its locks of a file.
_inherited: list[object] = []
_open: "weakref.WeakSet[DB]" = weakref.WeakSet()


class DB:
    """The database of the accounts, SQLite or PostgreSQL. Opening it doesn't migrate it."""

    def __init__(self, url: str | None = None, table_prefix: str = "", schema: str = "") -> None:
        """Open the database of a URL, by default that of the settings; connect on first use.

        Our tables have the prefix before their names and stand in the schema of PostgreSQL; both
        come from the settings where the URL does. Raises SettingsProblem for a URL of a database
        that is not supported, and for a schema on SQLite.
        """
        if url is None:
            found = Settings()
            url, table_prefix = found.database_url, found.core.table_prefix
            schema = found.core.database_schema
        self._url = _url(url)
        #: What stands before the name of each of our tables.
        self.table_prefix = table_prefix
        #: The schema of PostgreSQL that has our tables; empty for that of the connection.
        self.schema = schema
        if schema and not self.on_postgresql:
            raise SettingsProblem(f"{PREFIX}DATABASE_SCHEMA: SQLite has no schemas")
        try:
            self._engine = table_names.put_before(_engine(self._url, schema), table_prefix)
        except (ArgumentError, ImportError):
            raise SettingsProblem(
                f"{_NAME}: no driver is here for {self._url.drivername}; that of PostgreSQL comes "
                "with pip install 'bienvenue[postgres]'"
            ) from None
        self._local = threading.local()
        self._all_kept: weakref.WeakSet[_Kept] = weakref.WeakSet()
        self._current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)
        self._snapshot: ContextVar[Session | None] = ContextVar("snapshot", default=None)
        _open.add(self)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Open the database of these settings. Raises SettingsProblem."""
        core = settings.core
        return cls(settings.database_url, core.table_prefix, core.database_schema)

    def lock(self, number: int) -> int:
        """Return the number of an advisory lock for these tables, apart from those beside them."""
        return number ^ zlib.crc32(f"{self.schema}.{self.table_prefix}".strip(".").encode())

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for migrations and checks."""
        return self._engine

    @property
    def on_postgresql(self) -> bool:
        """Whether the database is PostgreSQL; otherwise it is SQLite."""
        return self._url.get_backend_name() == "postgresql"

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database; None for PostgreSQL."""
        return Path(str(self._url.database)) if self._engine.dialect.name == "sqlite" else None

    @property
    def pooled(self) -> bool:
        """Whether a pooler such as PgBouncer answers for PostgreSQL. Raises DatabaseUnavailable."""
        with self.connect(writes=False) as connection:
            return _BEGINNING in connection.info

    def make_room(self) -> None:
        """Create the folder (0700) and the file (0600) of a SQLite database.

        A connection never creates them, because all users of the machine could read them then.
        Raises SettingsProblem.
        """
        if self.file is None:
            return
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise SettingsProblem(
                f"cannot open the database {self.file}: {error.strerror}"
            ) from None

    def add_user(self, email: str, hashed_password: str) -> User:
        """Save a new user and return it. Raises IntegrityError when the email is taken."""
        user = User(email=email, hashed_password=hashed_password)
        with self.transaction() as tx:
            tx.add(user)
            tx.flush()
        return user

    def find_user_by(self, **criteria: Any) -> User:
        """Return the first user whose columns equal the criteria; None matches no user.

        Raises NoResultFound when there is none, InvalidRequestError when a name is no column, and
        DatabaseUnavailable.
        """
        for name in criteria:
            if name not in User.__table__.columns:
                raise InvalidRequestError(f"User has no column {name!r}")
        if None in criteria.values():
            raise NoResultFound("None is nobody's email, session or token")
        try:
            with self.reading() as tx:
                return tx.execute(_finding(*sorted(criteria)), criteria).scalar_one()
        except (DataError, ProgrammingError, OverflowError):
            # A value that the column cannot hold belongs to no user; the databases disagree how.
            raise NoResultFound("no user has a value of this kind") from None

    def update_user(self, user_id: int, **values: Any) -> None:
        """Set columns of one user.

        Raises ValueError when a name is no column, NoResultFound when there is no such user.
        """
        for name in values:
            if name not in User.__table__.columns:
                raise ValueError(f"User has no column {name!r}")
        with self.transaction() as tx:
            user = self.find_user_by(id=user_id)
            for name, value in values.items():
                setattr(user, name, value)
            tx.flush()

    @contextmanager
    def transaction(self, *, patient: bool = True) -> Iterator[Transaction]:
        """Open a transaction that writes, or join the open one.

        It begins with its first statement and is committed at the end of the outermost block; an
        exception rolls back all of it. With `patient` False it fails at once instead of waiting up
        to PATIENCE seconds for a lock. Raises DatabaseUnavailable.
        """
        current = self._current.get()
        if current is not None:
            yield current
            return
        with self.connect(True, patient) as connection, Transaction(connection) as tx:
            token = self._current.set(tx)
            try:
                yield tx
                _commit(tx, connection)
            finally:
                self._current.reset(token)
        for callback in tx.after_commit:
            callback()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads, or join the open transaction.

        Raises DatabaseUnavailable.
        """
        current = self._current.get() or self._snapshot.get()
        if current is not None:
            yield current
            return
        with self.connect(False, True) as connection, Transaction(connection) as tx:
            yield tx

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let every `reading` of the block join one transaction, which begins and ends with it.

        Nothing in the block may write: that takes a second connection. Raises DatabaseUnavailable.
        """
        with self.reading() as tx:
            token = self._snapshot.set(tx)
            try:
                yield
            finally:
                self._snapshot.reset(token)

    def fetch_row(self, statement: str, values: Mapping[str, Any]) -> Any:
        """Run one SELECT on the connection of this thread; return its first row or None.

        The statement has tables as `{users}` and values as `:digest`. It is prepared once, needs no
        place in the pool, and reads committed data. Raises DatabaseUnavailable.
        """
        styled = table_names.written(statement, self.table_prefix)
        styled = _named(styled) if self.on_postgresql else styled
        driver = self._engine.dialect.loaded_dbapi
        try:
            return self._kept().row(styled, values)
        except driver.Error:
            # The server may have closed the connection: try once more on a new one.
            self._local.__dict__.clear()
        try:
            return self._kept().row(styled, values)
        except driver.Error as error:
            self._local.__dict__.clear()
            raise DatabaseUnavailable(type(error).__name__) from error

    def _kept(self) -> _Kept:
        if not hasattr(self._local, "kept"):
            pooled = self._engine.raw_connection()
            beginning = pooled.info.get(_BEGINNING, ())
            pooled.detach()
            connection: Any = pooled.dbapi_connection
            if self.on_postgresql:
                connection.autocommit = True
                connection.prepare_threshold = None if beginning else 0
            self._local.kept = _Kept(connection, beginning)
            self._all_kept.add(self._local.kept)
        return cast("_Kept", self._local.kept)

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        for kept in list(self._all_kept):
            kept.close()
        self._local = threading.local()
        self._engine.dispose()

    def before_fork(self) -> None:
        """Close what is idle of a SQLite file.

        A forked process would take its parent's locks of the file for its own, and go on without
        any (https://sqlite.org/howtocorrupt.html section 2.6).
        """
        if self.file is not None:
            self._local.__dict__.clear()
            self._engine.dispose()

    def forget_inherited(self) -> None:
        """Forget, in a forked process, the connections of its parent without closing any."""
        _inherited.extend([self._engine.pool, *self._all_kept])
        self._all_kept = weakref.WeakSet()
        self._local = threading.local()
        self._engine.dispose(close=False)

    @contextmanager
    def connect(self, writes: bool = True, patient: bool = True) -> Iterator[Connection]:
        """Open a connection and, if it writes, commit at the end. Raises DatabaseUnavailable."""
        try:
            with self._engine.connect() as connection:
                yield connection.execution_options(
                    bienvenue_writes=writes, bienvenue_patient=patient
                )
                if writes:
                    connection.commit()
        except PoolTimeout as error:
            raise DatabaseUnavailable("no connection was free") from error
        except DBAPIError as error:
            if isinstance(error, IntegrityError) or _state(error) in _RETRIED:
                raise
            if _is_outage(error):
                raise DatabaseUnavailable(str(error.orig)) from error
            raise


class UnchangingRows(dict[bytes, Any]):
    """Rows whose values never change, by digest, read once by a process.

    A check then reads only what can change, and the database says each time whether a row is live.
    """

    def __init__(self, db: DB, statement: str) -> None:
        """Take the SELECT that reads the row of a `digest`."""
        super().__init__()
        self._db = db
        self._statement = statement

    def of(self, digest: bytes) -> Any:
        """Return the row, or None when it is gone. Raises DatabaseUnavailable."""
        found = self.get(digest)
        if found is None:
            found = self._db.fetch_row(self._statement, {"digest": digest})
            if len(self) >= _MOST_ROWS:
                self.clear()
            if found is not None:
                self[digest] = found
        return found


def _commit(tx: Transaction, connection: Connection) -> None:
    """Commit. SQLite keeps a transaction open whose commit failed, so its connection is closed."""
    try:
        tx.commit()
    except DBAPIError:
        connection.invalidate()
        raise


def _before_fork() -> None:
    for db in _open:
        db.before_fork()


def _after_fork() -> None:
    for db in _open:
        db.forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def retried(operation: Callable[P, T]) -> Callable[P, T]:
    """Run an operation again when the database reports a conflict of two transactions.

    Use it for operations that are one transaction and nothing else: no hash, no network. A nested
    operation is retried as part of the outer one. PostgreSQL reports a conflict on a deadlock,
    CockroachDB on any serialisation failure, SQLite never. Raises DatabaseUnavailable after six
    tries.
    """

    @functools.wraps(operation)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if _in_retried.get():
            return operation(*args, **kwargs)
        token = _in_retried.set(True)
        try:
            return _tried(lambda: operation(*args, **kwargs))
        finally:
            _in_retried.reset(token)

    return run


def _tried(operation: Callable[[], T]) -> T:
    tries = 0
    while True:
        try:
            return operation()
        except DBAPIError as error:
            if _state(error) not in _RETRIED:
                raise
            tries += 1
            if tries == _TRIES:
                raise DatabaseUnavailable("transactions kept crossing") from error
            time.sleep(random.uniform(0, 0.02 * 2**tries))  # noqa: S311 (a pause, no secret)


def upsert(table: Table, on_postgresql: bool) -> Any:
    """Return an INSERT into `table` that supports ON CONFLICT, in the dialect of the database."""
    name = "postgresql" if on_postgresql else "sqlite"
    # Importing the dialect of PostgreSQL takes a while, so a service on SQLite doesn't.
    return importlib.import_module(f"sqlalchemy.dialects.{name}").insert(table)


@functools.cache
def _finding(*names: str) -> Select[User]:
    """Build the query by these columns once, because building it takes longer than running it."""
    wanted = (getattr(User, name) == bindparam(name) for name in names)
    return select(User).where(*wanted).order_by(User.id).limit(1)


@functools.cache
def _named(statement: str) -> str:
    """Replace `:name` by psycopg's `%(name)s`."""
    return re.sub(r":(\w+)", r"%(\1)s", statement)


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _is_outage(error: DBAPIError) -> bool:
    """Return whether the database is unavailable (503), rather than the statement wrong (500)."""
    state = _state(error)
    if state is not None:
        # 08 connection, 25006 read-only, 42501 no privilege, 53 resources, 55P03 lock, 57 operator:
        # appendix A of the PostgreSQL manual.
        return state[:2] in {"08", "53", "57"} or state in {"25006", "42501", "55P03"}
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    if name:
        return name.split("_")[1] in {
            "BUSY", "LOCKED", "READONLY", "FULL", "IOERR", "CANTOPEN", "CORRUPT", "NOTADB"
        }  # fmt: skip
    return error.connection_invalidated or type(error.orig).__name__ == "OperationalError"


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsProblem(f"{_NAME}: this is no URL of a database") from None
    if url.drivername in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise SettingsProblem(f"{_NAME}: SQLite in memory is one database a thread; name a file")
    return url


def _engine(url: URL, schema: str) -> Engine:
    shared: dict[str, Any] = {"hide_parameters": True, "pool_timeout": PATIENCE}
    shared["logging_name"] = LOGGED_AS
    if url.get_backend_name() != "sqlite":
        # SQLAlchemy lets these come before the parameters of the URL.
        ours = {} if "connect_timeout" in url.query else {"connect_timeout": int(PATIENCE)}
        engine = create_engine(url, pool_pre_ping=True, connect_args=ours, **shared)
        event.listen(engine, "connect", functools.partial(_on_session, _limits(url, schema)))
    else:
        opening = functools.partial(_open_file, Path(str(url.database)))
        engine = create_engine(url, creator=opening, **shared)
        event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _open_file(file: Path) -> sqlite3.Connection:
    """Open an existing SQLite file: all users of the machine could read a file created here."""
    name = f"{file.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(name, uri=True, timeout=PATIENCE, check_same_thread=False)


def _on_connect(connection: Any, _record: object) -> None:
    # The driver opens no transactions of its own; `_on_begin` does.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _limits(url: URL, schema: str) -> dict[str, str]:
    """Return the time limits of a session of PostgreSQL, and its schema if one is given.

    Options of the URL come before our limits, and the schema before theirs.
    """
    options = str(url.query.get("options", ""))
    milliseconds = int(PATIENCE * 1000)
    limits = {"lock_timeout": milliseconds, "statement_timeout": 4 * milliseconds}
    given = {name: re.search(rf"\b{name}=(\w+)", options) for name in limits}
    found = {name: one[1] if (one := given[name]) else str(limits[name]) for name in limits}
    return found | ({"search_path": schema} if schema else {})


def _on_session(limits: Mapping[str, str], connection: Any, record: Any) -> None:
    """Set the limits of a new session of PostgreSQL, unless a pooler answers for it.

    A pooler may give each transaction another session, so every transaction sets them for itself,
    and none prepares a statement by name: the name may stand for another one there. A pooler makes
    up the number of the process (PostgreSQL 55.2.1, BackendKeyData), and PgBouncer refuses startup
    options, which would set the limits in any case.
    """
    settings = ", ".join(f"set_config('{name}', '{limits[name]}', false)" for name in limits)
    connection.autocommit = True
    direct = connection.execute(
        f"SELECT {settings} WHERE pg_backend_pid() = {connection.info.backend_pid}"
    ).fetchone()
    connection.autocommit = False
    if direct is None:
        record.info[_BEGINNING] = tuple(f"SET LOCAL {name} = '{limits[name]}'" for name in limits)
        connection.prepare_threshold = None


def _on_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    patient = options.get("bienvenue_patient", True)
    if connection.dialect.name == "postgresql":
        if beginning := connection.info.get(_BEGINNING):
            connection.exec_driver_sql("; ".join(beginning))
        if not patient:
            connection.exec_driver_sql("SET LOCAL lock_timeout = 1")
        return
    connection.exec_driver_sql(f"PRAGMA busy_timeout={int(PATIENCE * 1000) if patient else 0}")
    # A deferred transaction that reads and then writes fails at once if another one wrote in
    # between, whatever the busy timeout; IMMEDIATE waits for the lock.
    writes = options.get("bienvenue_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")
