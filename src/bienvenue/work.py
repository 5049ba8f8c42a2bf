"""Background work: sending emails, sealing the audit log, deleting expired rows.

Each kind has a thread of its own, in each process of `bienvenue serve` or, under another WSGI
server, of `bienvenue work`: a slow mail server delays no sealed batch. Any number of processes may
work at once on one database.
"""

import logging
import threading
import time
from collections.abc import Callable

from bienvenue import clock
from bienvenue.auth import Auth
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Feature

_log = logging.getLogger("bienvenue")

EVERY = 5.0
"""Seconds between two rounds of a feature's work."""

SWEEP_EVERY = 60.0
"""Seconds between two rounds that delete what has expired."""

LEAP, SILENCE, WAIT = 3600.0, 86400.0, 86400.0
"""Seconds that the clock may leap ahead, and that a service may be silent before it starts, without
delaying the clean-up; and how long it is delayed otherwise.
"""


class SteadyTime:
    """The time of the clean-up, which for a day does not follow a clock that leaps ahead.

    What has expired is refused by a condition of its own already. Deleting it, an account above
    all, cannot be undone when the clock is corrected, so that waits.
    """

    def __init__(self, newest: float | None) -> None:
        """Take the time of the newest event (seconds since 1970), None without events."""
        now = clock.now()
        silent = newest is not None and now - newest > SILENCE
        self._believed = newest if newest is not None and silent else now
        self._read_at = time.monotonic()
        self._doubted_since: float | None = None

    def now(self) -> float:
        """Return the time up to which expired rows are deleted, in seconds since 1970."""
        now, read_at = clock.now(), time.monotonic()
        steady = self._believed + read_at - self._read_at
        leapt = now - steady
        if leapt > LEAP and self._doubted_since is None:
            self._doubted_since = read_at
            _log.warning(
                "the clock is %d h ahead of what this service knows: nothing is deleted for that "
                "time before a day has passed",
                leapt / 3600,
            )
        if leapt <= LEAP or read_at - (self._doubted_since or read_at) >= WAIT:
            steady, self._doubted_since = now, None
        self._believed, self._read_at = steady, read_at
        return steady


def run(auth: Auth, stop: threading.Event) -> None:
    """Work in rounds until `stop` is set. A round that fails is logged, and the next retries."""
    times: list[SteadyTime] = []

    def sweep() -> None:
        if not times:
            # Not before the first round: the database may be away when the work starts.
            times.append(SteadyTime(auth.audit.newest()))
        now = times[0].now()
        while auth.sweep(now) and not stop.is_set():
            pass

    works = [feature for feature in auth.features if type(feature).work is not Feature.work]
    jobs: list[tuple[str, Callable[[], object], float]] = [
        *((feature.name, feature.work, EVERY) for feature in works),
        ("clean-up", sweep, SWEEP_EVERY),
    ]
    threads = [
        threading.Thread(target=_repeat, args=(*job, stop), name=job[0], daemon=True)
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            # In short turns: Python handles a signal of another thread between two of them.
            thread.join(1.0)


def _repeat(name: str, job: Callable[[], object], every: float, stop: threading.Event) -> None:
    while True:
        try:
            job()
        except DatabaseUnavailable as error:
            _log.warning("the work of %s waits for its next round: %s", name, error)
        except Exception:  # noqa: BLE001 (no other thread does this work)
            _log.exception("a round of the work of %s failed", name)
        if stop.wait(every):
            return


def beside(auth: Auth) -> threading.Event:
    """Start the work in threads of this process; setting the returned event ends it."""
    stop = threading.Event()
    threading.Thread(target=run, args=(auth, stop), name="work", daemon=True).start()
    return stop
