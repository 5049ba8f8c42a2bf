"""A browser without scripts: it reads pages, fills in their forms and sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

from werkzeug.test import TestResponse

from tests.conftest import Service

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@dataclass
class Shown:
    """One form of a page: where it goes and what stands in it."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Shown] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append(Shown(found["action"] or ""))
        elif tag == "input" and found.get("name"):
            self.forms[-1].fields[str(found["name"])] = found.get("value") or ""


def forms(answer: TestResponse) -> list[Shown]:
    """Give every form of a page, in order."""
    reader = _Forms()
    reader.feed(answer.text)
    return reader.forms


class Browser:
    """A visitor with a browser, and the cookies it keeps."""

    def __init__(self, service: Service, base_url: str | None = None) -> None:
        """Open on a service, without a cookie; `base_url` is where it is, by default localhost."""
        self.client = service.client()
        self._base_url = base_url

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        return self.client.get(path, headers=HTML, base_url=self._base_url)

    def form(self, page: str, action: str, **having: str) -> Shown:
        """Find the form of a page that goes to a path, and has these hidden values."""
        found = [
            form
            for form in forms(self.get(page))
            if form.action == action and having.items() <= form.fields.items()
        ]
        assert found, f"{page} has no form that goes to {action}"
        return found[-1]

    def submit(self, page: str, action: str, **typed: str) -> TestResponse:
        """Open a page, type into its form and send it; a field the form lacks is a mistake."""
        hidden = {name: value for name, value in typed.items() if name == "_method"}
        form = self.form(page, action, **hidden)
        assert typed.keys() <= form.fields.keys(), form.fields.keys()
        return self.send(form, **typed)

    def send(
        self, form: Shown, headers: Mapping[str, str] | None = None, /, **typed: str
    ) -> TestResponse:
        """Send a form as it is, but for what is typed; `headers` are further ones."""
        sent = HTML | dict(headers or {})
        data = form.fields | typed
        answer = self.client.post(form.action, data=data, headers=sent, base_url=self._base_url)
        # What came of it stands on a page of its own.
        return self.get(answer.location) if "/outcome/" in (answer.location or "") else answer

    def sign_in(self, email: str, password: str) -> TestResponse:
        """Sign in through the page of it."""
        return self.submit("/sessions/new", "/sessions", email=email, password=password)
