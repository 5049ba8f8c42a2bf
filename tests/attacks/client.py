"""A small HTTP client: plain requests, cookies in a jar one can look into, and what they cost."""

from __future__ import annotations

import contextlib
import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any, Protocol
from urllib.parse import urlencode

PATIENCE = 120.0
"""Seconds after which an answer is given up."""

_NOTHING: Any = object()


@dataclass(frozen=True)
class Reply:
    """What a target answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    #: bcrypt rounds (the sum of 2**cost) the target did meanwhile, by anyone asked.
    rounds: int

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.status < 300

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return json_module.loads(self.body)
        except ValueError:
            return None

    @property
    def seen(self) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        """Everything an attacker can compare but for date and request id: status, headers, body."""
        names = {"date", "x-request-id"}
        return self.status, tuple(h for h in self.headers if h[0].lower() not in names), self.body

    def header(self, name: str) -> str | None:
        """The first header of this name, or None."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[0] if found else None

    def cookie(self, name: str) -> str | None:
        """The value of a cookie that the answer sets, or None."""
        return self.cookies.get(name)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the answer sets; one that it takes away is empty."""
        jar: SimpleCookie = SimpleCookie()
        for key, value in self.headers:
            if key.lower() == "set-cookie":
                jar.load(value)
        return {name: "" if one["max-age"] == "0" else one.value for name, one in jar.items()}


class Counts(Protocol):
    """Something that listens on a port and counts its bcrypt rounds."""

    port: int

    def rounds(self) -> int:
        """Give the sum of 2**cost of every bcrypt computation so far."""


@dataclass
class Visitor:
    """A browser or a program with its own cookies."""

    target: Counts
    cookies: dict[str, str] = field(default_factory=dict)
    #: Headers of every request.
    headers: dict[str, str] = field(default_factory=dict)
    #: The ip it connects from; all of 127.0.0.0/8 is this machine.
    ip: str = "127.0.0.1"

    def get(self, path: str) -> Reply:
        """Ask for a path."""
        return self.request("GET", path)

    def post(self, path: str, **form: str) -> Reply:
        """Send form fields."""
        return self.request("POST", path, form=form)

    def put(self, path: str, **form: str) -> Reply:
        """Send form fields with PUT."""
        return self.request("PUT", path, form=form)

    def delete(self, path: str) -> Reply:
        """Delete a path."""
        return self.request("DELETE", path)

    def request(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | list[tuple[str, str]] | None = None,
        json: object = _NOTHING,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        cookie: str | None = None,
    ) -> Reply:
        """Send one request, with form fields, JSON or a raw body, and keep the cookies set.

        `cookie` is a whole Cookie header in place of the jar, as malformed as one likes.
        """
        sent = self.headers | dict(headers or {})
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if cookie is not None or jar:
            sent["Cookie"] = jar if cookie is None else cookie
        if form is not None:
            body = urlencode(form).encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        elif json is not _NOTHING:
            body = json_module.dumps(json).encode()
            sent.setdefault("Content-Type", "application/json")
        before = self.target.rounds()
        connection = HTTPConnection(
            "127.0.0.1", self.target.port, timeout=PATIENCE, source_address=(self.ip, 0)
        )
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            with connection.getresponse() as answer:
                found = answer.read()
        rounds = self.target.rounds() - before
        reply = Reply(answer.status, tuple(answer.getheaders()), found, rounds)
        for name, value in reply.cookies.items():
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return reply
