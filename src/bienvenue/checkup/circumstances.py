"""What the checks look at, how bad a finding can be, and the list of all checks."""

import enum
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask.helpers import get_debug_flag

from bienvenue import schema
from bienvenue.auth import Auth
from bienvenue.client_ip import address_of
from bienvenue.db import DB, DatabaseUnavailable
from bienvenue.schema import State


class Severity(enum.Enum):
    """How bad a finding is."""

    #: It must not stay so; `bienvenue serve` refuses to start.
    ERROR = "error"
    #: It works and is worse than it should be.
    WARNING = "warning"
    #: It may be meant so.
    NOTE = "note"

    @property
    def level(self) -> int:
        """The level at which the log has it."""
        return {"error": logging.ERROR, "warning": logging.WARNING}.get(self.value, logging.INFO)


class Circumstances:
    """What the checks look at."""

    def __init__(self, auth: Auth, db: DB, *, debug: bool | None = None) -> None:
        """Take the service and its database; `debug` is the application's own, if there is one."""
        self.auth = auth
        self.db = db
        self.settings = auth.settings
        self.core = auth.settings.core
        self.debug = get_debug_flag() if debug is None else debug
        #: Whether only this machine can use the base URL, and only this machine can connect.
        self.base_is_here = _is_here(str(urlsplit(auth.settings.base_url).hostname))
        self.bind_is_here = self.core.unix_socket is not None or _is_here(self.core.host)
        #: The file of SQLite.
        self.file = db.file

    @functools.cached_property
    def database(self) -> State | DatabaseUnavailable | None:
        """What stands in the database, why it cannot say, or None while SQLite has no file yet."""
        if self.file is not None and not self.file.exists():
            return None
        try:
            return schema.state(self.db)
        except DatabaseUnavailable as error:
            return error


Look = Callable[[Circumstances], str | None]
"""A look at the circumstances: a sentence about what is wrong, or None."""


@dataclass(frozen=True)
class Check:
    """A look under its number, with what to do when it finds something."""

    code: str
    severity: Severity
    remedy: str
    look: Look
    slow: bool


CHECKS: list[Check] = []


def check(
    code: str, severity: Severity, remedy: str, *, slow: bool = False
) -> Callable[[Look], Look]:
    """Put the function below on the list of checks."""

    def number(look: Look) -> Look:
        CHECKS.append(Check(code, severity, remedy, look, slow))
        return look

    return number


def _is_here(host: str) -> bool:
    """Tell whether a name or ip is this machine's own, which nobody else can reach."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback
