"""Where the pages are: the check-up says where settings, an application and requests differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bienvenue import clock
from tests.conftest import Clock
from tests.spine.test_app_commands import CREDENTIALS, Join, inside, join, outside

__all__ = ["join"]

LEADS = "and links in emails lead to "


def found(text: str, code: str) -> str:
    """Give what a check-up says of a code, or nothing."""
    lines = [line for line in text.splitlines() if line.startswith(code)]
    return lines[0].partition(": ")[2] if lines else ""


def test_the_check_says_where_the_application_and_a_command_differ(
    join: Join, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mount and base URL stand in its code; the command takes the path over, not the host."""
    keys = str(tmp_path / "instance" / "keys")
    app = join(database, secret_key_file=keys, mount="/app", base_url="https://shop.example")
    assert found(inside(app, "check").output, "BV032") == ""
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", database)
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", keys)
    assert found(outside("check").output, "BV032") == (
        "The application books has its pages at https://shop.example/app/account, and links in "
        "emails of this command lead to http://localhost:5000/app/account."
    )
    monkeypatch.setenv("BIENVENUE_BASE_URL", "https://shop.example")
    assert found(outside("check").output, "BV032") == ""
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", f"sqlite:///{tmp_path / 'other.db'}")
    (tmp_path / "other.db").touch()
    assert found(outside("check").output, "BV032") == ""


def test_the_check_says_under_which_path_requests_arrive(
    join: Join, database: str, tmp_path: Path, moving_clock: Clock
) -> None:
    """A server or ProxyFix says it, and no link follows; the setting or the server is mended."""
    given: dict[str, Any] = {"secret_key_file": tmp_path / "instance" / "keys"}
    app = join(database, **given)
    client = app.test_client()

    def arrive(mount: str) -> None:
        sent: dict[str, Any] = {"environ_overrides": {"SCRIPT_NAME": mount}}
        client.post("/account/sessions", json=CREDENTIALS, **sent)

    arrive("")
    assert found(inside(app, "check").output, "BV033") == ""
    arrive("/shop")
    first = clock.written(moving_clock.time)
    assert found(inside(app, "check").output, "BV033") == (
        f"At {first} a request arrived under /shop, {LEADS}/."
    )
    # Once an hour; what could be no mount is not repeated.
    arrive("/a b\x1b")
    assert "/shop" in found(inside(app, "check").output, "BV033")
    moving_clock.forward(3601)
    arrive("/a b\x1b")
    shown = found(inside(app, "check").output, "BV033")
    assert f"arrived under a path that no link can have, {LEADS}/." in shown
    moving_clock.forward(86401)
    assert found(inside(app, "check").output, "BV033") == ""
    arrive("/shop")
    mended = join(database, mount="/shop", **given)
    assert found(inside(mended, "check").output, "BV033") == ""
    moved = join(database, mount="/shop", **given).test_client()
    moved.post("/account/sessions", json=CREDENTIALS)
    shown = found(inside(mended, "check").output, "BV033")
    assert shown.endswith(f"a request arrived under /, {LEADS}/shop.")


def test_the_check_compares_the_mount_that_flask_is_told(
    join: Join, database: str, tmp_path: Path
) -> None:
    """With which the application makes its own links."""
    given: dict[str, Any] = {"secret_key_file": tmp_path / "instance" / "keys"}
    app = join(database, **given)
    app.config["APPLICATION_ROOT"] = "/shop/"
    assert found(inside(app, "check").output, "BV033") == (
        f"The application has APPLICATION_ROOT=/shop, {LEADS}/."
    )
    app = join(database, mount="/shop", **given)
    app.config["APPLICATION_ROOT"] = "/shop"
    assert found(inside(app, "check").output, "BV033") == ""
