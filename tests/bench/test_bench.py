"""`make bench` starts everything it measures, and its instruments count what they say they do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import load, storm
from bench.servers import Server, running, sign_in
from tests.ports import free_port

pytestmark = pytest.mark.slow
TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service, with someone signed in."""
    folder = tmp_path_factory.mktemp("bench")
    # A storm signs one person in more often than the cap on sessions, and the probe's would end.
    own = {"bcrypt_cost": "4", "workers": "1", "session_cap": "10000"}
    with running("x", free_port(), "service", folder, **own) as made:
        sign_in(made)
        yield made


def test_only_profiles_are_counted(server: Server) -> None:
    """Anyone who is not signed in hears 401, which is another answer than the one expected."""
    good = load.measure(server.port, server.check, 0.3)
    assert good.answers > 0
    assert good.others == 0
    nobody = re.sub(rb"\r\nCookie: [^\r]*", b"", server.check)
    bad = load.measure(server.port, nobody, 0.3)
    assert (bad.answers, bad.others > 0) == (0, True)


def test_a_storm_counts_sign_ins_and_waits(server: Server) -> None:
    """At a cost this low no one is sent away; the probe names the person every time."""
    came = storm.rage(server, 0.5, clients=3)
    assert came.signed_in > 0
    assert came.heard[200] >= came.signed_in - 3
    assert set(came.heard) == {200}
    assert len(came.waits) > 1
    assert came.unanswered == 0
    assert 0 < came.wait(50) <= came.wait(99)


@pytest.mark.thorough
def test_it_prints_every_figure(tmp_path: Path) -> None:
    """With everything it measures, as short as it goes."""
    ports = 30_500 + os.getpid() % 200 * 10
    command = [sys.executable, "-m", "bench", "--rounds", "1", "--seconds", "0.2"]
    command += ["--storm", "0.5", "--cost", "4", "--people", "4", "--workers", "1"]
    command += ["--port", str(ports)]
    done = subprocess.run(
        command,
        cwd=TOP,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        r"the service on SQLite +[\d,]+ +\[[\d,]+ to [\d,]+\] +\d\.\d\d +\d\.\d\d",
        r"the service on PostgreSQL +[\d,]+",
        r"a constant by the same edge +[\d,]+ +\S+ to \S+ +1\.00",
        r"On PostgreSQL, in milliseconds\n +POST /sessions +somebody +[\d.]+, .*; heard \[401\]",
        r" +POST /reset_password .* difference [+-][\d.]+ ± [\d.]+, .*; heard \[202\]",
        r"a constant by bare Flask +[\d,]+ +\S+ to \S+ +\d\.\d\d +1\.00",
        r"the service without its gate +checks p50 +[\d.]+ ms, p99 +[\d.]+ ms, 0 unanswered",
        r"the service on PostgreSQL +sign-ins [\d.]+/s \(\d+% of bare\) beside [\d,]+ checks/s",
    ):
        assert re.search(line, done.stdout), f"{line}\n{done.stdout}"
    assert "not the one expected" not in done.stdout
    assert "beside 0 checks/s" not in done.stdout


@pytest.mark.thorough
def test_moving_prints_every_figure() -> None:
    """On both databases, with a handful of people."""
    command = [sys.executable, "-m", "bench.import_export", "--people", "20"]
    done = subprocess.run(command, cwd=TOP, text=True, capture_output=True, check=True)
    figures = re.findall(r"^(SQLite|PostgreSQL) +(.+?)  +[\d.]+ s,", done.stdout, re.MULTILINE)
    steps = ["a look (--dry-run)", "in", "in again", "out"]
    assert figures == [(kind, step) for kind in ("SQLite", "PostgreSQL") for step in steps]
