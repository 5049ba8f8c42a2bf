"""`bienvenue serve`: everything made ready, then as many processes as were asked for.

SQLite is migrated here; PostgreSQL, which several nodes may share, only by `bienvenue db upgrade`.
"""

import json
import logging
import logging.config
import os
import socket
import sys
from typing import Any

import click

from bienvenue import checkup, logs, schema
from bienvenue.auth import Auth
from bienvenue.db import DB
from bienvenue.settings import PREFIX, Settings, SettingsProblem

_KILL_AFTER = 20
"""Seconds a process may take to finish what it has begun when it is asked to stop."""


_log = logging.getLogger("bienvenue.checkup")


def run(options: dict[str, Any], *, despite_errors: bool = False) -> None:
    """Make everything ready and serve until interrupted.

    Raises the problems of the settings, and CheckupProblem for what the check-up calls an error,
    unless told to serve despite errors.
    """
    for name, value in options.items():
        if value is not None:
            # The processes that serve read the environment too.
            os.environ[PREFIX + name.upper()] = str(value)
    settings = Settings()
    core = settings.core
    logging_to = logs.configuration(core.log_format, core.log_level)
    logging.config.dictConfig(logging_to)
    _require_free(core.host, core.port)
    db = DB(settings.database_url)
    # A mistyped setting is refused before anything is made by what it was mistaken for.
    Auth(db, settings)
    prepare(db)
    try:
        from granian import Granian  # noqa: PLC0415 (an extra; only serving needs it)
        from granian.constants import Interfaces  # noqa: PLC0415 (as above)
        from granian.log import LogLevels  # noqa: PLC0415 (as above)
    except ImportError:
        raise SettingsProblem("no server is here: pip install 'bienvenue[server]'") from None
    # The application is made once here, so that a problem is one sentence and no crash loop.
    from bienvenue import wsgi  # noqa: PLC0415 (it reads the environment as it is now)

    auth = wsgi.app.extensions["bienvenue"].auth
    _check_up(checkup.Circumstances(auth, db, debug=wsgi.app.debug), despite_errors)
    auth.close()
    db.close()
    click.echo(f"Bienvenue listens on {settings.base_url} (stop it with Ctrl-C)")
    click.echo(f"Accounts are in {'PostgreSQL' if db.file is None else db.file}")
    sys.stdout.flush()
    Granian(
        "bienvenue.asgi:app",
        address=core.host,
        port=core.port,
        interface=Interfaces.ASGINL,
        workers=core.workers,
        websockets=False,
        log_level=LogLevels.warning,
        log_dictconfig=logging_to,
        respawn_failed_workers=True,
        workers_kill_timeout=_KILL_AFTER,
    ).serve()


def _check_up(around: checkup.Circumstances, despite_errors: bool) -> None:
    """Log what the check-up finds, without its slow checks. Raises CheckupProblem on errors."""
    findings = checkup.run(around)
    if not despite_errors:
        checkup.refuse_errors(findings)
    for found in findings:
        _log.log(found.severity.level, "%s %s %s", found.code, found.message, found.remedy)


def prepare(db: DB) -> None:
    """Bring a SQLite database to our schema; require it of PostgreSQL. Raises SchemaProblem."""
    if db.file is None:
        schema.require_current(db)
    else:
        schema.upgrade(db)


def as_text(value: Any) -> str:
    """Write a value as JSON that a person can read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            raise SettingsProblem(
                f"cannot listen on {host} port {port}: {error.strerror}. Choose another port: "
                f"`PORT={port + 1} make run` or `bienvenue serve --port {port + 1}`"
            ) from None
