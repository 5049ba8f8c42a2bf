"""The ASGI application of `bienvenue serve`: the edge and, behind it, Flask."""

import multiprocessing
import os
import signal
import threading
import time

from bienvenue import work
from bienvenue.app import create_app
from bienvenue.edge import Edge
from bienvenue.web.door import Door

_LAST_WORDS = 20
"""Seconds for finishing what was begun, for a process whose parent is gone."""

_flask = create_app()
_door: Door = _flask.extensions["bienvenue"]

app = Edge(_flask, _door.settings.core.threads)

# In each process that serves, and not in the one that starts them: that one forks at any time, and
# what a thread of it held then would stay locked in the new process for good.
work.beside(_door.auth)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """Stop as when asked to, once the process that made this one is gone, however it ended."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_WORDS)
    os._exit(1)


if (_parent := multiprocessing.parent_process()) is not None:
    # It holds the port, and nobody else would ever stop it or start it again.
    threading.Thread(target=_end_with, args=(_parent,), name="orphan", daemon=True).start()
