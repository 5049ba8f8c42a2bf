"""Where links in emails lead: the mount is a setting, and no request decides it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from bienvenue import Bienvenue
from bienvenue.authentication import Caller, Channel
from tests.conftest import EMAIL, PASSPHRASE, MakeService
from tests.features.password_resets import ask, link, messages, text_of


@pytest.mark.parametrize("mount", ["", "/auth"])
def test_links_lead_to_the_mount_of_the_setting(
    make_service: MakeService, caplog: pytest.LogCaptureFixture, mount: str
) -> None:
    """Whatever path a request arrived under; the operator hears once that they differ."""
    service = make_service(mount=mount)
    service.auth.register_user(EMAIL, PASSPHRASE)
    caller: dict[str, Any] = {"environ_overrides": {"SCRIPT_NAME": "/~mallory"}}
    for _ in range(2):
        sent = {"email": EMAIL, "password": PASSPHRASE}
        assert service.client().post("/sessions", json=sent, **caller).status_code == 200
    service.client().post("/reset_password", json={"email": EMAIL}, **caller)
    assert link(service).startswith(f"http://localhost:5000{mount}/reset_password?token=")
    (notice,) = messages(service, "new_device")
    assert f"http://localhost:5000{mount}/password" in text_of(service, notice)
    assert caplog.text.count("BIENVENUE_MOUNT") == 1
    assert "mallory" not in caplog.text


def test_a_mount_and_a_prefix_stand_one_after_the_other(make_service: MakeService) -> None:
    """A server mounts the application, and the application has the pages under a path."""
    made = make_service()
    app = Flask("theirs")
    keys = made.auth.settings.key_file
    Bienvenue(app, "/me", database_url=made.url, secret_key_file=keys, mount="/app", bcrypt_cost=4)
    auth = app.extensions["bienvenue"].auth
    auth.register_user(EMAIL, PASSPHRASE)
    sent: dict[str, Any] = {"environ_overrides": {"SCRIPT_NAME": "/app"}}
    answer = app.test_client().post("/me/reset_password", json={"email": EMAIL}, **sent)
    assert answer.status_code == 202
    assert link(made).startswith("http://localhost:5000/app/me/reset_password?token=")
    auth.close()


def test_commands_write_the_same_links(make_service: MakeService) -> None:
    """They have no request at all."""
    service = make_service(mount="/auth")
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert ask(service).status_code == 202
    assert "/auth/reset_password?token=" in link(service)
    assert service.auth.outbox.link().startswith("http://localhost:5000/auth/outbox?token=")


def test_a_caller_of_another_mount_is_written_to_from_there(make_service: MakeService) -> None:
    """Code that serves two applications says which one it acts for, in links and in notices."""
    service = make_service(mount="/auth")
    service.auth.register_user(EMAIL, PASSPHRASE)
    there = Caller("visitor", Channel.API, "192.0.2.7", mount="/other")
    for _ in range(2):
        service.auth.sessions.sign_in(there, EMAIL, PASSPHRASE)
    service.auth.password_reset.request(there, EMAIL)
    assert "/other/reset_password?token=" in link(service)
    (notice,) = messages(service, "new_device")
    assert "http://localhost:5000/other/password" in text_of(service, notice)


@pytest.mark.parametrize(
    ("mount", "said", "shown"),
    [
        ("", "//evil.example", ""),
        ("", "/\\evil.example", ""),
        ("", "https://evil.example", ""),
        ("", "/~reader", "/~reader"),
        ("/auth", "//evil.example", "/auth"),
        ("/auth", "/other", "/auth"),
    ],
)
def test_a_page_leads_to_no_other_site_by_the_header_of_a_proxy(
    make_service: MakeService, mount: str, said: str, shown: str
) -> None:
    """In the redirect of a guard, and in the links of the page."""
    service = make_service(mount=mount)
    app = service.app
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]  # as docs say
    headers = {"X-Forwarded-Prefix": said, "Accept": "text/html"}
    answer = service.client().get("/profile", headers=headers)
    assert answer.status_code == 303
    assert answer.location.startswith(f"{shown}/sessions/new")
    page = service.client().get("/sessions/new", headers=headers).text
    assert f'action="{shown}/sessions' in page
    assert "evil" not in page
