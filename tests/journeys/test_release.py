"""A release: the wheel in an index, installed by name, embedded in an application."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bienvenue.version import VERSION
from tests.conftest import EMAIL, PASSPHRASE
from tests.house.source import TOP
from tests.journeys.serving import environment

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

UV = Path(sys.executable).with_name("uv")
VISIT = f"""\
from app import app
client = app.test_client()
account = {{"email": "{EMAIL}", "password": "{PASSPHRASE}"}}
assert client.post("/account/users", json=account).status_code == 201
assert client.post("/account/sessions", json=account).status_code == 200
print(client.get("/shelf").get_json())
"""


def run(*command: str | Path, folder: Path = TOP, **settings: str) -> str:
    """Run a command to its end and give what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment(folder, **settings) | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name it has there)
        """Keep quiet."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """An index of packages (PEP 503) that holds our wheel and no other file."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", tmp_path / "dist", TOP)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    project = tmp_path / "simple" / "bienvenue"
    project.mkdir(parents=True)
    shutil.copy(wheel, project)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (project / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')
    files = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def test_a_release_is_installed_by_its_name_and_embedded(index: str, tmp_path: Path) -> None:
    """Beside the dependencies of the lock, which its own requirements must accept."""
    place = tmp_path / "shop"
    venv = place / ".venv"
    python, flask = venv / "bin" / "python", venv / "bin" / "flask"
    run(UV, "venv", "--quiet", "--python", sys.executable, venv)
    install: list[str | Path] = [UV, "pip", "install", "--quiet", "--python", python]
    run(*install, "--require-hashes", "-r", TOP / "requirements" / "run.lock")
    # What is not in this index is installed already: a requirement that the lock does not meet
    # could not be found.
    run(*install, "--index-url", index, f"bienvenue[server,postgres]=={VERSION}")
    run(UV, "pip", "check", "--quiet", "--python", python)
    shutil.copy(TOP / "examples" / "embed" / "app.py", place)
    (place / "visit.py").write_text(VISIT)
    assert str(venv) in run(python, "-c", "import bienvenue; print(bienvenue.__file__)")
    assert run(venv / "bin" / "bienvenue", "--version", folder=place).strip() == VERSION
    upgraded = run(flask, "--app", "app", "bienvenue", "db", "upgrade", folder=place)
    assert upgraded.startswith("the database has version ")
    assert run(python, "visit.py", folder=place) == f"{{'shelf of': '{EMAIL}'}}\n"
    listed = run(flask, "--app", "app", "bienvenue", "users", "list", folder=place)
    assert EMAIL in listed
