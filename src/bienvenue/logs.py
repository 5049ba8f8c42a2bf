"""Logs: one line a record, each with the id of its request.

Only `bienvenue serve` configures them: a host application has a log of its own. But wherever the
records of the logger `bienvenue` go, they never hold the message of an exception, which may repeat
an email or a secret: a traceback shows places and kinds alone (ASVS 16.2.5, 16.4.1, 16.5.1).
"""

import json
import logging
import os
import random
import re
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

LOGGER = "bienvenue"
HEADER = "X-Request-Id"
KEY = "bienvenue.request_id"
"""The key of a request's id in its WSGI environment, which no header can set."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
#: For names, not secrets: random numbers of the system would slow a session check by a tenth.
_random = random.Random()  # noqa: S311 (as above)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def name_request(given: str | None = None) -> str:
    """Start a request and return its id: the given one if it is well formed, or a random one.

    `given` comes from a trusted proxy only; an id has 1 to 128 of the characters A-Z a-z 0-9 . _ -
    """
    name = (
        given if given is not None and _ID.fullmatch(given) else f"{_random.getrandbits(128):032x}"
    )
    _request_id.set(name)
    return name


def request_id() -> str:
    """Return the id of the request that is being answered, "" outside of a request."""
    return _request_id.get()


def end_request(enclosing: str = "") -> None:
    """Clear the id: later records of this thread belong to no request, or to the enclosing one."""
    _request_id.set(enclosing)


def traceback_of(error: BaseException) -> str:
    """Return the places and the kind of an exception as text, without its message."""
    chain: list[BaseException] = []
    while error not in chain:
        chain.insert(0, error)
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        error = before or error
    lines: list[str] = []
    for link in chain:
        lines += [line.rstrip("\n") for line in traceback.format_tb(link.__traceback__)]
        lines.append(_kind(link))
    return "\n".join(lines)


def _kind(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    if state is not None:
        return f"{kind} (SQLSTATE {state})"
    number = getattr(error, "errno", None)
    return kind if number is None else f"{kind} (errno {number})"


def _without_messages(record: logging.LogRecord) -> bool:
    """Replace the exception of a record by its traceback without messages."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = traceback_of(record.exc_info[1])
        record.exc_info = None
    return True


logging.getLogger(LOGGER).addFilter(_without_messages)


class _OneLine(logging.Formatter):
    """The part that both formats share."""

    @staticmethod
    def time_of(record: logging.LogRecord) -> str:
        """Return the time of a record as RFC 3339 in UTC, to the millisecond."""
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @staticmethod
    def trace_of(record: logging.LogRecord) -> str | None:
        """Return the traceback of a record; those of libraries still hold messages here."""
        _without_messages(record)
        return record.exc_text


class Text(_OneLine):
    """`2026-11-21T08:00:00.000Z WARNING bienvenue 3f…: what happened`, a traceback indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text that cannot start a line or move the cursor of a terminal."""
        trace = self.trace_of(record)
        head = f"{self.time_of(record)} {record.levelname} {record.name} {request_id() or '-'}: "
        lines = [head + printable(record.getMessage())]
        if trace:
            lines += [f"    {printable(line)}" for line in trace.splitlines()]
        return "\n".join(lines)


class Json(_OneLine):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        written: dict[str, Any] = {
            "time": self.time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id() or None,
        }
        trace = self.trace_of(record)
        if trace:
            written["traceback"] = trace.splitlines()
        return json.dumps(written)


def printable(text: str) -> str:
    """Escape invisible characters: line ends of every kind, ESC, marks of text direction."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configuration(style: str, level: str) -> dict[str, Any]:
    """Return a configuration for `logging.config.dictConfig` that writes to standard error.

    `level` is that of our own records. Libraries log warnings only: at lower levels some of them
    log rows and requests.
    """
    formatter = Json if style == "json" else Text
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {LOGGER: {"()": f"{formatter.__module__}.{formatter.__qualname__}"}},
        "handlers": {
            LOGGER: {
                "class": "logging.StreamHandler",
                "formatter": LOGGER,
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": [LOGGER], "level": "WARNING"},
        "loggers": {LOGGER: {"level": level.upper()}},
    }
