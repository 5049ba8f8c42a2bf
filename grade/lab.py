"""The lab: every call of a task, the rows before and after it and the answer, as a page.

It listens on loopback, is opened by a link that holds a random key, and keeps the service's rules
of hosts and of requests from other sites. No page needs a script. It runs a learner's code, so
every browser with the key runs it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from typing import Any

import flask
from werkzeug.exceptions import Forbidden, NotFound
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from bienvenue.feature import Refusal
from bienvenue.settings import Settings
from bienvenue.web.crosssite import Hosts, refuse
from grade import runner, show, verdict
from grade.sheet import TASKS, task
from grade.verdict import Verdict
from grade.words import say

COOKIE = "lab_key"
#: What the page may load and where its forms may go: itself.
POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HERE = Path(__file__).parent


class Lab:
    """One folder, its newest verdicts, and the pages that show them."""

    def __init__(self, folder: Path, port: int, language: str) -> None:
        """Take the folder of a learner's files, and the port it is going to listen on."""
        self.folder, self.language = folder, language
        self.key = secrets.token_urlsafe(32)
        self.link = f"http://localhost:{port}/?key={self.key}"
        self._settings = Settings({}, base_url=f"http://localhost:{port}")
        self._hosts = Hosts(self._settings)
        self._found: dict[int, Verdict] = {}
        self.app = flask.Flask("lab", template_folder=HERE, static_folder=None)
        self.app.before_request(self._guard)
        self.app.after_request(_harden)
        self.app.errorhandler(Refusal)(_refused)
        for method, path, view in (
            ("GET", "/", self._list),
            ("GET", "/lab.css", _style),
            ("GET", "/tasks/<int:number>", self._show),
            ("POST", "/tasks/<int:number>", self._try),
        ):
            self._add(method, path, view)

    def _add(self, method: str, path: str, view: Callable[..., Any]) -> None:
        self.app.add_url_rule(path, f"{method} {path}", view, methods=[method])

    def _guard(self) -> flask.typing.ResponseReturnValue | None:
        """Refuse other hosts, other sites, and every browser that does not hold the key."""
        request = flask.request
        self._hosts.refuse(request)
        held = request.cookies.get(COOKIE, "")
        given = request.args.get("key", "")
        if request.method == "GET" and given and self._fits(given):
            # The key leaves the address, where it would stay in the history.
            answer = flask.redirect("/", 303)
            answer.set_cookie(COOKIE, self.key, httponly=True, samesite="Strict")
            return answer
        if not self._fits(held):
            raise Forbidden(say(self.language, "no key"))
        valid = self._fits(request.form.get("form_token", ""))
        refuse(request, self._settings, (), token_valid=valid)
        if request.method == "POST" and not valid:
            raise Forbidden(say(self.language, "no key"))
        return None

    def _fits(self, key: str) -> bool:
        return compare_digest(key.encode(), self.key.encode())

    def _page(self, name: str, **values: object) -> str:
        def text(key: str, **given: object) -> str:
            return say(self.language, key, **given)

        values |= {"say": text, "language": self.language, "form_token": self.key}
        return flask.render_template(name, folder=self.folder, **values)

    def _list(self) -> str:
        return self._page("lab.html", tasks=TASKS, found=self._found, number=0)

    def _show(self, number: int) -> str:
        _known(number)
        found = self._found.get(number)
        finding = None if found is None else found.finding
        got = "" if finding is None else show.outcome(finding, self.language)
        one = task(number)
        values = {"tasks": TASKS, "found": self._found, "number": number, "one": one}
        return self._page("lab.html", verdict=found, finding=finding, got=got, **values)

    def _try(self, number: int) -> flask.typing.ResponseReturnValue:
        _known(number)
        graded = runner.grade(self.folder, verdict.numbers(number), step=True)
        self._found |= graded
        return flask.redirect(f"/tasks/{number}", 303)


def _known(number: int) -> None:
    if not 1 <= number <= len(TASKS):
        raise NotFound


def _style() -> flask.Response:
    return flask.Response((HERE / "lab.css").read_bytes(), mimetype="text/css")


def _refused(refusal: Refusal) -> flask.typing.ResponseReturnValue:
    return f"{refusal}\n", refusal.status, {"Content-Type": "text/plain; charset=utf-8"}


def _harden(answer: flask.Response) -> flask.Response:
    answer.headers.update(
        {
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
    )
    return answer


def server(folder: Path, port: int, language: str) -> tuple[Lab, BaseWSGIServer]:
    """Make the lab of a folder and its server, on loopback; port 0 is one that is free."""
    made = make_server("127.0.0.1", port, _nothing, threaded=True, request_handler=_Quiet)
    lab = Lab(folder, made.port, language)
    made.app = lab.app
    return lab, made


class _Quiet(WSGIRequestHandler):
    """Logs no request: the first one holds the key."""

    def log_request(self, *_: object) -> None:
        """Say nothing."""


def _nothing(_environ: Any, _start: Any) -> list[bytes]:
    """Stand in the place of the lab, which has to know its port first."""
    return []


def serve(folder: Path, port: int, language: str) -> None:
    """Serve the lab until Ctrl-C, and print the link that opens it."""
    lab, made = server(folder, port, language)
    print(say(language, "warning"))
    print(say(language, "lab", link=lab.link), flush=True)
    try:
        made.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        made.server_close()
