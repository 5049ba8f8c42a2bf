"""Run the migrations inside the transaction that `bienvenue.schema` opened."""

from alembic import context

from bienvenue.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes.get("version_table", VERSION_TABLE),
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
