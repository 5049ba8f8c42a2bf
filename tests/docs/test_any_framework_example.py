"""The examples of other frameworks, served beside a service as their README says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EMAIL, PASSPHRASE
from tests.docs.pages import TOP
from tests.journeys.serving import Program, Served, command, launched, serving
from tests.ports import answers, free_port, wait_until

pytestmark = pytest.mark.slow

EXAMPLE = TOP / "examples" / "any_framework"


@contextmanager
def shelf(folder: Path, module: str, interface: str, service: Served) -> Iterator[int]:
    """Serve an example, which asks a service; give its port."""
    port = free_port()
    server = [sys.executable, "-m", "granian", "--interface", interface, "--port", str(port)]
    environ = ["env", f"SERVICE_URL=http://localhost:{service.port}"]
    with launched([*environ, *server, f"{module}:app"], port, folder) as served:
        assert wait_until(lambda: answers(port)), served.log.read_text()
        yield port


def ask(port: int, path: str, **headers: str) -> tuple[int, Any, str]:
    """Ask an application; give the status, what it said and where to go on."""
    connection = HTTPConnection("localhost", port, timeout=60)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    is_json = "json" in answer.getheader("Content-Type", "")
    return answer.status, json.loads(body) if is_json else body, answer.getheader("Location", "")


def signed_in(program: Program) -> str:
    """Sign in at the service; give the Cookie header."""
    form = {"email": EMAIL, "password": PASSPHRASE}
    program.ask("POST", "/users", form)
    assert program.ask("POST", "/sessions", form).status == 200
    return f"session_id={program.cookies['session_id']}"


@pytest.mark.parametrize(
    ("module", "interface"), [("fastapi_shelf", "asgi"), ("django_shelf", "wsgi")]
)
def test_an_application_knows_who_signed_in_at_the_service(
    tmp_path: Path, module: str, interface: str
) -> None:
    """And no longer than the session lives; it leads browsers to signing in and back."""
    books = tmp_path / "books"
    shutil.copytree(EXAMPLE, books, ignore=shutil.ignore_patterns("__pycache__"))
    if module == "django_shelf":
        migrate = [sys.executable, "django_shelf.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=books, check=True)
    with serving(tmp_path) as served, shelf(books, module, interface, served) as port:
        forged = {"Remote_User": "eve", "Accept": "text/html"}
        assert ask(port, "/")[:2] == (200, {"hello": "reader"})
        status, _, there = ask(port, "/shelf", **forged)
        assert status in {302, 303}
        back = f"http%3A%2F%2Flocalhost%3A{port}%2Fshelf".replace("%2F", "/")
        url = f"http://localhost:{served.port}/sessions/new?next={back}"
        assert there.replace("%2F", "/") == url
        program = served.program()
        cookie = signed_in(program)
        status, said, _ = ask(port, "/shelf", Cookie=cookie, **forged)
        assert (status, said["shelf of"]) == (200, EMAIL)
        assert ask(port, "/", Cookie=cookie)[1] == {"hello": EMAIL}
        if module == "django_shelf":
            assert said["user"] == program.ask("GET", "/profile").json["uid"]
        else:
            assert ask(port, "/desk", Cookie=cookie)[0] == 403
            assert command(tmp_path, "users", "groups", "add", EMAIL, "staff").returncode == 0
            assert ask(port, "/desk", Cookie=cookie)[:2] == (200, {"desk of": EMAIL})
        assert program.ask("DELETE", "/sessions").status == 204
        assert ask(port, "/shelf", Cookie=cookie, **forged)[0] == status_of_no_one(interface)
        assert served.stop() == 0
        status, said, _ = ask(port, "/shelf", Cookie=cookie)
        assert (status, said["code"]) == (503, "sign_in_unavailable")
        assert said["detail"] == "The sign-in service cannot be reached."


def status_of_no_one(interface: str) -> int:
    """Give the status with which the framework leads a browser to signing in."""
    return 303 if interface == "asgi" else 302
