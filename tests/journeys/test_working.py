"""The audit log is sealed by `bienvenue serve`, and by `bienvenue work` where it does not run."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import EMAIL, PASSPHRASE
from tests.journeys.serving import COMMAND, command, environment, serving
from tests.ports import wait_until

pytestmark = pytest.mark.slow


def none_waits(folder: Path) -> bool:
    """Look whether every row has been put into a batch."""
    with closing(sqlite3.connect(folder / "instance" / "bienvenue.db")) as opened:
        waiting = opened.execute("SELECT count(*) FROM audit_log WHERE batch IS NULL").fetchone()
    return bool(waiting == (0,))


def all_sealed(folder: Path) -> bool:
    """Ask the command whether every row is sealed and whole."""
    said = command(folder, "audit", "verify")
    return said.returncode == 0 and "not sealed yet: 0" in said.stdout


def test_serve_seals(tmp_path: Path) -> None:
    """Each of its processes may; each row is sealed once."""
    with serving(tmp_path, "--workers", "2") as served:
        account = {"email": EMAIL, "password": PASSPHRASE}
        assert served.program().ask("POST", "/users", account).status == 201
        for _ in range(3):
            assert served.program().ask("POST", "/sessions", account).status == 200
        assert wait_until(lambda: none_waits(tmp_path), 60)
        assert served.stop() == 0
    assert all_sealed(tmp_path)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.thorough)]
)
def test_work_seals_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """Two of them at once, and both end well."""
    made = command(tmp_path, "users", "add", EMAIL, "--no-password")
    assert made.returncode == 0
    workers = [
        subprocess.Popen(
            [*COMMAND, "work"], cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        said = [worker.stdout.readline() for worker in workers if worker.stdout is not None]
        assert said == [b"working (stop it with Ctrl-C)\n"] * 2
        assert wait_until(lambda: none_waits(tmp_path), 60)
    finally:
        for worker in workers:
            worker.send_signal(number)
        rest = [worker.communicate(timeout=60)[0] for worker in workers]
    assert ([worker.returncode for worker in workers], rest) == ([0, 0], [b"", b""])
    assert all_sealed(tmp_path)
