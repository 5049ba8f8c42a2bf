"""db: the three methods of the exercise, transactions, and operations that run again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, NoResultFound

from bienvenue import DB, User, schema
from bienvenue.db import DatabaseUnavailable, retried
from bienvenue.settings import SettingsProblem
from tests.databases import Databases
from tests.races import race

pytestmark = pytest.mark.statements


@pytest.fixture
def db(database: str) -> Iterator[DB]:
    """A DB on a fresh database, with Ann in it."""
    made = DB(database)
    made.add_user("ann@example.com", "hash of ann")
    yield made
    made.close()


def emails(db: DB) -> list[str]:
    """Every email, in order of id."""
    with db.reading() as tx:
        return [user.email for user in tx.query(User).order_by(User.id)]


def test_a_user_outlives_the_connection(db: DB, database: str) -> None:
    """It is committed when the method returns, with what every account needs besides."""
    bob = db.add_user("bob@example.com", "hash of bob")
    other = DB(database)
    found = other.find_user_by(email="bob@example.com")
    assert (found.id, found.uid, found.created_at) == (bob.id, bob.uid, bob.created_at)
    assert (found.session_id, found.reset_token, found.disabled_at) == (None, None, None)
    assert repr(found) == f"<User {bob.uid}>"
    other.close()


def test_a_taken_email_is_an_integrity_error(db: DB) -> None:
    """The database itself keeps it unique, and nothing is left of the attempt."""
    with pytest.raises(IntegrityError):
        db.add_user("ann@example.com", "another hash")
    assert db.find_user_by(email="ann@example.com").hashed_password == "hash of ann"


def test_names_that_are_no_columns_are_refused(db: DB) -> None:
    """Each with the exception of the exercise; relationships and methods are no columns."""
    for name in ("shoe_size", "metadata", "__table__", "query", ""):
        with pytest.raises(InvalidRequestError) as failure:
            db.find_user_by(**{name: 1})
        assert not isinstance(failure.value, NoResultFound)
        with pytest.raises(ValueError, match="no column"):
            db.update_user(1, **{name: 1})


def test_updating_no_one_is_no_result(db: DB) -> None:
    """And changes no one."""
    with pytest.raises(NoResultFound):
        db.update_user(4711, email="eve@example.com")
    assert emails(db) == ["ann@example.com"]


def test_the_methods_join_an_open_transaction(db: DB, database: str) -> None:
    """Nothing is seen by others before the outermost block ends; then all of it is."""
    other = DB(database)
    with db.transaction() as outer:
        bob = db.add_user("bob@example.com", "hash")
        with db.transaction() as inner:
            assert inner is outer
            db.update_user(bob.id, hashed_password="new hash")
        assert db.find_user_by(id=bob.id).hashed_password == "new hash"
        assert emails(other) == ["ann@example.com"]
    assert other.find_user_by(email="bob@example.com").hashed_password == "new hash"
    other.close()


def test_a_failure_rolls_back_everything(db: DB) -> None:
    """What joined as well, though it had returned long before."""

    def fail() -> None:
        with db.transaction():
            db.add_user("bob@example.com", "hash")
            ann = db.find_user_by(email="ann@example.com")
            db.update_user(ann.id, hashed_password="new hash")
            raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        fail()
    assert emails(db) == ["ann@example.com"]
    assert db.find_user_by(email="ann@example.com").hashed_password == "hash of ann"
    assert db.add_user("bob@example.com", "hash").email == "bob@example.com"


def test_callbacks_run_once_after_the_commit(db: DB, database: str) -> None:
    """Never before others can see what was written, and not when it is rolled back."""
    other, seen = DB(database), list[list[str]]()

    def fail() -> None:
        with db.transaction() as tx:
            tx.after_commit.append(lambda: seen.append(["never"]))
            raise RuntimeError("no")

    with db.transaction() as tx:
        tx.after_commit.append(lambda: seen.append(emails(other)))
        with db.transaction() as inner:
            db.add_user("bob@example.com", "hash")
            inner.after_commit.append(lambda: seen.append(emails(other)))
        assert seen == []
    with pytest.raises(RuntimeError):
        fail()
    assert seen == [["ann@example.com", "bob@example.com"]] * 2
    other.close()


def test_a_transaction_belongs_to_its_thread(db: DB) -> None:
    """Another thread that reads meanwhile does not see it."""
    seen: list[list[str]] = []
    with db.transaction():
        db.add_user("bob@example.com", "hash")
        thread = threading.Thread(target=lambda: seen.append(emails(db)))
        thread.start()
        thread.join(180)
    assert seen == [["ann@example.com"]]


def test_a_read_and_a_write_in_one_transaction_never_lose_an_update(db: DB) -> None:
    """Twenty threads count up under the lock of the row; none of them is lost."""

    def count(_: int) -> None:
        with db.transaction() as tx:
            ann = User.email == "ann@example.com"
            tx.change(update(User).where(ann).values(reset_token=User.reset_token))
            found = db.find_user_by(email="ann@example.com")
            db.update_user(found.id, reset_token=str(int(found.reset_token or 0) + 1))

    race(count, 20)
    assert db.find_user_by(email="ann@example.com").reset_token == "20"


def fails(db: DB, times: int, state: str) -> list[int]:
    """Run an operation that the database refuses so many times with this SQLSTATE."""
    runs: list[int] = []

    @retried
    def operation() -> None:
        with db.transaction() as tx:
            db.add_user(f"user{len(runs)}@example.com", "hash")
            runs.append(1)
            if len(runs) <= times:
                raised = f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"
                tx.execute(text(raised))

    operation()
    return runs


@pytest.fixture
def postgresql(databases: Databases) -> Iterator[DB]:
    """A DB on PostgreSQL alone, for what SQLite never says."""
    url: str = databases.fresh("postgresql")
    made = DB(url)
    yield made
    made.close()
    databases.drop(url)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run again at once."""
    monkeypatch.setattr("bienvenue.db.time.sleep", lambda _: None)


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_an_operation_that_crossed_another_runs_again(postgresql: DB, state: str) -> None:
    """Nothing of the runs that failed is kept."""
    assert len(fails(postgresql, 3, state)) == 4
    assert emails(postgresql) == ["user3@example.com"]


