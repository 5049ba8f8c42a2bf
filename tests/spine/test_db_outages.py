"""db: a database that is locked, read-only, full, damaged or away is a 503 and no half row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from bienvenue import DB, Auth, User
from bienvenue.db import DatabaseUnavailable
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.databases import Databases
from tests.features.hearing import users
from tests.ports import free_port

pytestmark = pytest.mark.statements


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a fifth of a second where the service waits five."""
    monkeypatch.setattr("bienvenue.db.PATIENCE", 0.2)


def set_up(service: Service, statement: str) -> None:
    """Say something to the database itself."""
    with service.auth._db.connect() as connection:
        connection.execute(text(statement))
    service.auth.close()


def each_connection(db: DB, pragma: str) -> None:
    """Say a pragma on every connection from here on."""

    def say(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA {pragma}")

    event.listen(db.engine, "connect", say)
    db.close()


@contextmanager
def locked(service: Service) -> Iterator[None]:
    """Someone else holds what a registration needs."""
    other = DB(service.url)
    with other.transaction() as tx:
        if other.engine.dialect.name == "postgresql":
            tx.execute(text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE"))
        else:
            tx.execute(update(User).values(disabled_at=None))
        yield
    other.close()


@contextmanager
def read_only(service: Service) -> Iterator[None]:
    """A replica, or a file that may only be read."""
    db = service.auth._db
    if db.engine.dialect.name == "postgresql":
        name = db.engine.url.database
        set_up(service, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        yield
        return
    each_connection(db, "query_only=ON")
    yield


@contextmanager
def full(service: Service) -> Iterator[None]:
    """No room for one row more: SQLite has as many pages as it may, PostgreSQL is told so."""
    db = service.auth._db
    if db.engine.dialect.name == "postgresql":
        set_up(
            service,
            "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN "
            "RAISE SQLSTATE '53100' USING MESSAGE = 'no space left'; END $$ LANGUAGE plpgsql",
        )
        set_up(
            service,
            "CREATE TRIGGER full_disk AFTER INSERT ON users EXECUTE FUNCTION full_disk()",
        )
    else:
        with db.transaction() as tx:
            pages = tx.execute(text("PRAGMA page_count")).scalar_one()
        each_connection(db, f"max_page_count={pages}")
    yield


OUTAGES: dict[str, Callable[[Service], AbstractContextManager[None]]] = {
    "locked": locked,
    "read-only": read_only,
    "full": full,
}


@pytest.mark.parametrize("outage", sorted(OUTAGES))
def test_a_registration_is_refused_with_503_and_leaves_nothing(
    make_service: MakeService, outage: str
) -> None:
    """Not a row of it, and the answer says when to come back and that nothing was changed."""
    service = make_service()
    email = "b" * 60 + "@" + ".".join(["d" * 60] * 3) + ".com"
    with OUTAGES[outage](service):
        statuses = set()
        for number in range(400 if outage == "full" else 1):
            answer = service.client().post(
                "/users", json={"email": f"{number}{email}"[-250:], "password": PASSPHRASE}
            )
            statuses.add(answer.status_code)
            if answer.status_code == 503:
                break
        before = len(statuses) - 1
    assert answer.status_code == 503, answer.text
    assert answer.get_json()["code"] == "unavailable"
    assert answer.headers["Retry-After"] == "5"
    assert statuses <= {201, 503}
    assert (before == 0) or (outage == "full")
    if outage != "full":
        assert users(service.auth) == 0


def test_a_full_database_keeps_what_it_has(make_service: MakeService) -> None:
    """Of a failed registration no row is left: the email is still free, all others are there."""
    service = make_service()
    service.auth.register_user(EMAIL, PASSPHRASE)
    with full(service):
        kept = 1
        for number in range(200):
            try:
                service.auth._db.add_user(f"user{number}@example.com", "x" * 500)
            except DatabaseUnavailable:
                break
            kept += 1
        else:
            pytest.fail("it never was full")
        assert users(service.auth) == kept
        assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_anyone_who_is_signed_in_is_known_while_the_database_is_locked(service: Service) -> None:
    """SQLite reads beside a writer; PostgreSQL waits for a table lock and then says 503."""
    client = service.signed_in()
    with locked(service):
        status = client.get("/profile").status_code
    expected = 503 if "postgresql" in service.url else 200
    assert status == expected


@pytest.mark.parametrize("content", [b"no database at all " * 400, b"SQLite format 3\0" * 400])
def test_a_damaged_file_is_unavailable(tmp_path: Path, content: bytes) -> None:
    """It is not made again over what may be saved."""
    file = tmp_path / "damaged.db"
    file.write_bytes(content)
    db = DB(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnavailable):
        db.find_user_by(id=1)
    assert file.read_bytes() == content
    db.close()


def test_a_missing_folder_is_unavailable(tmp_path: Path) -> None:
    """DB makes no folders."""
    db = DB(f"sqlite:///{tmp_path}/nowhere/bienvenue.db")
    with pytest.raises(DatabaseUnavailable):
        db.add_user(EMAIL, "hash")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Refused at once, and said as a sentence without the password."""
    db = DB(f"postgresql://bob:canary@127.0.0.1:{free_port()}/x?connect_timeout=2")
    with pytest.raises(DatabaseUnavailable) as failure:
        db.find_user_by(id=1)
    assert "canary" not in str(failure.value)
    db.close()


def test_a_connection_that_the_server_ended_is_unavailable_once(databases: Databases) -> None:
    """The operation in it fails whole; the next one has a new connection."""
    url = databases.fresh("postgresql")
    db, other = DB(url), DB(url)
    db.add_user("ann@example.com", "hash")

    def fail() -> None:
        with db.transaction() as tx:
            db.add_user(EMAIL, "hash")
            mine = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with other.transaction() as killer:
                killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
            tx.execute(text("SELECT 1"))

    with pytest.raises(DatabaseUnavailable):
        fail()
    assert [user.email for user in Auth(db).accounts.list()] == ["ann@example.com"]
    for each in (db, other):
        each.close()
    databases.drop(url)


def test_when_no_connection_is_free_it_is_unavailable(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool is bounded; anyone who waits too long is told so."""
    db = DB(database)
    monkeypatch.setattr(db.engine.pool, "_timeout", 0.05)
    held = [db.engine.connect() for _ in range(15)]
    with pytest.raises(DatabaseUnavailable, match="no connection was free"):
        db.find_user_by(id=1)
    for connection in held:
        connection.close()
    db.close()


def test_a_mistake_of_ours_is_not_called_an_outage(database: str) -> None:
    """A statement that makes no sense is a fault to be seen, and no 503."""
    db = DB(database)
    with pytest.raises(DBAPIError), db.transaction() as tx:
        tx.execute(text("SELECT nothing FROM nowhere"))
    db.close()


def test_the_passwords_of_the_url_and_of_people_stand_in_no_error(database: str) -> None:
    """Parameters of a statement are hidden in what reaches the log."""
    db = DB(database)
    with pytest.raises(DBAPIError) as failure, db.transaction() as tx:
        tx.execute(text("SELECT nothing FROM nowhere WHERE x = :secret"), {"secret": "canary"})
    assert "canary" not in str(failure.value)
    assert make_url(database).get_backend_name() in {"sqlite", "postgresql"}
    db.close()
