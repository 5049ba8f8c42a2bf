"""The example of a layout, in a browser: our pages look like the shop, which stays itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Response
from playwright.sync_api import Page, expect

from tests.browser.site import fill, listening, send
from tests.conftest import EMAIL, KEY, PASSPHRASE
from tests.ports import free_port
from tests.web.test_templates import layout_example

GREEN = "rgb(20, 83, 45)"
COLOUR = "element => getComputedStyle(element).backgroundColor"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_pages_in_the_layout_of_a_shop_with_a_policy_of_its_own(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    """The policy of the shop would stop our stylesheet; a browser meets ours alone on our pages."""
    (tmp_path / "keys").write_text(KEY)
    port = free_port()
    url = f"http://localhost:{port}"
    given = {
        "DATABASE_URL": database,
        "SECRET_KEY_FILE": str(tmp_path / "keys"),
        "BCRYPT_COST": "4",
        "BASE_URL": url,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"BIENVENUE_{name}", value)
    app = layout_example(monkeypatch)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = f"style-src {url}/static/; script-src 'none'"
        return response

    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    with listening(app, port):
        page.goto(f"{url}/account/users/new")
        fill(page, email=EMAIL, password=PASSPHRASE)
        send(page)
        page.goto(f"{url}/account/sessions/new")
        fill(page, email=EMAIL, password=PASSPHRASE)
        send(page)
        page.goto(f"{url}/account/profile")
        expect(page.locator("h1")).to_have_text("Profile")
        nav = page.locator("nav.shop")
        assert nav.evaluate(COLOUR) == GREEN
        assert page.locator("main").evaluate("element => getComputedStyle(element).maxWidth") != (
            "none"
        )
        assert heard == []
        # The shop keeps its own: a style of another folder is stopped there.
        page.goto(f"{url}/")
        assert nav.evaluate(COLOUR) == GREEN
        with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
            page.evaluate(
                "document.head.insertAdjacentHTML('beforeend', "
                "'<link rel=stylesheet href=/account/bienvenue/static/bienvenue.css>')"
            )
        page.goto(f"{url}/account/profile")
        with page.expect_navigation():
            page.click("footer button")
        page.goto(f"{url}/account/profile")
        expect(page.locator("h1")).to_have_text("Sign in")
    app.extensions["bienvenue"].auth.close()
