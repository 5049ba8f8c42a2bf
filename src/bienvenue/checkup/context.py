"""The input of the checks, and the list of all checks of the service."""

import functools
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import current_app, has_app_context
from flask.helpers import get_debug_flag

from bienvenue import schema
from bienvenue.auth import Auth
from bienvenue.client_ip import address_of
from bienvenue.db import DB, DatabaseUnavailable
from bienvenue.finding import Check, Severity
from bienvenue.schema import State


class CheckupContext:
    """The service, its settings and its database, as the checks read them."""

    def __init__(self, auth: Auth, db: DB, *, debug: bool | None = None) -> None:
        """Take the service and its database; `debug` is that of the application, if any."""
        self.auth = auth
        self.db = db
        self.settings = auth.settings
        self.core = auth.settings.core
        self.debug = get_debug_flag() if debug is None else debug
        #: Whether only this machine can use the base URL, and whether only it can connect.
        self.base_is_here = _is_here(str(urlsplit(auth.settings.base_url).hostname))
        self.bind_is_here = self.core.unix_socket is not None or _is_here(self.core.host)
        #: The path of the pages below the base URL, as links in emails have it.
        self.registry_mount = auth.registry.mount
        #: The path that the configuration of an application names; None where it names none.
        self.application_mount = _application_mount()
        #: The file of a SQLite database, or None.
        self.file = db.file

    @functools.cached_property
    def database(self) -> State | DatabaseUnavailable | None:
        """The state of the database, the error of reading it, or None without a SQLite file."""
        if self.file is not None and not self.file.exists():
            return None
        try:
            return schema.state(self.db)
        except DatabaseUnavailable as error:
            return error

    @functools.cached_property
    def pending(self) -> list[str]:
        """The features whose tables are not of this version; none when the database is away."""
        try:
            return schema.pending(self.db, self.auth.registry.migrations)
        except DatabaseUnavailable:
            return []


Look = Callable[[CheckupContext], str | None]
"""The function of a check: returns a sentence about what is wrong, or None."""


CHECKS: list[Check[CheckupContext]] = []


def check(
    code: str, severity: Severity, remedy: str, *, slow: bool = False
) -> Callable[[Look], Look]:
    """Add the decorated function to CHECKS; only `bienvenue check` runs a `slow` one."""

    def add(look: Look) -> Look:
        CHECKS.append(Check(code, severity, remedy, look, slow))
        return look

    return add


def _application_mount() -> str | None:
    """Return Flask's APPLICATION_ROOT of the application whose command this is."""
    mount = current_app.config["APPLICATION_ROOT"] if has_app_context() else "/"
    return None if mount == "/" else str(mount).rstrip("/")


def _is_here(host: str) -> bool:
    """Return whether a host is local, so that no other machine can reach it."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback
