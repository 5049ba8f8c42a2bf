"""Loads what the service and the course stand on, and the service; the nursery's first page."""

import gc
from importlib import import_module

for _name in (
    "alembic.command",
    "bcrypt",
    "click",
    "concurrent.futures.thread",
    "email.contentmanager",
    "email_validator",
    "flask",
    "granian",
    "logging.config",
    "psycopg",
    "pydantic.json_schema",
    "pydantic.main",
    "pydantic.types",
    "smtplib",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.orm",
    "sqlite3",
    "werkzeug.serving",
):
    import_module(_name)

# A broken build loads its own instead.
import_module("bienvenue.app")
import_module("bienvenue.cli")
import_module("bienvenue.serve")

# Its thousand rules are compiled when someone is named by none of them.
import_module("ua_parser").parse("nobody")

# Or the collector would walk through all of it in every child, which would copy the memory.
gc.freeze()
