"""nginx and Caddy with the configurations of the docs: who gets through, and as whom."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.conftest import EMAIL, PASSPHRASE
from tests.docs.pages import TOP
from tests.journeys.serving import Served, command, serving
from tests.ports import answers, free_port, wait_until
from tests.web.speaker import Speaker, speaking, written
from tools.checks import caddy, nginx

pytestmark = pytest.mark.slow

HOST = "shelf.example.org"
PAGE = (TOP / "docs" / "features" / "forward_auth.md").read_text("utf-8")
BROWSER = "text/html,*/*;q=0.8"


def documented(language: str, ports: dict[str, int]) -> str:
    """Give the configuration of the page, with the ports of this test."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    for documented, ours in ports.items():
        assert f"127.0.0.1:{documented}" in found
        found = found.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{ours}")
    return str(found)


@contextmanager
def running(log: Path, port: int, *command: str | Path) -> Iterator[int]:
    """Run a proxy until the block ends."""
    # Caddy keeps what it makes for itself in the home of its user.
    environ = os.environ | {"HOME": str(log.parent)}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent, env=environ)
    try:
        assert wait_until(lambda: answers(port)), log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def by_nginx(folder: Path, ports: dict[str, int]) -> Iterator[int]:
    """Run nginx on the configuration of the page."""
    program, port = nginx(), free_port()
    assert program is not None, "there is no nginx: apt-get install -y nginx"
    server = documented("nginx", ports).replace("server {", f"server {{ listen 127.0.0.1:{port};")
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    head = f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}"
    config.write_text(f"{head} http {{ access_log off; {temporary}\n{server}}}")
    log = folder / "nginx.log"
    with running(log, port, program, "-c", config, "-p", folder, "-e", "stderr"):
        yield port


@contextmanager
def by_caddy(folder: Path, ports: dict[str, int]) -> Iterator[int]:
    """Run Caddy on the configuration of the page, without https."""
    program, port = caddy(), free_port()
    assert program is not None, "there is no Caddy: apt-get install -y caddy"
    site = documented("caddy", ports).replace(f"{HOST} {{", f"http://{HOST}:{port} {{")
    config = folder / "Caddyfile"
    config.write_text(f"{{\n admin off\n}}\n{site}")
    run = ("run", "--adapter", "caddyfile", "--config", config)
    with running(folder / "caddy.log", port, program, *run):
        yield port


def ask(
    port: int, path: str = "/books?page=2", method: str = "GET", **headers: str
) -> tuple[int, str, str]:
    """Ask the site; give the status, where to go on, and what came back."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    named = {name.replace("__", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers={"Host": HOST, **named})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Location", ""), body


Proxy = Callable[[Path, dict[str, int]], AbstractContextManager[int]]


@pytest.mark.parametrize("proxy", [by_nginx, by_caddy])
def test_a_proxy_lets_through_whom_the_service_names(tmp_path: Path, proxy: Proxy) -> None:
    """With the true headers, never the client's; others go to signing in, and back."""

    def shelf(request: bytes) -> bytes:
        return written(200, request)

    given = {"return_origins": f"http://{HOST}"}
    with serving(tmp_path, **given) as served, speaking(shelf) as application:
        ports = {"5000": served.port, "8000": application.listening.getsockname()[1]}
        with proxy(tmp_path, ports) as port:
            _check(port, served, application, tmp_path)


def _check(port: int, served: Served, application: Speaker, folder: Path) -> None:
    sign_in = f"http://localhost:{served.port}/sessions/new"
    back = f"{sign_in}?next=http%3A%2F%2F{HOST}%2Fbooks%3Fpage%3D2"
    forged = {"Remote__User": "eve", "Remote__Groups": "staff", "Remote_User": "eve"}
    assert ask(port, Accept=BROWSER, **forged)[:2] == (303, back)
    assert ask(port, method="POST", Accept=BROWSER)[:2] == (303, sign_in)
    assert ask(port, Accept="application/json", **forged)[:2] == (401, "")
    assert application.asked == []
    program, form = served.program(), {"email": EMAIL, "password": PASSPHRASE}
    program.ask("POST", "/users", form)
    assert program.ask("POST", "/sessions", form).status == 200
    uid = program.ask("GET", "/profile").json["uid"]
    cookie = f"session_id={program.cookies['session_id']}"
    for groups in ("", "staff"):
        if groups:
            assert command(folder, "users", "groups", "add", EMAIL, groups).returncode == 0
        status, _, body = ask(port, Cookie=cookie, Accept=BROWSER, **forged)
        found = [line for line in body.splitlines() if re.match("remote[-_]", line, re.IGNORECASE)]
        told = {name.lower(): value for name, _, value in (line.partition(": ") for line in found)}
        assert status == 200
        assert {name: value for name, value in told.items() if value} == {
            "remote-user": uid,
            "remote-email": EMAIL,
        } | ({"remote-groups": groups} if groups else {})
        assert len(found) == len(told)
    assert body.startswith("GET /books?page=2 HTTP/1.")
    assert program.ask("DELETE", "/sessions").status == 204
    assert ask(port, Cookie=cookie, Accept=BROWSER)[:2] == (303, back)
