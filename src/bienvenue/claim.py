"""Claim: the application whose accounts an instance folder belongs to, for commands run there.

An application may name its database in code, which the command `bienvenue` cannot know: it would
begin another one beside it. So the application writes into its instance folder where its accounts
are, without a secret, and below which path its pages.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bienvenue.settings import Settings

_FILE = "application.json"


@dataclass(frozen=True)
class Claim:
    """What an application says of itself."""

    application: str
    #: The database, as `database_of` writes it.
    database: str
    #: The path of the pages below the mount.
    prefix: str


def database_of(settings: Settings) -> str:
    """Return which database the settings name and which of its tables, without a secret."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415 (loads slowly)

    core, url = settings.core, make_url(settings.database_url)
    port = "" if url.port is None else f":{url.port}"
    where = f"{url.database} of PostgreSQL on {url.host or 'this machine'}{port}"
    if url.get_backend_name() == "sqlite":
        where = str(Path(str(url.database)).absolute())
    schema = f", schema {core.database_schema}" if core.database_schema else ""
    return where + schema + (f", tables {core.table_prefix}*" if core.table_prefix else "")


def stake(settings: Settings, application: str, prefix: str) -> None:
    """Write the claim of an application whose keys are in its instance folder.

    A folder that cannot be written keeps what it has: the claim only helps commands.
    """
    folder = settings.core.instance
    claim = Claim(application, database_of(settings), prefix)
    if settings.key_file.parent != folder or read(settings) == claim:
        return
    with suppress(OSError):
        (folder / _FILE).write_text(json.dumps(asdict(claim)) + "\n", "utf-8")


def read(settings: Settings) -> Claim | None:
    """Return the claim on the instance folder of the settings, or None."""
    try:
        found = json.loads((settings.core.instance / _FILE).read_text("utf-8"))
        return Claim(str(found["application"]), str(found["database"]), str(found["prefix"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