def test_an_operation_that_keeps_crossing_is_given_up(postgresql: DB) -> None:
    """After six runs it is a 503, and nothing is kept."""
    with pytest.raises(DatabaseUnavailable, match="kept crossing"):
        fails(postgresql, 99, "40001")
    assert emails(postgresql) == []


@pytest.mark.parametrize(("times", "tries"), [(1, 6), (3, 6), (6, 6)])
def test_any_other_failure_is_not_tried_again(
    postgresql: DB, monkeypatch: pytest.MonkeyPatch, times: int, tries: int
) -> None:
    """A mistake of ours is one the second time too; also when it comes at the last try."""
    monkeypatch.setattr("bienvenue.db._TRIES", tries)
    runs = 0

    @retried
    def operation() -> None:
        nonlocal runs
        runs += 1
        with postgresql.transaction() as tx:
            state = "22012" if runs == times else "40001"
            tx.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))

    with pytest.raises(DBAPIError) as failure:
        operation()
    assert getattr(failure.value.orig, "sqlstate", None) == "22012"
    assert runs == times


def test_an_operation_within_another_runs_again_with_all_of_it(postgresql: DB) -> None:
    """Its transaction is over, so the part alone could only fail."""
    runs = list[str]()

    @retried
    def part() -> None:
        runs.append("part")
        with postgresql.transaction() as tx:
            if len(runs) == 2:
                tx.execute(text("DO $$ BEGIN RAISE deadlock_detected; END $$"))
            tx.execute(text("SELECT 1"))

    @retried
    def whole() -> str:
        runs.append("whole")
        with postgresql.transaction():
            part()
        return "done"

    assert whole() == "done"
    assert runs == ["whole", "part"] * 2


def test_a_real_deadlock_is_resolved_by_running_again(postgresql: DB) -> None:
    """Two transactions take two rows in opposite order; PostgreSQL ends one, and both succeed."""
    ids = [postgresql.add_user(f"{name}@example.com", "0").id for name in ("ann", "bob")]
    gate, runs = threading.Barrier(2), list[int]()

    @retried
    def cross(number: int) -> None:
        runs.append(number)
        with postgresql.transaction() as tx:
            for place, user_id in enumerate(ids if number else ids[::-1]):
                tx.change(
                    update(User)
                    .where(User.id == user_id)
                    .values(hashed_password=User.hashed_password + "1")
                )
                if place == 0 and len(runs) <= 2:
                    gate.wait(180)

    race(cross, 2)
    found = [postgresql.find_user_by(id=user_id).hashed_password for user_id in ids]
    assert found == ["011", "011"]
    # One was ended and ran again; on a busy machine it can cross the other once more.
    assert len(runs) >= 3


