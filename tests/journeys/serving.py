"""Runs `bienvenue serve` as an operator does, and asks it things as a program does."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from tests.attacks import harness
from tests.attacks.nursery import Child, Cradle
from tests.ports import free_port, wait_until
from tests.thorough import often

COMMAND = [sys.executable, "-m", "bienvenue"]
KILLS = int(os.environ.get("KILLS", often(3, 20)))
"""How often the tests of crashes kill what they test, on each database."""
_PATIENCE = 60.0


@dataclass(frozen=True)
class Heard:
    """What the service answered."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Program:
    """A program that keeps its cookies. Every request is a connection of its own."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Heard:
        """Send form fields and give what comes back."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        try:
            connection.request(method, path, urlencode(form) if form else None, headers)
            answer = connection.getresponse()
            heard = Heard(answer.status, answer.getheaders(), answer.read().decode())
        finally:
            connection.close()
        for name, value in heard.headers:
            if name.lower() == "set-cookie":
                self._keep(SimpleCookie(value))
        return heard

    def _keep(self, sent: SimpleCookie) -> None:
        for name, cookie in sent.items():
            if cookie["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = cookie.value


class Process(Protocol):
    """A process, as the standard library's subprocess has it."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Give its status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends and give its status. Raises TimeoutExpired."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""

    def kill(self) -> None:
        """Give it no moment to finish anything."""


class Nursed:
    """A process of ours that begins with the libraries loaded, in a session of its own."""

    def __init__(self, folder: Path, environ: Mapping[str, str], log: Path, *command: str) -> None:
        """Run a command of ours; what it prints is added to a file."""
        cradle = Cradle(folder, None, environ, log, session=True)
        self._child = Child(cradle, harness.command, *command)
        self.pid = self._child.number

    def poll(self) -> int | None:
        """Give its status, None while it runs."""
        return self._child.status

    def kill(self) -> None:
        """Give it no moment to finish anything."""
        self._child.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends and give its status. Raises TimeoutExpired."""
        return self._child.end_within(timeout)

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it is known to have ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


@dataclass(frozen=True)
class Served:
    """A service that runs."""

    process: Process
    port: int
    log: Path

    def program(self) -> Program:
        """A new program that asks it."""
        return Program(self.port)

    def workers(self) -> list[int]:
        """The processes that answer, by their numbers."""
        own = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(number) for number in own.read_text().split()]
        # Python's own tracker of shared resources is a child too, and answers nothing.
        return [child for child in children if "tracker" not in _command_of(child)]

    def wait_for(self, answered: Callable[[], bool]) -> None:
        """Wait until it answers as it should. Raises AssertionError, with its log, if it ends."""
        process = self.process

        def over() -> bool:
            try:
                return process.poll() is not None or answered()
            except OSError:
                return False

        assert wait_until(over, _PATIENCE), self.log.read_text()
        assert process.poll() is None, f"the service did not start: {self.log.read_text()}"

    def stop(self, patience: float = 30.0) -> int:
        """Ask it to stop and give its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)


def _command_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return "tracker of something gone"


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Give an environment with these settings and no others of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BIENVENUE_")}
    own = {"BIENVENUE_INSTANCE": str(folder / "instance"), "BIENVENUE_BCRYPT_COST": "4"}
    return kept | own | {f"BIENVENUE_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def serving(folder: Path, *options: str, **settings: str) -> Iterator[Served]:
    """Serve from a folder until the block ends; nothing of it stays.

    It begins with the libraries loaded: loading them would take most of the time of many tests.
    """
    with beginning(folder, *options, **settings) as served:
        served.wait_for(lambda: answers(served))
        yield served


@contextmanager
def beginning(folder: Path, *options: str, **settings: str) -> Iterator[Served]:
    """Serve like `serving`, and wait for nothing: the block begins before anyone answers."""
    port, log = free_port(), folder / "serve.log"
    log.write_text("")
    command = _serve(port, options)
    process = Nursed(folder, environment(folder, **settings), log, *command)
    with ending(process):
        yield Served(process, port, log)


@contextmanager
def starting(folder: Path, *options: str, **settings: str) -> Iterator[Served]:
    """Serve as an operator does, and wait for nothing: the block begins before anyone answers."""
    port = free_port()
    with launched([*COMMAND, *_serve(port, options)], port, folder, **settings) as served:
        yield served


@contextmanager
def starting_unmeasured(folder: Path, *options: str) -> Iterator[Served]:
    """Serve like `starting`, in processes whose coverage is not measured.

    What measures it takes the signals of a process over while Python starts, and drops one that
    comes in that moment: a test of signals does not measure.
    """
    port, environ = free_port(), environment(folder)
    for name in [name for name in environ if name.startswith("COVERAGE_")]:
        del environ[name]
    with _launched([*COMMAND, *_serve(port, options)], port, folder, environ) as served:
        yield served


def _serve(port: int, options: Sequence[str]) -> list[str]:
    # Hashes cost so little here that the check-up would refuse.
    return ["serve", "--despite-errors", "--port", str(port), *options]


@contextmanager
def ending(process: Process) -> Iterator[None]:
    """Kill a process and all of its session at the end of the block."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


@contextmanager
def launched(
    wanted: Sequence[str], port: int, folder: Path, /, **settings: str
) -> Iterator[Served]:
    """Run a server in a session of its own until the block ends; nothing of it stays."""
    with _launched(wanted, port, folder, environment(folder, **settings)) as served:
        yield served


@contextmanager
def _launched(
    wanted: Sequence[str], port: int, folder: Path, environ: Mapping[str, str]
) -> Iterator[Served]:
    log = folder / "serve.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            wanted,
            cwd=folder,
            env=environ,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    with ending(process):
        yield Served(process, port, log)


def answers(served: Served) -> bool:
    """Tell whether it answers."""
    try:
        return served.program().ask("GET", "/healthz").status == 200
    except OSError:
        return False


def command(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run one command of ours to its end, in a process that begins with the libraries loaded."""
    with tempfile.TemporaryDirectory() as name:
        said, wrong = Path(name, "out"), Path(name, "err")
        cradle = Cradle(folder, None, environment(folder, **settings), said, wrong)
        code = Child(cradle, harness.command, *arguments).wait(_PATIENCE)
        return subprocess.CompletedProcess(arguments, code, said.read_text(), wrong.read_text())
