"""The table of users as an application refers to it: a foreign key, a join, a class of its own.

The uid is the public name of a user and unique in the database, so a foreign key can refer to it.
The table is in no `MetaData` of the application: `create_all` never creates it.
"""

import functools

from sqlalchemy import Column, Double, MetaData, String, Table

from bienvenue.settings import Settings
from bienvenue.user import Base


def users(table_prefix: str | None = None, schema: str | None = None) -> Table:
    """Return the table of users, with the columns that an application may read.

    Without arguments its prefix and schema are those of the environment's settings; an application
    that has them in its code passes the same here. It is one object for the same arguments. Raises
    SettingsProblem.
    """
    if table_prefix is None and schema is None:
        core = Settings().core
        table_prefix, schema = core.table_prefix, core.database_schema
    return _users(table_prefix or "", schema or "")


@functools.cache
def _users(table_prefix: str, schema: str) -> Table:
    return Table(
        f"{table_prefix}users",
        MetaData(),
        Column("uid", String(36), primary_key=True),
        Column("email", String(254), nullable=False),
        Column("created_at", Double(), nullable=False),
        Column("disabled_at", Double()),
        schema=schema or None,
    )


def not_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Return whether a table is one of the application: `include_name` of Alembic's `env.py`.

    Without it `alembic revision --autogenerate` drops the tables of the service, which no model of
    the application has. Raises SettingsProblem.
    """
    import bienvenue.auth  # noqa: F401, PLC0415 (every feature declares its tables)

    core = Settings().core
    if kind == "schema":
        return name is None or name != core.database_schema
    if kind != "table" or name is None:
        return True
    if core.table_prefix:
        return not name.startswith(core.table_prefix)
    versions = name.startswith("bienvenue_") and name.endswith("_version")
    return name not in Base.metadata.tables and not versions