@pytest.mark.parametrize(
    ("url", "file"),
    [("sqlite:///a/b.db", "a/b.db"), ("postgresql://h/x", None), ("postgres://h/x", None)],
)
def test_only_sqlite_has_a_file(url: str, file: str | None) -> None:
    """Both names of PostgreSQL are the same one."""
    found = DB(url).file
    assert (None if found is None else str(found)) == file


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "no URL of a database"),
        ("postgresql://bob:canary@host:port/x", "no URL of a database"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("mysql://bob:canary@host/x", "no driver is here for mysql"),
        ("what+ever://bob:canary@host/x", "no driver is here"),
    ],
)
def test_a_url_we_cannot_speak_to_is_a_problem_of_the_settings(url: str, says: str) -> None:
    """The sentence names the variable and never the URL, which holds a password."""
    with pytest.raises(SettingsProblem, match=says) as problem:
        DB(url)
    assert str(problem.value).startswith("BIENVENUE_DATABASE_URL: ")
    assert "canary" not in str(problem.value)


def test_without_arguments_the_settings_name_the_database(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the exercise says it: DB()."""
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", database)
    db = DB()
    assert db.add_user("bob@example.com", "hash").id
    db.close()


def with_parameters(url: str, **parameters: str) -> DB:
    """Open a PostgreSQL with more parameters in its URL."""
    return DB(make_url(url).update_query_dict(parameters).render_as_string(hide_password=False))


def test_options_of_the_url_are_kept(databases: Databases) -> None:
    """A schema of their own beside our time limits, in which the tables are made."""
    url = databases.fresh("postgresql", migrated=False)
    plain, db = DB(url), with_parameters(url, options="-csearch_path=auth -c lock_timeout=3s")
    with plain.transaction() as tx:
        tx.execute(text("CREATE SCHEMA auth"))
    schema.upgrade(db)
    asked = ("search_path", "lock_timeout", "statement_timeout")
    with db.reading() as tx:
        assert [tx.execute(text(f"SHOW {name}")).scalar_one() for name in asked] == [
            "auth", "3s", "20s"
        ]  # fmt: skip
    assert [db.fetch_row("SELECT current_setting(:name)", {"name": name})[0] for name in asked] == [
        "auth", "3s", "20s"
    ]  # fmt: skip
    assert [schema.state(each) for each in (db, plain)] == [
        schema.State.CURRENT,
        schema.State.ELSEWHERE,
    ]
    for each in (plain, db):
        each.close()
    databases.drop(url)


def test_the_time_to_connect_can_be_set_in_the_url(databases: Databases) -> None:
    """Ours is only a default."""
    url = databases.fresh("postgresql")
    for given, seconds in (({}, "5"), ({"connect_timeout": "9"}, "9")):
        db = with_parameters(url, **given)
        with db.connect(writes=False) as connection:
            driver: Any = connection.connection.dbapi_connection
            assert driver.info.get_parameters()["connect_timeout"] == seconds
        db.close()
    databases.drop(url)


def test_behind_a_pooler_each_transaction_sets_its_limits(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left in a session, which another client may have next (tests/journeys)."""
    url = databases.fresh("postgresql")
    monkeypatch.setattr("psycopg.ConnectionInfo.backend_pid", 7)
    db = DB(url)
    limit = "SELECT current_setting('statement_timeout')"
    with db.reading() as tx:
        assert tx.execute(text(limit)).scalar_one() == "20s"
        assert tx.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0
        tx.connection().exec_driver_sql("ROLLBACK")
        assert tx.connection().exec_driver_sql(limit).scalar_one() == "0"
    assert [db.fetch_row(limit, {}) for _ in range(3)] == [("20s",)] * 3
    with pytest.raises(DatabaseUnavailable):
        db.fetch_row("SELECT pg_terminate_backend(pg_backend_pid())", {})
    assert db.fetch_row("SELECT count(*) FROM pg_prepared_statements", {}) == (0,)
    db.close()
    databases.drop(url)
