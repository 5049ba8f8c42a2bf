"""What `make test` says of what it could not run."""

from __future__ import annotations

from pathlib import Path

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
    output = capsys.readouterr().out
    assert f"!!! NOT RUN HERE: {pooler[9:]}: there is no PgBouncer here." in output
    assert "apt-get install -y pgbouncer" in output
    assert f"!!! NOT RUN HERE: {proxies[9:]}: there is no nginx or no Caddy here." in output
    assert "apt-get install -y nginx caddy" in output
    assert "!!! NOT RUN HERE: tests/browser: there is no Chromium here." in output
    assert "apt-get install -y chromium" in output


def test_it_says_aloud_what_it_leaves_to_make_check(
    ran: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which leaves nothing, and says nothing."""
    monkeypatch.setenv("CHROMIUM", "/bin/sh")
    for program in ("pgbouncer", "nginx", "caddy"):
        monkeypatch.setattr(checks, program, lambda: "/bin/sh")
    checks.main()
    output = capsys.readouterr().out
    assert "!!! NOT RUN HERE: what `make check` does besides: attacks on broken builds" in output
    assert output.count("NOT RUN") == 1
    monkeypatch.setattr(checks, "NOT_RUN", [])
    monkeypatch.setattr("sys.argv", ["checks.py", "check"])
    checks.main()
    assert ran == [("-m", "not thorough"), ()]
    assert "NOT RUN" not in capsys.readouterr().out


def test_without_the_index_it_says_aloud_that_flask_logins_tests_are_absent(
    ran: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """`make check` goes on without them; the command that brings them stops."""
    monkeypatch.setattr(checks, "FLASK_LOGIN", tmp_path / "new" / "Flask-Login-0.6.3.tar.gz")
    asked: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda command, **_: asked.append(command))
    monkeypatch.setattr("os.environ", {})
    monkeypatch.setattr(checks, "all_tests", lambda *given: ran.append(given))
    monkeypatch.setitem(checks.STEPS, "check", [checks.covered])
    monkeypatch.setattr("sys.argv", ["checks.py", "check"])
    checks.main()
    assert ran[0][-1].startswith("--deselect=tests/compat/test_flask_logins_own_tests.py::")
    assert "package index: make flask-login" in capsys.readouterr().out
    assert "--require-hashes" in asked[0]
    assert (tmp_path / "new" / "requirements.txt").read_text().startswith("flask-login==0.6.3")
    with pytest.raises(SystemExit, match="cannot be fetched"):
        checks.flask_login()
    checks.FLASK_LOGIN.touch()
    checks.flask_login()
    assert checks.without_flask_login() == ()
