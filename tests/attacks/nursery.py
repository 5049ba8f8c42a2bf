"""Processes that begin with the libraries and the service loaded, and nothing of the course.

Loading them takes more than a second of a processor, and the attacks start hundreds of processes.
So one process loads them and is forked each time. A child that is given the path of a broken build
forgets the service and loads that one.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.attacks.libraries"])


def load_nothing() -> None:
    """Let each process load what it needs: sooner done where only one or two are started."""
    _context.set_forkserver_preload([])


@dataclass(frozen=True)
class Cradle:
    """Where a process begins."""

    folder: Path
    #: Comes before all others among the places that modules are loaded from.
    path: Path | None
    environment: Mapping[str, str]
    #: What it prints is added here.
    log: Path
    #: What it prints as errors, where that is told apart.
    errors: Path | None = None
    #: Whether it begins a session, in which it may start processes of its own.
    session: bool = False


class Child:
    """A process that was started here."""

    def __init__(self, cradle: Cradle, function: Callable[..., None], *arguments: object) -> None:
        """Run a function of the tests there, with exactly the environment given."""
        theirs, self._mine = _context.Pipe(duplex=False)
        # Its standard input ends with the process of the tests, however that ends.
        given = (cradle, theirs, function, *arguments)
        # A daemon, as multiprocessing means it, may have no children.
        self._process = _context.Process(target=_live, args=given, daemon=not cradle.session)
        self._process.start()
        theirs.close()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status is not None

    @property
    def status(self) -> int | None:
        """The status it ended with, None while it runs."""
        return self._process.exitcode

    @property
    def number(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` takes to wait for its end."""
        return self._process.sentinel

    def kill(self) -> None:
        """Give it no moment to finish anything."""
        self._process.kill()

    def tell(self, text: str) -> None:
        """Write to its standard input, which ends there."""
        os.write(self._mine.fileno(), text.encode())
        self._mine.close()

    def end_within(self, patience: float | None) -> int:
        """Wait until it has ended and give its status. Raises TimeoutExpired."""
        self._process.join(patience)
        if self.status is None:
            raise subprocess.TimeoutExpired("a process of the nursery", patience or 0)
        return self.status

    def wait(self, patience: float) -> int:
        """End its standard input and give its status; after so many seconds it is killed."""
        self._mine.close()
        self._process.join(patience)
        if not self.ended:
            self.kill()
            self._process.join()
        code = self._process.exitcode
        self._process.close()
        assert code is not None
        return code


def _live(
    cradle: Cradle, stdin: Connection, function: Callable[..., None], *arguments: object
) -> None:
    if cradle.session:
        os.setsid()
        # The processes that it starts begin as they would if this one had begun by itself.
        multiprocessing.set_start_method(None, force=True)
    os.chdir(cradle.folder)
    os.environ.clear()
    os.environ.update(cradle.environment)
    # As an interpreter does that begins there.
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [place for place in named if place not in {"", *sys.path}]
    if cradle.path is not None:
        _forget_the_service(cradle.path)
        sys.path.insert(0, str(cradle.path))
    os.dup2(stdin.fileno(), 0)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (it stays open)
    for number, file in ((1, cradle.log), (2, cradle.errors or cradle.log)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), number)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a file
    measured = _measured()
    try:
        function(*arguments)
    finally:
        if measured is not None:
            measured.stop()
            measured.save()


def _forget_the_service(path: Path) -> None:
    """Unload the service, unless it is the one of this path."""
    loaded = sys.modules.get("bienvenue")
    if loaded is None or Path(str(loaded.__file__)).parent.parent == path:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "bienvenue"]:
        del sys.modules[name]


def _measured() -> Any:
    """Begin to write down which lines are run, where the environment asks for it."""
    if not any(name.startswith("COVERAGE_PROCESS_") for name in os.environ):
        return None
    from coverage import process_startup  # noqa: PLC0415 (only `make check` measures)

    return process_startup(force=True)
