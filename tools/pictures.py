"""`make pictures`: take the pictures of pages that README and docs show.

Beside each picture stands the digest of what it shows: the page and its style. A test makes the
page again without a browser and compares, so a picture that went stale fails there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.serving import make_server

from bienvenue import DB, create_app, schema
from tools.checks import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
DIGESTS = FOLDER / "digests.json"
EMAIL, PASSPHRASE = "bob@example.com", "une phrase de passe bien longue"
LAPTOP = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
#: What is another each time: tokens, names of accounts and sessions, moments, the port.
_EACH_TIME = re.compile(
    r'value="[\w=.-]{40,}"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|<time.*?</time>'
)


@dataclass(frozen=True)
class Picture:
    """A page as it is shown."""

    name: str
    path: str
    width: int
    height: int
    dark: bool = False
    language: str = "en"
    inside: bool = False


PICTURES = (
    Picture("sign-in", "/sessions/new", 640, 680),
    Picture("register-dark", "/users/new", 640, 680, dark=True),
    Picture("devices", "/sessions", 960, 620, inside=True),
    Picture("profile-in-french", "/profile", 390, 780, language="fr", inside=True),
)


def service(folder: Path, port: int = 5000) -> Flask:
    """Make a service in a folder, with Bob, who is signed in on his phone."""
    (folder / "keys").write_text(secrets.token_hex(32))
    url = f"sqlite:///{folder / 'pictures.db'}"
    database = DB(url)
    schema.upgrade(database)
    database.close()
    app = create_app(
        database_url=url, secret_key_file=folder / "keys", instance=folder, port=port, bcrypt_cost=4
    )
    app.extensions["bienvenue"].auth.register_user(EMAIL, PASSPHRASE)
    _signed_in(app, PHONE)
    return app


def _signed_in(app: Flask, agent: str) -> str:
    """Sign Bob in; give the secret of his session."""
    client = app.test_client()
    form = {"email": EMAIL, "password": PASSPHRASE}
    client.post("/sessions", data=form, headers={"User-Agent": agent})
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    return cookie.value


def digests() -> dict[str, str]:
    """Give what each picture should show now."""
    with tempfile.TemporaryDirectory() as name:
        app = service(Path(name))
        found = {picture.name: _digest(app, picture) for picture in PICTURES}
        app.extensions["bienvenue"].auth.close()
    return found


def _digest(app: Flask, picture: Picture) -> str:
    client = app.test_client()
    if picture.inside:
        client.set_cookie("session_id", _signed_in(app, LAPTOP))
    headers = {"Accept": "text/html", "Accept-Language": picture.language, "User-Agent": LAPTOP}
    page = _EACH_TIME.sub("", client.get(picture.path, headers=headers).text)
    files = ("static/bienvenue.css", "brand.css", "icon")
    style = "".join(client.get(f"/bienvenue/{file}", buffered=True).text for file in files)
    return hashlib.sha256(f"{picture}{page}{style}".encode()).hexdigest()


@contextmanager
def _served(folder: Path) -> Iterator[tuple[Flask, str]]:
    server = make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    app = service(folder, server.port)
    server.app = app
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield app, f"http://localhost:{server.port}"
    finally:
        server.shutdown()
        server.server_close()
        app.extensions["bienvenue"].auth.close()


def main() -> int:
    """Take every picture again; status 1 without a browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (not for the digests)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    path = chromium()
    if path is None:
        print("there is no Chromium here: apt-get install -y chromium, or set CHROMIUM")
        return 1
    with (
        tempfile.TemporaryDirectory() as name,
        _served(Path(name)) as (app, url),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for picture in PICTURES:
            context = browser.new_context(
                viewport={"width": picture.width, "height": picture.height},
                color_scheme="dark" if picture.dark else "light",
                locale=picture.language,
                user_agent=LAPTOP,
                reduced_motion="reduce",
            )
            if picture.inside:
                secret = _signed_in(app, LAPTOP)
                context.add_cookies([{"name": "session_id", "value": secret, "url": url}])
            page = context.new_page()
            page.goto(url + picture.path)
            page.screenshot(path=FOLDER / f"{picture.name}.png")
            context.close()
            print(f"docs/pictures/{picture.name}.png", flush=True)
        browser.close()
    DIGESTS.write_text(json.dumps(digests(), indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
