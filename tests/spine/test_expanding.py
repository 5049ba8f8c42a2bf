"""What a release may do to the database while processes of the release before use it: expand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import inspect

from bienvenue import DB, schema
from tests.databases import KINDS, Databases
from tests.spine.test_schema import upgrade_to

pytestmark = pytest.mark.statements
#: The version from which on every migration expands.
FIRST = "0019"
#: Migrations after it that take something away, and the release since which nothing uses it.
CONTRACTS: dict[str, str] = {}


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, databases: Databases) -> Iterator[DB]:
    """An empty database."""
    url = databases.fresh(request.param, migrated=False)
    made = DB(url)
    yield made
    made.close()
    databases.drop(url)


Picture = dict[str, dict[str, Any]]


def picture(db: DB) -> Picture:
    """Describe every table: its columns, and what must be unique."""
    found: Picture = {}
    with db.connect(writes=False) as connection:
        inspector = inspect(connection)
        for table in inspector.get_table_names():
            unique: list[Any] = [
                *inspector.get_unique_constraints(table),
                *inspector.get_indexes(table),
            ]
            found[table] = {
                "columns": {
                    column["name"]: (
                        str(column["type"]),
                        column["nullable"],
                        column["default"] is not None,
                    )
                    for column in inspector.get_columns(table)
                },
                "unique": {
                    tuple(str(name) for name in one["column_names"])
                    for one in unique
                    if one.get("unique", True)
                },
                "references": {
                    tuple(key["constrained_columns"]) for key in inspector.get_foreign_keys(table)
                },
            }
    return found


def broken_by(before: Picture, after: Picture) -> list[str]:
    """Say what a program of before could no longer do."""
    wrong: list[str] = []
    for table, was in before.items():
        now = after.get(table)
        if now is None:
            wrong.append(f"{table} is gone")
            continue
        for name, column in was["columns"].items():
            if now["columns"].get(name) != column:
                wrong.append(f"{table}.{name} is gone or another")
        for name in now["columns"].keys() - was["columns"].keys():
            _, nullable, has_default = now["columns"][name]
            if not (nullable or has_default):
                wrong.append(f"{table}.{name} wants a value")
        for kind in ("unique", "references"):
            wrong += [f"{table} {kind} {columns}" for columns in now[kind] - was[kind]]
    return wrong


def test_every_migration_expands(db: DB) -> None:
    """Or says since which release nothing uses what it takes away."""
    upgrade_to(db, FIRST)
    before = picture(db)
    assert len(before) > 15
    for version in [version for version in schema.versions() if version > FIRST]:
        upgrade_to(db, version)
        after = picture(db)
        assert version in CONTRACTS or broken_by(before, after) == []
        before = after


def add(name: str, *, nullable: bool, default: str | None = None) -> sa.Column[Any]:
    """Make a column of a table that is there."""
    return sa.Column(name, sa.Integer(), nullable=nullable, server_default=default)


CHANGES: dict[str, tuple[Callable[[Operations], object], list[str]]] = {
    "a table": (lambda op: op.create_table("later", add("id", nullable=False)), []),
    "may be NULL": (lambda op: op.add_column("users", add("later", nullable=True)), []),
    "has a default": (
        lambda op: op.add_column("users", add("later", nullable=False, default="1")),
        [],
    ),
    "an index": (lambda op: op.create_index("later", "users", ["uid", "email"]), []),
    "a new name": (lambda op: op.rename_table("preferences", "later"), ["preferences is gone"]),
    "a column less": (
        lambda op: op.drop_column("preferences", "language"),
        ["preferences.language is gone or another"],
    ),
    "unique": (
        lambda op: op.create_index("later", "users", ["email", "session_id"], unique=True),
        ["users unique ('email', 'session_id')"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_comparison_tells_what_an_earlier_program_would_notice(db: DB, change: str) -> None:
    """Each thing that the guide allows, and some that it forbids."""
    upgrade_to(db, FIRST)
    before = picture(db)
    act, expected = CHANGES[change]
    with db.connect() as connection:
        act(Operations(MigrationContext.configure(connection)))
    assert broken_by(before, picture(db)) == expected


def test_a_column_that_wants_a_value_and_a_new_reference_are_told() -> None:
    """SQLite adds neither to a table that is there."""
    before: Picture = {"a": {"columns": {}, "unique": set(), "references": set()}}
    column, key = {"b": ("INTEGER", False, False)}, {("b",)}
    after: Picture = {"a": {"columns": column, "unique": set(), "references": key}}
    assert broken_by(before, after) == ["a.b wants a value", "a references ('b',)"]
