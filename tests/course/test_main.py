"""The end-to-end script of the course, against the app of the course."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grade.sheet import COURSE
from tests.ports import answers, free_port, wait_until


@pytest.fixture
def base_url(tmp_path: Path) -> Iterator[str]:
    """Serve the app in an empty folder and return where."""
    port = free_port()
    app = subprocess.Popen(
        [sys.executable, "-W", "error", COURSE / "app.py"],
        cwd=tmp_path,
        env=os.environ | {"PORT": str(port)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        assert wait_until(lambda: answers(port)), "the app does not start"
        yield f"http://localhost:{port}"
    finally:
        app.terminate()
        app.wait()


def run_main(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    command = [sys.executable, "-W", "error", str(COURSE / "main.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.thorough
def test_everything_goes_as_it_should_and_can_be_repeated(base_url: str, tmp_path: Path) -> None:
    """Two runs against one app both come to the end, and each has a user of its own.

    A chapter of the course runs it once.
    """
    for _ in range(2):
        done = run_main(base_url)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "Everything went as it should."
        assert len(done.stdout.splitlines()) == 14
    assert (tmp_path / "a.db").exists()


def test_the_script_stops_at_the_first_wrong_answer(base_url: str) -> None:
    """Asked for paths that are not there, it says what it expected and what it got."""
    done = run_main(f"{base_url}/elsewhere")
    assert done.returncode != 0
    assert "AssertionError: expected status 200, got 404" in done.stderr


def test_the_script_says_that_no_one_answers() -> None:
    """Without an app there is a sentence and no traceback."""
    done = run_main(f"http://localhost:{free_port()}")
    assert done.returncode != 0
    assert done.stderr.startswith("No app answers at http://localhost:")
    assert "Traceback" not in done.stderr
