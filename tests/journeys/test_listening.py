"""Where the service can listen besides a port: a unix socket, TLS, and under another server."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme

from tests.conftest import EMAIL, PASSPHRASE
from tests.databases import Databases
from tests.journeys.raw import FORM, exchange, head, statuses
from tests.journeys.serving import Program, Served, beginning, command, launched
from tests.ports import free_port, wait_until

pytestmark = pytest.mark.slow
#: Seconds; a busy machine answers late.
PATIENCE = 180


class _OverSocket(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, path: Path) -> None:
        """Take its path."""
        super().__init__("localhost:5000", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


def over_socket(path: Path, target: str, **headers: str) -> http.client.HTTPResponse:
    """Ask for a path over a unix socket."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(_OverSocket(path)) as connection:
        connection.request("GET", target, headers=named)
        answer = connection.getresponse()
        answer.read()
    return answer


@contextmanager
def serving_on(path: Path, folder: Path, **settings: str) -> Iterator[Served]:
    """Serve on a unix socket until the block ends."""
    with beginning(folder, "--unix-socket", str(path), **settings) as served:
        served.wait_for(lambda: over_socket(path, "/healthz").status == 200)
        yield served


def test_a_unix_socket(tmp_path: Path) -> None:
    """For its owner and group, with a proxy that is believed, and taken away at the end."""
    path = tmp_path / "bienvenue.sock"
    with serving_on(path, tmp_path, trusted_proxies="unix") as served:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        answer = over_socket(path, "/healthz", X_Request_Id="by-the-proxy")
        assert answer.headers["X-Request-Id"] == "by-the-proxy"
        assert f"unix:{path}" in served.log.read_text()
        refused = command(tmp_path, "serve", "--unix-socket", str(path))
        assert refused.returncode == 1
        assert "another program does already" in refused.stderr
        assert served.stop() == 0
    assert not path.exists()


@pytest.mark.thorough
def test_a_unix_socket_that_was_left_behind(tmp_path: Path) -> None:
    """Of a service that was killed is taken over; a proxy no one named is not believed."""
    path = tmp_path / "bienvenue.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    with serving_on(path, tmp_path) as served:
        answer = over_socket(path, "/healthz", X_Request_Id="by-the-proxy")
        assert answer.headers["X-Request-Id"] != "by-the-proxy"
        assert "BV008" in served.log.read_text()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Someone who certifies names."""
    return trustme.CA()


def test_tls(tmp_path: Path, authority: trustme.CA) -> None:
    """With a certificate it speaks TLS by itself, and cookies are Secure."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def certify() -> None:
        issued = authority.issue_cert("localhost")
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))

    certify()
    settings = {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with beginning(tmp_path, **settings) as served:

        def ask(method: str, target: str, form: str = "") -> http.client.HTTPResponse:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            with closing(
                http.client.HTTPSConnection(
                    "localhost", served.port, timeout=PATIENCE, context=trusting
                )
            ) as connection:
                connection.request(method, target, form or None, kind if form else {})
                answer = connection.getresponse()
                answer.read()
            return answer

        served.wait_for(lambda: ask("GET", "/healthz").status == 200)
        account = f"email={EMAIL}&password={PASSPHRASE.replace(' ', '+')}"
        assert ask("POST", "/users", account).status == 201
        signed_in = ask("POST", "/sessions", account)
        cookies = signed_in.headers.get_all("Set-Cookie") or []
        assert any(cookie.startswith("__Host-session_id=") for cookie in cookies)
        assert all("Secure" in cookie for cookie in cookies)
        assert "Strict-Transport-Security" in signed_in.headers
        # Anyone who speaks plain HTTP here hears nothing of the service.
        assert statuses(exchange(served.port, head(b"GET /healthz", served.port))) == []
        assert f"https://localhost:{served.port}" in served.log.read_text()

        def shown() -> str:
            return ssl.get_server_certificate(("localhost", served.port))

        before = shown()
        certify()
        served.process.send_signal(signal.SIGHUP)
        assert wait_until(lambda: shown() != before, 30)
        assert ask("GET", "/healthz").status == 200
        assert served.stop() == 0


@pytest.mark.thorough
@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["each loads", "one loads"])
def test_gunicorn(options: list[str], tmp_path: Path, databases: Databases) -> None:
    """The plain WSGI application, with several processes on PostgreSQL.

    Where the first process loads it, with a connection to look at the schema, the others share none
    of its connections.
    """
    url = databases.fresh("postgresql")
    keys = tmp_path / "keys"
    keys.write_text(os.urandom(32).hex())
    port = free_port()
    settings = {"database_url": url, "secret_key_file": str(keys), "port": str(port)}
    wanted = [sys.executable, "-m", "gunicorn", "bienvenue.wsgi:app", "--workers", "2", *options]
    wanted += ["--threads", "4", "--bind", f"127.0.0.1:{port}"]
    with launched(wanted, port, tmp_path, **settings) as served:
        program = served.program()
        served.wait_for(lambda: program.ask("GET", "/readyz").status == 200)
        account = {"email": EMAIL, "password": PASSPHRASE}
        assert program.ask("POST", "/users", account).status == 201
        assert program.ask("POST", "/sessions", account | {"password": "wrong"}).status == 401
        assert program.ask("POST", "/sessions", account).status == 200
        for _ in range(10):
            assert program.ask("GET", "/profile").json["email"] == EMAIL
        stolen = dict(program.cookies)
        assert program.ask("DELETE", "/sessions").status == 204
        assert {Program(port, stolen).ask("GET", "/profile").status for _ in range(10)} == {401}
        large = head(b"POST /sessions", port, FORM[:-2], b"Content-Length: 1000000")
        assert statuses(exchange(port, large)) == [413]
        assert served.stop() == 0
    databases.drop(url)
    assert "Traceback" not in served.log.read_text()
