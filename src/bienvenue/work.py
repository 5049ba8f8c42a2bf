"""Background work: sending emails, sealing the audit log, deleting expired rows.

Each kind has a thread of its own, in each process of `bienvenue serve` or, under another WSGI
server, of `bienvenue work`: a slow mail server delays no sealed batch. Any number of processes may
work at once on one database.
"""

import logging
import threading
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


def run(auth: Auth, stop: threading.Event) -> None:
    """Work in rounds until `stop` is set. A round that fails is logged, and the next retries."""

    def sweep() -> None:
        while auth.sweep(clock.now()) and not stop.is_set():
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
