"""The fields of users who are imported or exported, and how each is read.

A feature lists its own in `user_fields`. A reader takes a value of CSV (text), of JSON or of a
database, returns it as the feature stores it, and raises ValueError with what is wrong with it.
"""

import functools
import math
import re
import uuid as uuids
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from bienvenue import clock, normalize

LONGEST = 512
"""Characters of a text that one field holds."""

_YES, _NO = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}
_TOLERANCE = 86400.0
_LONGEST_LOCAL = 64
_PLAIN_LOCAL = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")


@dataclass(frozen=True)
class UserField:
    """One field of a user; None and an empty text are no value and are not read."""

    name: str
    #: What it holds, for people.
    description: str
    read: Callable[[Any], Any]
    #: Returns what was read as JSON writes it.
    write: Callable[[Any], Any] = lambda value: value
    #: Whether an export has it; some are only another spelling of one that an export has.
    exported: bool = True


def plain(value: Any) -> Any:
    """Return a value of any database as a text, a number, a truth value or a time."""
    if isinstance(value, memoryview):
        value = value.tobytes()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, uuids.UUID):
        return str(value)
    return float(value) if isinstance(value, Decimal) else value


def text(value: Any) -> str:
    """Read a text of at most 512 characters."""
    if not isinstance(value, str):
        raise ValueError("is not a text")  # noqa: TRY004 (a mistake of the line, not of the code)
    if len(value) > LONGEST:
        raise ValueError(f"has more than {LONGEST} characters")
    try:
        return normalize.text(value, "text")
    except normalize.MalformedText:
        raise ValueError("holds a character that is none, or is not UTF-8") from None


def email(value: Any) -> str:
    """Read an email, in the one spelling it is stored in."""
    given = text(value).strip()
    local, _, domain = given.rpartition("@")
    try:
        if _PLAIN_LOCAL.fullmatch(local):
            # Validating a domain takes nearly all of the time, and most users share a few.
            return f"{local.lower()}{_domain(domain)}"
        return normalize.email(given)
    except normalize.MalformedEmail:
        raise ValueError("is not an email, as name@example.org") from None


@functools.lru_cache(10_000)
def _domain(domain: str) -> str:
    """Return a domain and its @ as emails have them; valid for every local part of 64 or less."""
    return normalize.email(f"{'x' * _LONGEST_LOCAL}@{domain}")[_LONGEST_LOCAL:]


def uid(value: Any) -> str:
    """Read a UUID."""
    try:
        return str(uuids.UUID(text(value)))
    except ValueError:
        raise ValueError("is not a UUID") from None


def yes_no(value: Any) -> bool:
    """Read a truth value: true and false, yes and no, 1 and 0."""
    if isinstance(value, bool):
        return value
    given = str(value).strip().lower()
    if given in _YES:
        return True
    if given in _NO:
        return False
    raise ValueError("is neither yes nor no")


def moment(value: Any) -> float:
    """Read a time: ISO 8601, in UTC where no zone is named, or seconds since 1970.

    Times of the future are refused, and numbers that are milliseconds with them.
    """
    seconds = _seconds(value)
    if not math.isfinite(seconds) or not 0 <= seconds <= clock.now() + _TOLERANCE:
        raise ValueError("is not a time between 1970 and now")
    return seconds


def _seconds(value: Any) -> float:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 (UTC comes below)
    if isinstance(value, str):
        given = value.strip()
        try:
            return float(given)
        except ValueError:
            pass
        try:
            value = datetime.fromisoformat(given)
        except ValueError:
            raise ValueError(_NO_TIME) from None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(_NO_TIME)  # noqa: TRY004 (as above)
    return float(value)


def moment_or_yes(value: Any) -> float | bool:
    """Read when something began, or whether it did."""
    try:
        return yes_no(value)
    except ValueError:
        return moment(value)


def written(value: float | bool | None) -> str | bool | None:
    """Write a time or a truth value."""
    return value if value is None or isinstance(value, bool) else clock.written(value)


_NO_TIME = "is not a time, as 2026-01-31T12:00:00Z"
