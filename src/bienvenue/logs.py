"""The log: one record an event, one line a record, each with the id of its request.

Nothing is configured here unless `bienvenue serve` asks: a host application has a log of its own.
But the logger `bienvenue` never lets out what an exception says, wherever its records go: the
message of an exception may repeat an email or a secret, so a traceback shows where and what kind
and nothing else (ASVS 16.2.5, 16.4.1, 16.5.1).
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
"""Where the WSGI environment of a request keeps its id; no header can write there."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
#: Names and no secrets: the system's random numbers would cost a session check a tenth of its time.
_random = random.Random()  # noqa: S311 (as above)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def name_request(given: str | None = None) -> str:
    """Begin a request: take the id it was given, if it is one, or make a random one; return it.

    `given` comes from a trusted proxy only; an id has 1 to 128 of the characters A-Z a-z 0-9 . _ -
    """
    name = (
        given if given is not None and _ID.fullmatch(given) else f"{_random.getrandbits(128):032x}"
    )
    _request_id.set(name)
    return name


def request_id() -> str:
    """Give the id of the request that is being answered, "" outside of one."""
    return _request_id.get()


def end_request() -> None:
    """Forget the id: what this thread logs from here on belongs to no request."""
    _request_id.set("")


def traceback_of(error: BaseException) -> str:
    """Write where an exception came from and of what kind it is, without a word of its message."""
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
    """Put the traceback without messages in place of the exception, before any handler sees it."""
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = traceback_of(record.exc_info[1])
        record.exc_info = None
    return True


logging.getLogger(LOGGER).addFilter(_without_messages)


class _OneLine(logging.Formatter):
    """What both formats share."""

    @staticmethod
    def time_of(record: logging.LogRecord) -> str:
        """Write a record's time as RFC 3339 in UTC, to the millisecond."""
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @staticmethod
    def trace_of(record: logging.LogRecord) -> str | None:
        """Give the traceback of a record; records of libraries are still whole here."""
        _without_messages(record)
        return record.exc_text


class Text(_OneLine):
    """`2026-11-21T08:00:00.000Z WARNING bienvenue 3f…: what happened`, a traceback indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; nothing in it can begin a line or move the cursor of a terminal."""
        trace = self.trace_of(record)
        head = f"{self.time_of(record)} {record.levelname} {record.name} {request_id() or '-'}: "
        lines = [head + _printable(record.getMessage())]
        if trace:
            lines += [f"    {_printable(line)}" for line in trace.splitlines()]
        return "\n".join(lines)


class Json(_OneLine):
    """One JSON object a line, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
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


def _printable(text: str) -> str:
    """Escape what is no visible character: line ends of every kind, ESC, directions of writing."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configuration(style: str, level: str) -> dict[str, Any]:
    """Give what `logging.config.dictConfig` takes: everything goes to standard error.

    `level` is that of our own records. Libraries keep to warnings: at lower levels some of them
    write down rows and requests.
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
