"""Bounds for a process that runs a learner's code: time, memory, output, and loopback only.

They stop mistakes. They are no sandbox: code that means harm finds a way round them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

#: Seconds of a processor that one task may take, and seconds that it may sleep; a machine that is
#: busy with other things takes nothing from either.
COMPUTING, SLEEPING = 6.0, 15.0
#: Bytes of memory, and of any file that is written.
MEMORY, FILE = 1 << 30, 16 << 20
#: Open files, and calls of `os.fork` in a row.
FILES, FORKS = 256, 5
#: Seconds of a processor that an app may take while it is attacked.
SERVING = 600
#: Seconds after which a time that ran out is said again to code that did not hear of it.
AGAIN = 0.5

#: `M_ARENA_MAX` of glibc's malloc.h.
_M_ARENA_MAX = -8

_REACHING = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}
_NAMING = {"socket.getaddrinfo", "socket.gethostbyname"}


class TimeUp(BaseException):
    """The time of a task ran out; no `except Exception` of theirs stops it."""


class NotLoopback(OSError):
    """Their code wanted to reach another machine."""


def begin(home: Path, printed: Path, *, computing: float = COMPUTING) -> None:
    """Set the bounds in this process, for good; what it prints goes to a file.

    Args:
        home: what stands in the place of the home folder.
        printed: the file for standard output and error.
        computing: seconds of a processor until `TimeUp` is raised.

    """
    os.environ.update(HOME=str(home), TMPDIR=str(home))
    target = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(target, number)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    one_arena()
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_AS, MEMORY),
    ]
    for kind, most in limits:
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some, and some may be lower
            resource.setrlimit(kind, (most, most))
    with contextlib.suppress(ValueError, OSError):
        # First SIGXCPU, for code that stops the alarm on its way.
        resource.setrlimit(resource.RLIMIT_CPU, (int(computing) + 2, int(computing) + 4))
    signal.signal(signal.SIGPROF, _time_is_up)
    signal.setitimer(signal.ITIMER_PROF, computing, AGAIN)
    begun = time.monotonic()

    def look(*_: object) -> None:
        if time.monotonic() - begun - time.process_time() - _queued() > SLEEPING:
            raise TimeUp

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, SLEEPING, AGAIN)
    loopback_only()
    few_forks()


def while_serving(home: Path) -> None:
    """Set the bounds of a process that serves an app while it is attacked, for good."""
    os.environ.update(HOME=str(home), TMPDIR=str(home))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 4 * FILE),
        (resource.RLIMIT_CPU, SERVING),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))
    loopback_only()
    few_forks()


def one_arena() -> None:
    """Let all threads of this process take memory from one place, where the C library is glibc.

    It reserves 64 MiB of addresses for each further one, up to eight a core, and makes one for a
    thread that finds none free: threads that end late on a busy machine would meet the bound.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def few_forks() -> None:
    """Refuse `os.fork` after some: each child has one left less than its parent had."""
    real, left = os.fork, [FORKS]

    def fork() -> int:
        if left[0] <= 0:
            raise BlockingIOError("a graded program forks a few times only")
        left[0] -= 1
        return real()

    os.fork = fork


def _queued() -> float:
    """Give the seconds that threads of this process were ready and had no processor.

    Linux alone tells, of each thread. Of several that were ready at once each one counts, so that
    a busy machine lengthens the time of a task and never shortens it.
    """
    seconds = 0.0
    for thread in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            seconds += int(thread.read_text().split()[1]) / 1e9
    return seconds


def _time_is_up(*_: object) -> None:
    raise TimeUp


def loopback_only() -> None:
    """Refuse every connection of this process to another machine, for good."""
    sys.addaudithook(_heard)


def _heard(event: str, given: tuple[Any, ...]) -> None:
    if event in _REACHING:
        address = given[1] if len(given) > 1 else None
        host = address[0] if isinstance(address, tuple) else "localhost"
    elif event in _NAMING:
        host = given[0]
    else:
        return
    said = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    # An empty host and 0.0.0.0 are every address of this machine: one may listen there.
    if said not in {None, "", "localhost", "::1", "::", "0.0.0.0"} and not said.startswith("127."):
        raise NotLoopback(f"{said} is another machine; a graded program reaches this one only")
