"""The names of our tables in a database that another program uses too: a prefix before each.

Models, statements and migrations write a table as it is called without a prefix, `users`. With one,
SQLAlchemy marks every table of a statement (`schema_translate_map`), and the mark becomes the
prefix when the statement runs; migrations have it put before the names that they create. Only SQL
that is text says it itself: `written`, and `named` in a migration.
"""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Constraint, Engine, ForeignKey, ForeignKeyConstraint, event

if TYPE_CHECKING:
    from alembic.operations import Operations

_MARK = "bienvenue_tables"
_OPTION = "bienvenue_table_prefix"
_RENAMED = (
    "table_name",
    "new_table_name",
    "source_table",
    "referent_table",
    "index_name",
    "constraint_name",
)


@functools.cache
def written(statement: str, prefix: str) -> str:
    """Return a statement in which `{users}` is the name of a table without its prefix."""
    return re.sub(r"\{(\w+)\}", rf"{prefix}\1", statement)


def put_before(engine: Engine, prefix: str) -> Engine:
    """Return the engine with the prefix before every table of its statements."""
    if not prefix:
        return engine
    marked = engine.execution_options(schema_translate_map={None: _MARK})
    event.listen(marked, "before_cursor_execute", functools.partial(_unmark, prefix), retval=True)
    return marked


def _unmark(
    prefix: str,
    _connection: object,
    _cursor: object,
    statement: str,
    parameters: Any,
    _context: object,
    _many: bool,
) -> tuple[str, Any]:
    return statement.replace(f"{_MARK}.", prefix), parameters


# --- migrations ---------------------------------------------------------------------------------


def named(table: str) -> str:
    """Return the name of a table in the database that is migrated, for SQL that is text."""
    from alembic import op  # noqa: PLC0415 (only a migration needs it, and it loads slowly)

    return f"{op.get_context().opts.get(_OPTION, '')}{table}"


def options(prefix: str) -> dict[str, Any]:
    """Return what the context of a migration is configured with."""
    return {_OPTION: prefix}


def rename(operations: "Operations", prefix: str) -> None:
    """Let the operations of migrations put the prefix before each table, index and constraint.

    The names of indexes are those of the whole database or schema, as those of tables.
    """
    if not prefix:
        return
    batch = operations.batch_alter_table

    @contextmanager
    def altering(table_name: str, *arguments: Any, **given: Any) -> Iterator[Any]:
        with batch(f"{prefix}{table_name}", *arguments, **given) as inner:
            # Operations within it have the name of its table already.
            within = _renaming(inner.invoke, prefix, ("index_name", "constraint_name"))
            vars(inner)["invoke"] = within
            yield inner

    # Attributes of this object come before the methods of its class.
    vars(operations)["batch_alter_table"] = altering
    vars(operations)["invoke"] = _renaming(operations.invoke, prefix, _RENAMED)


def _renaming(
    invoke: Callable[[Any], Any], prefix: str, attributes: tuple[str, ...]
) -> Callable[[Any], Any]:
    def renamed(operation: Any) -> Any:
        for attribute in attributes:
            name = getattr(operation, attribute, None)
            if name is not None:
                setattr(operation, attribute, f"{prefix}{name}")
        if hasattr(operation, "columns"):
            operation.columns = [_referring(each, prefix) for each in operation.columns]
        if hasattr(operation, "column"):
            operation.column = _referring(operation.column, prefix)
        return invoke(operation)

    return renamed


def _referring(part: Any, prefix: str) -> Any:
    """Return a column or constraint of a new table that names other tables by the prefix."""
    if isinstance(part, ForeignKeyConstraint):
        part = ForeignKeyConstraint(
            part.column_keys,
            [f"{prefix}{each.target_fullname}" for each in part.elements],
            name=part.name,
            onupdate=part.onupdate,
            ondelete=part.ondelete,
            deferrable=part.deferrable,
            initially=part.initially,
        )
    if isinstance(part, Constraint) and part.name:
        part.name = f"{prefix}{part.name}"
    if isinstance(part, Column) and part.foreign_keys:
        # A foreign key cannot be taken from a column, so another one takes its place.
        keys = [
            ForeignKey(f"{prefix}{key.target_fullname}", name=key.name, ondelete=key.ondelete)
            for key in part.foreign_keys
        ]
        part = Column(
            part.name,
            part.type,
            *keys,
            primary_key=part.primary_key,
            autoincrement=part.autoincrement,
            nullable=part.nullable,
            server_default=part.server_default,
            unique=part.unique,
            index=part.index,
        )
    return part
