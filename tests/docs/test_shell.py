"""What stands in for `bienvenue` on the pages does what the command itself does."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.shell import commands
from tests.journeys.serving import COMMAND, environment
from tests.ports import answers, free_port, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def program() -> Iterator[str]:
    """The path of the program that stands in."""
    with commands() as folder:
        yield str(folder / "bienvenue")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--version",), marks=pytest.mark.thorough),
        pytest.param(("nonsense",), marks=pytest.mark.thorough),
        ("users", "add", "bob@example.com", "--password-stdin"),
    ],
)
def test_it_says_what_the_command_says(
    program: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """On both outputs, with what it is given to read, and with its status."""
    heard = []
    for number, begin in enumerate(([program], COMMAND)):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = subprocess.run(
            [*begin, *arguments],
            cwd=folder,
            env=environment(folder),
            input="short\n",
            capture_output=True,
            text=True,
            check=False,
        )
        heard.append((done.returncode, done.stdout, done.stderr))
    assert heard[0] == heard[1]
    assert heard[0][1:] != ("", "")


def test_it_begins_where_and_as_it_is_told(program: str, tmp_path: Path) -> None:
    """In its folder, with the rights of new files that the shell gives."""
    made = "umask 027; $0 users add bob@example.com --no-password >out; ls -l out instance"
    environ = environment(tmp_path, instance="instance")
    script = ["bash", "-c", made, program]
    said = subprocess.run(
        script, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert "bob@example.com" in (tmp_path / "out").read_text()
    assert "-rw-r----- " in said.stdout
    assert "bienvenue.db" in said.stdout


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_it_ends_with_anyone_who_asked(
    program: str, tmp_path: Path, sent: int, status: int
) -> None:
    """A signal is passed on, and nothing stays where none can be."""
    port = free_port()
    wanted = [program, "serve", "--despite-errors", "--port", str(port)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            wanted, cwd=tmp_path, env=environment(tmp_path), stdout=log, stderr=log
        ) as process,
    ):
        assert wait_until(lambda: answers(port) or process.poll() is not None)
        process.send_signal(sent)
        assert process.wait(180) == status
    assert wait_until(lambda: not answers(port))
