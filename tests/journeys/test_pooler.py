"""Behind PgBouncer, where each transaction may have another session of PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from bienvenue import DB, schema
from bienvenue.cli import main
from tests.conftest import PASSPHRASE
from tests.databases import Databases
from tests.journeys.pooler import pooling
from tests.journeys.serving import serving
from tests.races import race
from tests.thorough import often

pytestmark = pytest.mark.slow


@pytest.fixture
def behind(databases: Databases) -> Iterator[str]:
    """The URL of PostgreSQL itself."""
    url = databases.fresh("postgresql")
    yield url
    databases.drop(url)


@pytest.fixture
def pooler(behind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a pooler in front of it that gives sessions to transactions."""
    with pooling(behind, tmp_path) as url:
        yield url


def test_every_question_of_many_clients_is_answered(pooler: str, tmp_path: Path) -> None:
    """Eight clients of two processes, whose statements meet in two sessions."""
    keys = tmp_path / "keys"
    keys.write_text(os.urandom(32).hex())
    settings = {"database_url": pooler, "secret_key_file": str(keys), "hash_queue": "100"}
    with serving(tmp_path, "--workers", "2", **settings) as served:

        def client(number: int) -> list[int]:
            program = served.program()
            account = {"email": f"ann{number}@example.com", "password": PASSPHRASE}
            statuses = [program.ask("POST", "/users", account).status]
            statuses += [program.ask("POST", "/sessions", account).status]
            for _ in range(often(10, 40)):
                statuses += [program.ask("GET", path).status for path in ("/profile", "/sessions")]
            return statuses

        assert {tuple(each) for each in race(client, 8)} == {(201, *[200] * often(21, 81))}
        assert served.stop() == 0
    log = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in log
    assert "BV030 A pooler answers for PostgreSQL" in log


def shown(db: DB) -> list[str]:
    """The limits of a transaction, and those of a session check."""
    names = ("lock_timeout", "statement_timeout")
    with db.reading() as tx:
        found = [str(tx.execute(text(f"SHOW {name}")).scalar_one()) for name in names]
    return found + [
        db.fetch_row("SELECT current_setting(:name)", {"name": each})[0] for each in names
    ]


def test_each_transaction_has_its_limits_and_leaves_none(pooler: str, behind: str) -> None:
    """Other clients of the pooler meet neither our limits nor our statements."""
    db = DB(pooler)
    assert db.pooled
    for _ in range(10):
        assert shown(db) == ["5s", "20s", "5s", "20s"]
    with psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as other:
        for _ in range(10):
            assert other.execute("SHOW statement_timeout").fetchall() == [("0",)]
            assert other.execute("SELECT count(*) FROM pg_prepared_statements").fetchall() == [(0,)]
    direct = DB(behind)
    assert not direct.pooled
    assert shown(direct) == ["5s", "20s", "5s", "20s"]
    direct.close()
    db.close()


def test_a_pooler_that_gives_sessions_away_whole(behind: str, tmp_path: Path) -> None:
    """It is served in the same way, since it is not known what it does."""
    with pooling(behind, tmp_path, "session") as url:
        db = DB(url)
        assert db.pooled
        assert shown(db) == ["5s", "20s", "5s", "20s"]
        db.close()


def test_a_session_of_the_pooler_that_ends_is_replaced(pooler: str, behind: str) -> None:
    """A check asks again, and the next transaction too."""
    db, killer = DB(pooler), DB(behind)
    assert db.fetch_row("SELECT 1", {}) == (1,)
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with killer.transaction() as tx:
        tx.execute(text(f"{ends} AND datname = current_database()"))
    assert db.fetch_row("SELECT 1", {}) == (1,)
    assert shown(db)[0] == "5s"
    killer.close()
    db.close()


def test_the_schema_is_made_and_checked_through_it(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of a migration is one of its transaction."""
    behind = databases.fresh("postgresql", migrated=False)
    with pooling(behind, tmp_path) as url:
        monkeypatch.setenv("BIENVENUE_DATABASE_URL", url)
        made = CliRunner().invoke(main, ["db", "upgrade"])
        assert (made.exit_code, made.output[:29]) == (
            0,
            f"the database has version {schema.newest()}",
        ), made
        assert CliRunner().invoke(main, ["db", "current"]).exit_code == 0
    databases.drop(behind)
