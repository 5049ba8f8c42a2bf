"""Claim: the application whose accounts an instance folder belongs to, for commands run there.

An application may name its database, keys and path in code, which the command `bienvenue` cannot
know: it would begin another database beside it. So the application writes into its instance folder
where its accounts are, without a secret, and where its pages are.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bienvenue import clock
from bienvenue.settings import Settings, SettingsProblem, usable_mount

_FILE = "application.json"
_ARRIVED = "arrived.json"


@dataclass(frozen=True)
class Claim:
    """What an application says of itself."""

    application: str
    #: The database, as `database_of` writes it.
    database: str
    #: The path of the pages below the mount.
    prefix: str
    #: The file of the keys; "" in a claim of an earlier version, as what follows.
    keys: str = ""
    #: The path below the base URL under which a server mounts the application.
    mount: str = ""
    base_url: str = ""


@dataclass(frozen=True)
class Arrival:
    """A path under which requests arrived, and when the last one was noted, in seconds."""

    mount: str
    at: float


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


def keys_of(settings: Settings) -> str:
    """Return the path of the key file that the settings name."""
    return str(settings.key_file.absolute())


def heed(settings: Settings, file: Path | None) -> None:
    """Say so when the application whose folder this is has its accounts or its keys elsewhere.

    `file` is that of a SQLite database. Raises SettingsProblem instead of beginning another
    database or making other keys.
    """
    found = read(settings)
    if found is None:
        return
    same_database = found.database == database_of(settings)
    same_keys = found.keys in {"", keys_of(settings)}
    if same_database and same_keys:
        return
    theirs = f" with the keys of {found.keys}" if found.keys else ""
    message = (
        f"the application {found.application} has its accounts in {found.database}{theirs}, and "
        f"this command works on {place_of(settings)}: run `flask --app {found.application} "
        "bienvenue` with the command, or set BIENVENUE_DATABASE_URL and BIENVENUE_SECRET_KEY_FILE"
    )
    begins = file is not None and not file.exists()
    if begins or not (same_keys or settings.key_file.exists()):
        raise SettingsProblem(message)
    click.echo(f"Note: {message}", err=True)


def place_of(settings: Settings) -> str:
    """Return which database and keys the settings name, and why, in words for operators."""
    core = settings.core
    return (
        f"{database_of(settings)}, {_why(core.database_url)}, with the keys of "
        f"{keys_of(settings)}, {_why(core.secret_key_file)}"
    )


def _why(setting: object | None) -> str:
    return "by default" if setting is None else "as the settings say"


def stake(settings: Settings, application: str, prefix: str) -> None:
    """Write the claim of an application into its instance folder, which is made if need be.

    A folder that cannot be written keeps what it has: the claim only helps commands.
    """
    claim = Claim(
        application,
        database_of(settings),
        prefix,
        keys_of(settings),
        settings.core.mount,
        settings.base_url,
    )
    if read(settings) == claim:
        return
    with suppress(OSError):
        settings.core.instance.mkdir(mode=0o700, parents=True, exist_ok=True)
        (settings.core.instance / _FILE).write_text(json.dumps(asdict(claim)) + "\n", "utf-8")


def read(settings: Settings) -> Claim | None:
    """Return the claim on the instance folder of the settings, or None."""
    try:
        found = json.loads((settings.core.instance / _FILE).read_text("utf-8"))
        required = {name: str(found[name]) for name in ("application", "database", "prefix")}
        later = {name: str(found.get(name, "")) for name in ("keys", "mount", "base_url")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Claim(**required, **later)


def note_arrival(settings: Settings, mount: str) -> None:
    """Note for the check-up that a request arrived under another path than the mount.

    A header may have said so: the path is shown to operators, and never used. One that could not be
    a mount is noted as "?".
    """
    try:
        shown = usable_mount(mount[:200])
    except ValueError:
        shown = "?"
    with suppress(OSError):
        note = asdict(Arrival(shown, clock.now()))
        (settings.core.instance / _ARRIVED).write_text(json.dumps(note) + "\n", "utf-8")


def last_arrival(settings: Settings) -> Arrival | None:
    """Return what was noted last, or None."""
    try:
        found = json.loads((settings.core.instance / _ARRIVED).read_text("utf-8"))
        return Arrival(str(found["mount"]), float(found["at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
