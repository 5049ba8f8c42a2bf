"""Runs `bienvenue` and `python` for a shell in processes that begin with the libraries loaded.

A page of the documentation has dozens of commands, and loading takes most of each. So small
programs of the same names come first on the shell's PATH. Each hands its arguments, folder,
environment, rights of new files and open files to this process, passes signals on, and ends with
the status of the command.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.attacks import harness
from tests.attacks.nursery import Child, Cradle

PROGRAM = """\
#!{python} -IS
import json, os, signal, socket, sys
rights = os.umask(0)
os.umask(rights)
asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ), rights]).encode()
with socket.socket(socket.AF_UNIX) as gate:
    gate.connect({gate!r})
    socket.send_fds(gate, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    gate.sendall(asked)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: gate.send(bytes([number])))
    said = gate.recv(1)
sys.exit(said[0] if said else 1)
"""


@contextmanager
def commands() -> Iterator[Path]:
    """Give a folder for the PATH of a shell, whose programs run here until the block ends."""
    with TemporaryDirectory(prefix="gate-") as name, socket.socket(socket.AF_UNIX) as gate:
        address = Path(name, "gate")
        for program in (Path(name, "bienvenue"), Path(name, "python")):
            program.write_text(PROGRAM.format(python=sys.executable, gate=str(address)))
            program.chmod(0o700)
        gate.bind(str(address))
        gate.listen()
        clerk = _Clerk()
        opened = threading.Thread(target=clerk.receive, args=(gate,))
        opened.start()
        try:
            yield Path(name)
        finally:
            gate.shutdown(socket.SHUT_RDWR)
            opened.join()
            clerk.close()


class _Clerk:
    """Runs what is asked for, each in a thread of its own."""

    def __init__(self) -> None:
        # The library's list of processes is for one thread at a time.
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def receive(self, gate: socket.socket) -> None:
        """Take on anyone who comes, until the gate is shut."""
        with suppress(OSError):
            while True:
                asking, _ = gate.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(asking,)))
                self._threads[-1].start()

    def close(self) -> None:
        """Wait for the last of them; the caller is gone, so they end now."""
        for thread in self._threads:
            thread.join()

    def _serve(self, asking: socket.socket) -> None:
        with asking:
            size, files, _, _ = socket.recv_fds(asking, 4, 3)
            opened = [Connection(file) for file in files]
            asked = asking.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
            arguments, folder, environ, rights = json.loads(asked)
            cradle = Cradle(Path(folder), None, environ, Path(os.devnull), session=True)
            with self._lock:
                child = Child(cradle, _command, rights, opened, *arguments)
            for connection in opened:
                connection.close()
            while child.sentinel not in wait([child.sentinel, asking]):
                if number := asking.recv(1):
                    os.kill(child.number, number[0])
                    continue
                # The caller was killed, and so is what it started.
                with suppress(ProcessLookupError):
                    os.killpg(child.number, signal.SIGKILL)
                child.kill()
                break
            with self._lock:
                code = child.end_within(None)
            with suppress(OSError):
                asking.send(bytes([code if code >= 0 else 128 - code]))


def _command(rights: int, files: list[Connection], program: str, *arguments: str) -> None:
    os.umask(rights)
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
        file.close()
    if Path(program).name == "python":
        python(*arguments)
    else:
        harness.command(*arguments)


def python(*arguments: str) -> None:
    """Do what the interpreter does: run a file, a text behind `-c`, or what standard input has."""
    sys.argv = list(arguments) or [""]
    if arguments and arguments[0] != "-c":
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")
        return
    sys.path.insert(0, "")
    if arguments:
        text, sys.argv = arguments[1], ["-c", *arguments[2:]]
    else:
        text = sys.stdin.read()
    exec(compile(text, "<string>", "exec", dont_inherit=True), {"__name__": "__main__"})
