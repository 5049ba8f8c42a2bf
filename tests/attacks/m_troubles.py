"""Troubles of a database: each lasts until its block ends, and leaves nothing behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import make_url

from tests.attacks.target import Target

Trouble = Callable[[Target], contextlib.AbstractContextManager[None]]
_WELL = "query_only = OFF\nmax_page_count = 1073741823\n"
_MOST_FILLED = 200


@contextlib.contextmanager
def locked(target: Target) -> Iterator[None]:
    """Another program holds a lock on everything and does not let go."""
    engine = create_engine(target.database, poolclass=NullPool)
    with engine.connect() as connection:
        if _on_sqlite(target):
            # The driver would open a transaction of its own only for a change.
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            tables = ", ".join(sorted(target.dump()))
            connection.execute(text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"))
        yield
        connection.rollback()


@contextlib.contextmanager
def read_only(target: Target) -> Iterator[None]:
    """The database can be read and not written, as a standby or a disk with errors."""
    if _on_sqlite(target):
        with _pragmas(target, "query_only = ON"):
            yield
    else:
        with _altered(
            target, "SET default_transaction_read_only = on", "RESET default_transaction_read_only"
        ):
            yield


@contextlib.contextmanager
def exhausted(target: Target) -> Iterator[None]:
    """SQLite has not one page left; PostgreSQL takes no more connections."""
    if not _on_sqlite(target):
        with _altered(target, "WITH ALLOW_CONNECTIONS false", "WITH ALLOW_CONNECTIONS true"):
            yield
        return
    with _pragmas(target, "max_page_count = 1"):
        for _ in range(_MOST_FILLED):
            crowd = target.newcomer()
            if not target.post("/users", email=crowd.email, password=crowd.password).ok:
                break
        yield


def _on_sqlite(target: Target) -> bool:
    return make_url(target.database).get_backend_name() == "sqlite"


@contextlib.contextmanager
def _pragmas(target: Target, lines: str) -> Iterator[None]:
    file = target.folder / "pragmas"
    file.write_text(lines)
    try:
        yield
    finally:
        file.write_text(_WELL)


@contextlib.contextmanager
def _altered(target: Target, change: str, back: str) -> Iterator[None]:
    """Alter the database from beside it; open connections end, so that new ones feel it."""
    url = make_url(target.database)
    engine = create_engine(
        url.set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        _alter(connection, str(url.database), change)
        try:
            yield
        finally:
            _alter(connection, str(url.database), back)


def _alter(connection: Any, name: str, change: str) -> None:
    connection.execute(text(f"ALTER DATABASE {name} {change}"))
    connection.execute(
        text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
        {"name": name},
    )
