"""Hearing SIGTERM and SIGINT at any moment of `bienvenue serve`, from its first line to its last.

Three things lose a signal otherwise, each seen in one start of a hundred or fewer:

* An exception raised by a handler while Python runs a callback of its own, as one of an import's
  locks, is printed and dropped. So what was heard is written down too, and looked at again.
* A process that was forked has the handlers of its parent until it sets others, and a signal that
  comes between is lost in them. So signals wait while a process is forked.
* The server waits for a `threading.Event`, whose lock is not reentrant: a handler that sets it in
  the moment in which the same thread begins to wait holds the process for good. And it clears it
  when it starts a process anew, whatever was heard meanwhile.
"""

import os
import queue
import signal
import sys
from contextlib import suppress
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_TURN = 0.25
"""Seconds between two looks at what another thread may have received."""


class Stop:
    """Whether this process was told to stop, before it serves and while it does."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self._heard = False

    def listen(self) -> None:
        """End this process when it is told to, until a server listens instead.

        The first process of a container ignores SIGTERM unless it says what it does.
        """
        for number in _SIGNALS:
            signal.signal(number, self._end)

    def _end(self, *_: object) -> None:
        self._heard = True
        sys.exit(0)

    def end_if_told(self) -> None:
        """End this process if a signal was heard whose exception was dropped."""
        if self._heard:
            sys.exit(0)

    def hand_over(self, server: Any) -> None:
        """Let a server of granian hear what comes from now on, and what came until now."""
        server.main_loop_interrupt = _Interrupt(server)
        os.register_at_fork(
            before=_hold, after_in_parent=_release, after_in_child=_die_when_told_and_release
        )

        @server.on_startup  # type: ignore[untyped-decorator]  # granian is an extra, without types here
        def _started() -> None:
            # The server set its own handlers a moment ago.
            if self._heard:
                server.signal_handler_interrupt()


class _Interrupt:
    """What granian's first process waits for, as an Event that its own handlers may set.

    A SimpleQueue is reentrant: a signal's handler may put into it whatever its thread is doing.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._told: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        self._told.put(None)

    def wait(self) -> None:
        """Wait in short turns: a signal that another thread received is heard between two."""
        while True:
            with suppress(queue.Empty):
                self._told.put(self._told.get(timeout=_TURN))
                return

    def clear(self) -> None:
        """Forget what was told, except that the server is to stop."""
        while not self._told.empty():
            self._told.get()
        if self._server.interrupt_signal:
            self.set()


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _die_when_told_and_release() -> None:
    """Let a signal end the new process, until the server has its application and says otherwise."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    _release()
