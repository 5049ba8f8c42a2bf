"""A service that a browser can reach, the browser, and what one does with both again and again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask
from playwright.sync_api import Browser, Page, Playwright, expect
from werkzeug.serving import make_server

from bienvenue import i18n
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.ports import free_port
from tools.checks import chromium

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: The button that sends the form of a page, and not the one that shows a password.
SEND = "main form button:not(.reveal)"
SIZE = {"width": 1280, "height": 800}
#: A name that no browser trusts as it trusts the loopback names; it leads to this machine.
PLAIN_HOST = "login.firma.example"
_QUIET = (
    "--no-sandbox --disable-gpu --in-process-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars"
)


def launch(playwright: Playwright) -> Browser:
    """Start Chromium. Raises LookupError, with what to do, where there is none."""
    path = chromium()
    if path is None:
        raise LookupError("there is no Chromium here: apt-get install -y chromium, or set CHROMIUM")
    arguments = [*_QUIET.split(), f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1"]
    return playwright.chromium.launch(executable_path=path, args=arguments)


@dataclass(frozen=True)
class Site:
    """A service with its URL."""

    service: Service
    url: str
    #: The language in which its visitors read.
    code: str = i18n.SOURCE

    def say(self, text: str) -> str:
        """Give a text of the pages in the language of the visitors."""
        return i18n.of(self.code).plain(text)

    def open(self, page: Page, path: str) -> None:
        """Open a path."""
        page.goto(self.url + path)

    def sign_in(self, page: Page, password: str = PASSPHRASE, path: str = "/sessions/new") -> None:
        """Sign in as Bob."""
        self.open(page, path)
        fill(page, email=EMAIL, password=password)
        send(page)


def _whole(app: Flask) -> WSGIApplication:
    """Take an answer whole and close it at once.

    werkzeug's server forgets to close the file of one whose browser went away meanwhile.
    """

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        pieces = app(environ, start)
        try:
            return [b"".join(pieces)]
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    return answer


@contextlib.contextmanager
def serving(
    make_service: MakeService,
    code: str = i18n.SOURCE,
    host: str = "localhost",
    **settings: object,
) -> Iterator[Site]:
    """Serve a fresh service to a browser of this machine, from this process."""
    port = free_port()
    url = f"http://{host}:{port}"
    service = make_service(port=port, base_url=url, **settings)
    with listening(service.app, port):
        yield Site(service, url, code)


@contextlib.contextmanager
def listening(app: Flask, port: int) -> Iterator[None]:
    """Serve an application on a port of this machine, from this process."""
    server = make_server("127.0.0.1", port, _whole(app), threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


_NOTHING_FOCUSED = """
document.activeElement === document.body && document.querySelector("[autofocus]") !== null
"""


def fill(page: Page, **typed: str) -> None:
    """Type into the fields of a page, once the browser has focused the one it should begin with.

    A person does not type before that, and Chromium complains of a program that does.
    """
    if page.evaluate(_NOTHING_FOCUSED):
        expect(page.locator("[autofocus]").first).to_be_focused()
    for name, text in typed.items():
        page.fill(f"#{name}", text)


def send(page: Page) -> None:
    """Send the form of a page, and wait for what comes."""
    with page.expect_navigation():
        page.click(SEND)


def heading(page: Page) -> str:
    """Give the heading of a page."""
    return page.inner_text("h1")
