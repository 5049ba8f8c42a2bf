"""The lab of `make lab`: a page for the steps of a learner's files, in a real browser."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask.testing import FlaskClient
from playwright.sync_api import expect

from grade.lab import COOKIE, Lab, server
from tests.browser.conftest import NewPage
from tests.grade.variants import write

SMALL = {"width": 360, "height": 800}
RUNNING = 120_000
"""Milliseconds that a task may take on a busy machine."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of the course, served."""
    made, serving = server(write(tmp_path / "mine", {}), 0, "en")
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield made
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.mark.slow
@pytest.mark.thorough
def test_a_task_is_tried_without_a_script(lab: Lab, new_page: NewPage) -> None:
    """Opened by its link, tried by a button; axe finds nothing, and nothing overflows."""
    page = new_page(java_script_enabled=False, viewport=SMALL)
    page.goto(lab.link)
    assert "key" not in page.url
    page.get_by_role("link", name="POST /users", exact=True).click()
    page.get_by_role("button", name="Try it").click(timeout=RUNNING)
    expect(page.get_by_role("heading", name="done")).to_be_visible(timeout=RUNNING)
    expect(page.get_by_role("heading", name="POST /users email=bob").first).to_be_visible()
    expect(page.get_by_role("table").first).to_contain_text("bob@example.com")
    wide = new_page(viewport=SMALL, color_scheme="dark")
    wide.goto(lab.link)
    for path in ("/", "/tasks/8", "/tasks/9"):
        wide.goto(lab.link.partition("/?")[0] + path)
        found = Axe().run(wide)
        assert found.violations_count == 0, found.generate_report()
        assert wide.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]


@pytest.fixture
def client(lab: Lab) -> FlaskClient:
    """A program that holds the key."""
    made = lab.app.test_client()
    made.set_cookie(COOKIE, lab.key)
    return made


def test_without_the_key_nothing_is_run_or_shown(lab: Lab) -> None:
    """Neither with a wrong one, nor with the right one in a form alone."""
    stranger = lab.app.test_client()
    for path in ("/", "/lab.css", "/tasks/1", "/?key=wrong", "/?key="):
        assert stranger.get(path).status_code == 403
    assert stranger.post("/tasks/1", data={"form_token": lab.key}).status_code == 403
    assert stranger.post(f"/tasks/1?key={lab.key}").status_code == 403
    assert stranger.get(f"/?key={lab.key}").headers["Set-Cookie"].count("HttpOnly") == 1
    assert stranger.get("/").status_code == 200


def test_the_key_is_in_no_log(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """The terminal shows the link once, and no line for each request."""
    caplog.set_level(logging.INFO, "werkzeug")
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with browser.open(lab.link) as reply:
        assert reply.status == 200
    assert lab.key not in caplog.text


def test_other_hosts_and_other_sites_are_refused(lab: Lab, client: FlaskClient) -> None:
    """The rules are those of the service."""
    form = {"form_token": lab.key}
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        assert client.post("/tasks/1", data=form, headers=headers).status_code == 403
    assert client.post("/tasks/1").status_code == 403
    assert client.post("/tasks/1", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 403
    assert client.get("/tasks/0").status_code == client.get("/tasks/22").status_code == 404


def test_what_their_code_says_is_text(tmp_path: Path) -> None:
    """An answer with markup in it is shown as it is, under a policy that runs nothing."""
    word = '"<script>alert(1)</script>"'
    mine = write(tmp_path / "mine", {"app.py": (('"Bienvenue"', word),)})
    made, serving = server(mine, 0, "fr")
    serving.server_close()
    client = made.app.test_client()
    client.set_cookie(COOKIE, made.key)
    client.post(
        "/tasks/7", data={"form_token": made.key}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    page = client.get("/tasks/7")
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "pas encore" in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
