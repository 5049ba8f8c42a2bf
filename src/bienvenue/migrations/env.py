"""Run the migrations inside the transaction that `bienvenue.schema` opened."""

from alembic import context
from alembic.operations import Operations

from bienvenue import table_names
from bienvenue.schema import VERSION_TABLE

attributes = context.config.attributes
prefix: str = attributes.get("table_prefix", "")
context.configure(
    connection=attributes["connection"],
    version_table=attributes.get("version_table", VERSION_TABLE),
    render_as_batch=True,
    transactional_ddl=False,
    **table_names.options(prefix),
)
with Operations.context(context.get_context()) as operations:
    table_names.rename(operations, prefix)
    context.get_context().run_migrations()
