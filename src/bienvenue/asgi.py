"""The ASGI application of `bienvenue serve`: the edge and, behind it, Flask."""

import gc
import multiprocessing
import os
import signal
import threading
import time

from bienvenue import user_agent, work
from bienvenue.app import create_app
from bienvenue.connections import MOST, Connections, can_be_bounded
from bienvenue.edge import DEADLINE, Edge
from bienvenue.web.dispatch import Dispatcher

_GRACE = 20
"""Seconds that a process whose parent is gone has for finishing its requests."""

flask = create_app()
dispatcher: Dispatcher = flask.extensions["bienvenue"]

app = Edge(flask, dispatcher.settings.core.threads)

# In each process that serves, and not in the one that starts them: that one forks at any time, and
# a lock that one of its threads held then would stay locked in the new process for good.
work.beside(dispatcher.auth)

core = dispatcher.settings.core
if core.unix_socket is None and can_be_bounded():
    Connections(core.port, MOST // core.workers, dispatcher.settings.trusted, DEADLINE).watch()


def end_with_parent() -> None:
    """Stop this process as SIGTERM does, once its parent is gone, however that ended.

    It holds the port, and no other process would ever stop it.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(1)

    threading.Thread(target=wait, name="orphan", daemon=True).start()


end_with_parent()
user_agent.load()

# What is loaded by now stays until the end: a collector that walks it only delays requests.
gc.collect()
gc.freeze()
