"""Stopping: SIGTERM and SIGINT end `bienvenue serve` at any moment of its run.

Three things lose a signal otherwise, each seen in one start of a hundred or fewer:

* Python prints and drops an exception that a handler raises within a callback of Python itself,
  for example that of an import lock. So the handler also records the signal, for a later check,
  and ends the process itself when the exception did not within a second.
* A forked process has the handlers of its parent until it sets others, and these lose a signal.
  So signals are blocked while a process is forked.
* The server waits for a `threading.Event`, whose lock is not reentrant: a handler that sets it
  while the same thread starts to wait blocks the process for good. And the server clears the event
  when it restarts a process, even after a signal.
"""

import atexit
import os
import queue
import signal
import sys
from contextlib import suppress
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_TURN = 0.25
"""Seconds after which to check again for a signal that another thread received."""

_PATIENCE = 1.0
"""Seconds that the exception of a signal has for ending the process, before serving."""


def listen_as_first_process() -> None:
    """Let SIGTERM end the first process of a container from its first instructions on.

    Linux ignores the signals of a process with number 1 that has no handler for them. The status is
    that of a process that a signal ended, as shells write it.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


class Stop:
    """Whether this process received a signal to stop, before it serves and while it does."""

    def __init__(self) -> None:
        """Start without a signal."""
        self._received = False

    def listen(self) -> None:
        """Let SIGTERM and SIGINT end this process, until a server handles them instead."""
        for number in _SIGNALS:
            signal.signal(number, self._end)
        signal.signal(signal.SIGALRM, _end_at_once)
        # Python ends with the default handlers, and would say that an alarm killed it.
        atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)

    def _end(self, *_: object) -> None:
        self._received = True
        # What remains of a start can take longer than the five seconds of a stop.
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        sys.exit(0)

    def end_if_signalled(self) -> None:
        """End this process if it received a signal whose exception was dropped."""
        if self._received:
            sys.exit(0)

    def pass_signals_to(self, server: Any) -> None:
        """Pass to a server of granian the signals of the past and those to come."""
        server.main_loop_interrupt = _Interrupt(server)
        os.register_at_fork(
            before=_hold, after_in_parent=_release, after_in_child=_reset_and_release
        )

        @server.on_startup  # type: ignore[untyped-decorator]  # granian is an extra, without types here
        def _started() -> None:
            # The server has just set its own handlers, and ends its processes itself.
            signal.setitimer(signal.ITIMER_REAL, 0)
            if self._received:
                server.signal_handler_interrupt()


def _end_at_once(*_: object) -> None:
    """End a start whose exception was dropped: whatever it was at outlives a kill, too."""
    os._exit(0)


class _Interrupt:
    """The event for which granian's first process waits, safe to set in a signal handler.

    A SimpleQueue is reentrant: a handler may put into it at any moment of its thread.
    """

    def __init__(self, server: Any) -> None:
        self._server = server
        self._queue: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        self._queue.put(None)

    def wait(self) -> None:
        """Wait in short turns: Python handles a signal that another thread received between two."""
        while True:
            with suppress(queue.Empty):
                self._queue.put(self._queue.get(timeout=_TURN))
                return

    def clear(self) -> None:
        """Clear the event, unless the server is to stop."""
        while not self._queue.empty():
            self._queue.get()
        if self._server.interrupt_signal:
            self.set()


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _reset_and_release() -> None:
    """Let a signal end the new process, until the server sets its handlers there."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    _release()
