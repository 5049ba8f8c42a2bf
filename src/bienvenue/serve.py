"""`bienvenue serve`: prepare everything, then start the configured number of processes.

This migrates SQLite; only `bienvenue db upgrade` migrates PostgreSQL, which nodes may share.
"""

import json
import logging
import logging.config
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from bienvenue import checkup, claim, connections, logs, tls, user_agent
from bienvenue.auth import Auth
from bienvenue.db import DB
from bienvenue.edge import DEADLINE
from bienvenue.settings import PREFIX, Settings, SettingsProblem
from bienvenue.stopping import Stop

_KILL_AFTER = 20
"""Seconds a process may take to finish its requests when it is asked to stop."""

_LARGEST_HEAD = 16 * 1024
"""Octets of a request's line and headers at most; a browser with all our cookies sends five
thousand, and reading an Accept header of this length takes 14 ms (C18)."""

_SOCKET_RIGHTS = 0o660
"""The unix socket is open to the owner and the group of the process."""

_log = logging.getLogger("bienvenue.checkup")


def run(
    options: dict[str, Any], *, despite_errors: bool = False, target: str = "bienvenue.asgi:app"
) -> None:
    """Prepare everything and serve until interrupted.

    Raises the problems of the settings, and CheckupProblem for errors that the check-up finds,
    except with `despite_errors`. `target` is the ASGI application, as module and name.
    """
    stop = Stop()
    stop.listen()
    for name, value in options.items():
        if value is not None:
            # The serving processes read the environment too.
            os.environ[PREFIX + name.upper()] = str(value)
    settings = Settings()
    core = settings.core
    logging_to = logs.configuration(core.log_format, core.log_level)
    logging.config.dictConfig(logging_to)
    tls.require_usable(core)
    if core.unix_socket is None:
        _require_free(core.host, core.port)
    else:
        _require_free_socket(core.unix_socket)
    db = DB.of(settings)
    claim.heed(settings, db.file)
    # Refuse a mistyped setting before its default makes a file or a table.
    prepare(Auth(db, settings))
    try:
        from granian import Granian  # noqa: PLC0415 (an extra; only serving needs it)
        from granian.constants import (  # noqa: PLC0415 (as above)
            HTTPModes,
            Interfaces,
            SSLProtocols,
        )
        from granian.http import HTTP1Settings  # noqa: PLC0415 (as above)
        from granian.log import LogLevels  # noqa: PLC0415 (as above)
    except ImportError:
        raise SettingsProblem("no server is here: pip install 'bienvenue[server]'") from None
    # Make the application once here: a problem is one sentence, not a loop of crashes.
    from bienvenue import wsgi  # noqa: PLC0415 (it reads the environment as it is now)

    auth = wsgi.app.extensions["bienvenue"].auth
    _check_up(checkup.CheckupContext(auth, db, debug=wsgi.app.debug), despite_errors)
    auth.close()
    db.close()
    # Once, here: the serving processes are copies of this one.
    user_agent.load()
    connections.make_room()
    click.echo(f"Bienvenue listens on {_where(settings)} (stop it with Ctrl-C)")
    click.echo(f"Accounts are in {'PostgreSQL' if db.file is None else db.file}")
    if sys.stdout.isatty() and not auth.mail.sends_mail:
        # To a terminal only: any other output is stored as a log.
        click.echo(f"Emails are not sent; read them at {auth.outbox.link()}")
    sys.stdout.flush()
    server = Granian(
        target,
        address=core.host,
        port=core.port,
        uds=core.unix_socket,
        uds_permissions=_SOCKET_RIGHTS,
        ssl_cert=core.tls_certificate_file,
        ssl_key=core.tls_key_file,
        ssl_protocol_min=SSLProtocols.tls12,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(DEADLINE * 1000), max_buffer_size=_LARGEST_HEAD
        ),
        interface=Interfaces.ASGINL,
        workers=core.workers,
        backlog=connections.MOST,
        backpressure=connections.MOST // core.workers,
        websockets=False,
        log_level=LogLevels.warning,
        log_dictconfig=logging_to,
        respawn_failed_workers=True,
        workers_kill_timeout=_KILL_AFTER,
    )
    stop.end_if_signalled()
    stop.pass_signals_to(server)
    server.serve()


def _where(settings: Settings) -> str:
    """Name what the service listens on, and the URL of its users where that is another."""
    core = settings.core
    if core.unix_socket is not None:
        return f"unix:{core.unix_socket} for {settings.base_url}"
    scheme = "https" if settings.tls else "http"
    host = f"[{core.host}]" if ":" in core.host else core.host
    local = f"{scheme}://localhost:{core.port}"
    if settings.base_url == local and core.host in {"127.0.0.1", "::1"}:
        return local
    return f"{scheme}://{host}:{core.port} for {settings.base_url}"


def _check_up(around: checkup.CheckupContext, despite_errors: bool) -> None:
    """Log the findings of the check-up, without its slow checks. Raises CheckupProblem."""
    result = checkup.run(around)
    if not despite_errors:
        checkup.refuse_errors(result)
    for found in result.findings:
        _log.log(found.severity.level, "%s %s %s", found.code, found.message, found.remedy)


def prepare(auth: Auth) -> None:
    """Bring a SQLite database to our schema; require it of PostgreSQL. Raises SchemaProblem."""
    if auth.registry.db.file is None:
        auth.require_schema()
    else:
        auth.upgrade()


def as_text(value: Any) -> str:
    """Write a value as JSON that a person can read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _require_free_socket(path: Path) -> None:
    """Remove a socket on which no process listens, and check that a new one can be made.

    Raises SettingsProblem where a process listens, another file is there, or none can be made.
    """
    if not path.parent.is_dir():
        raise SettingsProblem(f"cannot listen on {path}: its folder is not there")
    if path.exists() and not path.is_socket():
        raise SettingsProblem(f"cannot listen on {path}: something else is there")
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe,
            suppress(FileNotFoundError, ConnectionRefusedError),
        ):
            probe.connect(str(path))
            raise SettingsProblem(f"cannot listen on {path}: another program does already")
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError as error:
        # A path that is too long fails in Python itself, without a strerror.
        raise SettingsProblem(f"cannot listen on {path}: {error.strerror or error}") from None


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
