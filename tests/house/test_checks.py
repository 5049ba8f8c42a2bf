"""What `make test` says of what it could not run."""

from __future__ import annotations

import pytest

from tools import checks


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The options of each run of the tests, which does not happen."""
    options: list[tuple[str, ...]] = []
    monkeypatch.setattr(checks, "tests", lambda *given: options.append(given))
    monkeypatch.setattr(checks, "NOT_RUN", [])
    monkeypatch.setattr(checks, "style", lambda: None)
    monkeypatch.setitem(checks.STEPS, "test", [checks.once])
    monkeypatch.setitem(checks.STEPS, "check", [checks.all_tests])
    monkeypatch.setattr("sys.argv", ["checks.py", "test"])
    return options


def test_without_a_browser_it_says_aloud_what_it_did_not_run(
    ran: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the end, where it is read, with the one command that brings it."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.delenv("CHROMIUM", raising=False)
    checks.main()
    pooler = "--ignore=tests/journeys/test_pooler.py"
    proxies = "--ignore=tests/journeys/test_proxies.py"
    assert ran == [("-m", "not thorough", "--ignore=tests/browser", pooler, proxies)]
    said = capsys.readouterr().out
    assert f"!!! NOT RUN HERE: {pooler[9:]}: there is no PgBouncer here." in said
    assert "apt-get install -y pgbouncer" in said
    assert f"!!! NOT RUN HERE: {proxies[9:]}: there is no nginx or no Caddy here." in said
    assert "apt-get install -y nginx caddy" in said
    assert "!!! NOT RUN HERE: tests/browser: there is no Chromium here." in said
    assert "apt-get install -y chromium" in said


def test_it_says_aloud_what_it_leaves_to_make_check(
    ran: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which leaves nothing, and says nothing."""
    monkeypatch.setenv("CHROMIUM", "/bin/sh")
    for program in ("pgbouncer", "nginx", "caddy"):
        monkeypatch.setattr(checks, program, lambda: "/bin/sh")
    checks.main()
    said = capsys.readouterr().out
    assert "!!! NOT RUN HERE: what `make check` does besides: attacks on broken builds" in said
    assert said.count("NOT RUN") == 1
    monkeypatch.setattr(checks, "NOT_RUN", [])
    monkeypatch.setattr("sys.argv", ["checks.py", "check"])
    checks.main()
    assert ran == [("-m", "not thorough"), ()]
    assert "NOT RUN" not in capsys.readouterr().out
