"""The ASGI application of `bienvenue serve`: the edge and, behind it, Flask."""

import gc
import multiprocessing
import os
import signal
import threading
import time

from bienvenue import user_agent, work
from bienvenue.app import create_app
from bienvenue.edge import Edge
from bienvenue.web.dispatch import Dispatcher

_LAST_WORDS = 20
"""Seconds for finishing what was begun, for a process whose parent is gone."""

flask = create_app()
door: Dispatcher = flask.extensions["bienvenue"]

app = Edge(flask, door.settings.core.threads)

# In each process that serves, and not in the one that starts them: that one forks at any time, and
# what a thread of it held then would stay locked in the new process for good.
work.beside(door.auth)


def end_with_parent() -> None:
    """Stop as when told to, once the process that made this one is gone, however it ended.

    This one holds the port, and nobody else would ever stop it or start it again.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LAST_WORDS)
        os._exit(1)

    threading.Thread(target=wait, name="orphan", daemon=True).start()


end_with_parent()
user_agent.load()

# All that was loaded stays for good: a collector that walks through it only holds people up.
gc.collect()
gc.freeze()
