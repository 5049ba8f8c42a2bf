"""The work that waits for no request: letters, the seals of the record, and clean-up.

A thread of each process of `bienvenue serve` does it; under another WSGI server `bienvenue work`
does. Any number may run at once on one database.
"""

import logging
import threading
import time

from bienvenue import clock
from bienvenue.auth import Auth
from bienvenue.db import DatabaseUnavailable

_log = logging.getLogger("bienvenue")

EVERY = 5.0
"""Seconds between two rounds."""

SWEEP_EVERY = 60.0
"""Seconds between two rounds that also delete what has expired."""


def run(auth: Auth, stop: threading.Event) -> None:
    """Do round after round until `stop` is set. What fails is logged and tried again."""
    swept = -SWEEP_EVERY
    while True:
        try:
            auth.work()
            if time.monotonic() - swept >= SWEEP_EVERY:
                while auth.sweep(clock.now()) and not stop.is_set():
                    pass
                swept = time.monotonic()
        except DatabaseUnavailable as error:
            _log.warning("the work of this round waits for the next: %s", error)
        except Exception:  # noqa: BLE001 (this loop is the only one to seal; it must not end)
            _log.exception("the work of this round failed")
        if stop.wait(EVERY):
            return


def beside(auth: Auth) -> threading.Event:
    """Do the work in a thread of this process; setting the event that is returned ends it."""
    stop = threading.Event()
    threading.Thread(target=run, args=(auth, stop), name="work", daemon=True).start()
    return stop
