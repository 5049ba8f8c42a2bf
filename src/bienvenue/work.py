"""The work that waits for no request: letters, the seals of the record, and clean-up.

Each kind has a thread of its own, in each process of `bienvenue serve` or, under another WSGI
server, of `bienvenue work`; so what waits for a slow mail server keeps no seal waiting. Any number
of processes may work at once on one database.
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
    """Do round after round until `stop` is set. What fails is logged and tried again."""

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
            # In short turns: a signal that woke another thread is heard between two of them.
            thread.join(1.0)


def _repeat(name: str, job: Callable[[], object], every: float, stop: threading.Event) -> None:
    while True:
        try:
            job()
        except DatabaseUnavailable as error:
            _log.warning("the work of %s waits for its next round: %s", name, error)
        except Exception:  # noqa: BLE001 (nobody else does this work; it must not end)
            _log.exception("a round of the work of %s failed", name)
        if stop.wait(every):
            return


def beside(auth: Auth) -> threading.Event:
    """Do the work in threads of this process; setting the event that is returned ends it."""
    stop = threading.Event()
    threading.Thread(target=run, args=(auth, stop), name="work", daemon=True).start()
    return stop
