"""What an operator meets: the check-up before serving, the log, and ids that stay apart."""

import json
import os
import pty
import re
import subprocess
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.conftest import EMAIL, PASSPHRASE
from tests.journeys.serving import COMMAND, Served, answers, command, environment, serving
from tests.ports import free_port
from tests.races import race

pytestmark = pytest.mark.slow


def test_serve_says_every_error_and_does_not_start(tmp_path: Path) -> None:
    """One sentence each, and how to serve all the same."""
    said = command(
        tmp_path, "serve", "--port", str(free_port()), trusted_proxies="::/0", bcrypt_cost="9"
    )
    assert said.returncode == 1
    assert "BV009" in said.stderr
    assert "BV015" in said.stderr
    assert "--despite-errors" in said.stderr
    assert "Traceback" not in said.stderr
    assert "listens on" not in said.stdout


def test_ids_of_requests_at_once_stay_apart_and_the_log_is_json(tmp_path: Path) -> None:
    """Fifty requests at once, some of which hash; each answer has its own id, the log no secret."""
    settings = {"trusted_proxies": "127.0.0.1", "log_format": "json", "log_level": "debug"}
    with serving(tmp_path, **settings) as served:

        def ask(number: int) -> tuple[str, str | None, int]:
            given = f"request-{number}"
            connection = HTTPConnection("127.0.0.1", served.port, timeout=180)
            headers = {"X-Request-Id": given, "X-Forwarded-For": f"198.51.100.{number}"}
            if number % 3:
                connection.request("GET", "/profile" if number % 2 else "/nowhere", None, headers)
            else:
                form = f"email={EMAIL}&password={PASSPHRASE}".replace(" ", "+")
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                connection.request("POST", "/sessions", form, headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return given, answer.headers["X-Request-Id"], answer.status

        heard = race(ask)
        assert [(given, status) for given, named, status in heard if given != named] == []
        assert {status for _, _, status in heard} <= {401, 404, 429, 503}
        assert served.stop() == 0
    log = served.log.read_text()
    lines = [line for line in log.splitlines() if not line.startswith(("Bienvenue ", "Accounts "))]
    records = [json.loads(line) for line in lines]
    assert "BV015" in records[0]["message"]
    assert {record["level"] for record in records} <= {"error", "warning", "info", "debug"}
    assert PASSPHRASE not in log
    assert EMAIL not in log


def test_a_terminal_is_told_where_emails_are_read_and_no_log_is(tmp_path: Path) -> None:
    """The link opens the outbox of what prints it; `bienvenue outbox open` prints it again."""
    ours, theirs = pty.openpty()
    port = free_port()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--despite-errors", "--port", str(port)],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        os.close(theirs)
        try:
            said = b""
            while not (found := re.search(rb"(http://localhost:\d+/outbox\?token=\S+)\r", said)):
                said += terminal.read(4096)
            served = Served(process, port, tmp_path / "none")
            served.wait_for(lambda: answers(served))
            path = found[1].decode().removeprefix(f"http://localhost:{port}")
            program = served.program()
            assert program.ask("GET", path).status == 303
            assert program.ask("GET", "/outbox").json == {"messages": []}
        finally:
            process.terminate()
            process.wait(180)
    again = command(tmp_path, "outbox", "open", port=str(port))
    assert again.stdout == f"{found[1].decode()}\n"
    with serving(tmp_path) as to_a_file:
        assert "/outbox" not in to_a_file.log.read_text()
