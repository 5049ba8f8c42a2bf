"""serve: what is made ready before a server takes over."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bienvenue import DB, Auth, schema, serve
from bienvenue.settings import Settings, SettingsProblem
from tests.ports import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an instance that was never started."""
    return Settings({}, instance=tmp_path / "instance")


def test_the_database_and_its_folder_are_for_their_owner_only(settings: Settings) -> None:
    """Made on the first start, kept on the second, migrated in between."""
    db = DB(settings.database_url)
    serve.prepare(Auth(db, settings))
    folder = settings.core.instance
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "bienvenue.db").stat().st_mode) == 0o600
    assert schema.state(db) is schema.State.CURRENT
    bob = db.add_user("bob@example.com", "hash")
    serve.prepare(Auth(db, settings))
    assert db.find_user_by(id=bob.id).email == "bob@example.com"
    db.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """In one sentence."""
    (tmp_path / "file").write_text("")
    settings = Settings({}, instance=tmp_path / "file" / "instance")
    with pytest.raises(SettingsProblem, match="cannot open the database"):
        DB(settings.database_url).make_room()


def test_no_room_is_made_for_postgresql() -> None:
    """Its files are its own."""
    settings = Settings({}, database_url="postgresql://db/x", instance="/proc/nowhere")
    DB(settings.database_url).make_room()
    assert not Path("/proc/nowhere").exists()


def test_json_is_written_for_people() -> None:
    """Indented, and letters as they are."""
    assert serve.as_text({"é": 1}) == '{\n  "é": 1\n}'


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The variables of an instance of its own, put back after the test; give a free port."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    # What is registered there stays for the whole process.
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    port = free_port()
    for name in ("HOST", "PORT", "WORKERS", "THREADS"):
        monkeypatch.setenv(f"BIENVENUE_{name}", "")
        monkeypatch.delenv(f"BIENVENUE_{name}")
    monkeypatch.setenv("BIENVENUE_INSTANCE", str(tmp_path / "instance"))
    monkeypatch.setenv("BIENVENUE_PORT", str(port))
    monkeypatch.delitem(sys.modules, "bienvenue.wsgi", raising=False)
    yield port
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_server_is_given_what_the_settings_say(
    environment: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Options win over variables and reach the processes that serve; the keys are made."""
    given: dict[str, Any] = {}

    class Server:
        def __init__(self, target: str, **options: Any) -> None:
            given.update(options, target=target)

        def on_startup(self, hook: Callable[[], None]) -> None:
            given["hook"] = hook

        def serve(self) -> None:
            given["served"] = True

    monkeypatch.setattr("granian.Granian", Server)
    serve.run({"host": None, "port": None, "workers": 2, "threads": None})
    assert given["served"]
    assert (given["target"], given["port"]) == ("bienvenue.asgi:app", environment)
    assert (given["workers"], given["address"]) == (2, "127.0.0.1")
    assert os.environ["BIENVENUE_WORKERS"] == "2"
    said = capsys.readouterr().out
    assert f"http://localhost:{environment}" in said
    assert str(tmp_path / "instance" / "bienvenue.db") in said
    assert (tmp_path / "instance" / "keys").exists()
    app = importlib.import_module("bienvenue.wsgi").app
    assert app.test_client().get("/").json == {"message": "Bienvenue"}
    app.extensions["bienvenue"].auth.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "http://localhost:5000"),
        ({"host": "::1"}, "http://localhost:5000"),
        ({"host": "0.0.0.0"}, "http://0.0.0.0:5000 for http://localhost:5000"),
        (
            {"port": 5305, "base_url": "https://login.example.org:5306"},
            "http://127.0.0.1:5305 for https://login.example.org:5306",
        ),
        ({"host": "::", "base_url": "http://a.org"}, "http://[::]:5000 for http://a.org"),
        ({"unix_socket": "/run/x", "base_url": "https://a.org"}, "unix:/run/x for https://a.org"),
        ({"tls_certificate_file": "/etc/x.pem"}, "https://localhost:5000"),
    ],
)
def test_it_says_what_it_listens_on(given: dict[str, Any], said: str) -> None:
    """Behind a proxy the port is the one thing to know."""
    assert serve._where(Settings({}, **given)) == said


@pytest.mark.parametrize(
    ("made", "named", "problem"),
    [
        ({"cert.pem": ""}, {"tls_certificate_file": "cert.pem"}, "TLS_KEY_FILE is missing"),
        ({"key.pem": ""}, {"tls_key_file": "key.pem"}, "TLS_CERTIFICATE_FILE is missing"),
        (
            {"cert.pem": "no PEM", "key.pem": "no PEM"},
            {"tls_certificate_file": "cert.pem", "tls_key_file": "key.pem"},
            "cannot be used",
        ),
        ({}, {"tls_certificate_file": "cert.pem", "tls_key_file": "key.pem"}, "cannot read"),
        ({}, {"unix_socket": "nowhere/x.sock"}, "its folder is not there"),
        ({"x.sock": "a file"}, {"unix_socket": "x.sock"}, "something else is there"),
        ({}, {"unix_socket": "x" * 120}, "too long"),
    ],
)
def test_what_it_cannot_listen_with_is_named(
    environment: int,
    tmp_path: Path,
    made: dict[str, str],
    named: dict[str, str],
    problem: str,
) -> None:
    """In one sentence, before anything is made; a file of someone else stays."""
    assert environment
    for name, content in made.items():
        (tmp_path / name).write_text(content)
    options = {name: str(tmp_path / path) for name, path in named.items()}
    try:
        with pytest.raises(SettingsProblem, match=problem):
            serve.run(options)
    finally:
        for name in named:
            del os.environ[f"BIENVENUE_{name.upper()}"]
    assert {path.name for path in tmp_path.iterdir()} == set(made)


def test_a_unix_socket_no_one_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is left alone, as one that someone listens on."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(SettingsProblem, match="another program does already"):
                serve._require_free_socket(path)

            def refused(*_: object) -> None:
                raise PermissionError(13, "Permission denied")

            monkeypatch.setattr(socket.socket, "connect", refused)
            with pytest.raises(SettingsProblem, match="Permission denied"):
                serve._require_free_socket(path)
            monkeypatch.undo()
        for _ in range(2):
            serve._require_free_socket(path)
            assert not path.exists()


def test_without_a_server_installed_it_says_how_to_get_one(
    environment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named."""
    assert environment
    monkeypatch.setitem(sys.modules, "granian", None)
    with pytest.raises(SettingsProblem, match=r"pip install 'bienvenue\[server\]'"):
        serve.run({})
