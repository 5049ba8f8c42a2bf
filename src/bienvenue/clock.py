"""The clock: the only place that reads the time, so that tests can move it.

Times are seconds since 1970 in UTC, as a float: the same comparison in Python, SQLite and
PostgreSQL, with no time zone to get wrong (docs/decisions/0003-time-is-seconds.md).
"""

import time
from datetime import UTC, datetime

APART = 60.0
"""Seconds by which the clocks of two machines of one service may differ.

A stored time that lies further ahead than its own rule allows was written by a clock that was
wrong, and is not believed (docs/decisions/0003-time-is-seconds.md).
"""


def now() -> float:
    """Return the current time in seconds since 1970, UTC."""
    return time.time()


def written(moment: float) -> str:
    """Return a moment (seconds since 1970) as RFC 3339 text in UTC, to the second."""
    return in_utc(moment).isoformat().replace("+00:00", "Z")


def in_utc(moment: float) -> datetime:
    """Return a moment (seconds since 1970) as a datetime in UTC, to the second."""
    return datetime.fromtimestamp(int(moment), UTC)
