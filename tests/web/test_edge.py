"""The session check without Flask says, byte for byte, what the page of Flask says."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from bienvenue.edge import Edge
from tests.conftest import Clock, Service
from tests.web.edge import Heard, ask, edge_of

Headers = list[tuple[str, str]]

#: What is sent beside the cookie of somebody who is signed in, by what it is.
CASES: dict[str, Callable[[str], Headers]] = {
    "signed in": lambda secret: [("Cookie", f"session_id={secret}")],
    "among others": lambda secret: [("Cookie", f"a=1; session_id={secret}; b=2")],
    "a program's accept": lambda secret: [
        ("Cookie", f"session_id={secret}"),
        ("Accept", "application/json"),
    ],
    "a browser": lambda secret: [("Cookie", f"session_id={secret}"), ("Accept", "text/html")],
    "no cookie": lambda _: [],
    "an empty one": lambda _: [("Cookie", "session_id=")],
    "another's name": lambda secret: [("Cookie", f"xsession_id={secret}")],
    "twice": lambda secret: [("Cookie", f"session_id={secret}; session_id={secret}")],
    "twice, once wrong": lambda secret: [("Cookie", f"session_id=no; session_id={secret}")],
    "shortened": lambda secret: [("Cookie", f"session_id={secret[:-1]}")],
    "turned round": lambda secret: [("Cookie", f"session_id={secret[::-1]}")],
    "with a quote": lambda secret: [("Cookie", f'session_id="{secret}"')],
    "with spaces": lambda secret: [("Cookie", f" session_id = {secret} ")],
    "in capitals": lambda secret: [("Cookie", f"SESSION_ID={secret}")],
    "not of ASCII": lambda _: [("Cookie", "session_id=\u00e9\u00e9")],
}


def without_flask(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down the paths that reach Flask."""
    reached: list[str] = []
    through = edge._through_flask

    async def watched(*given: object) -> object:
        reached.append(str(given[0]["path"]))  # type: ignore[index]
        return await through(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(edge, "_through_flask", watched)
    return reached


def by_the_edge(edge: Edge, headers: Headers, method: str = "GET") -> Heard:
    """Ask the edge for the profile."""
    return ask(edge, method, "/profile", *((k.lower().encode(), v.encode()) for k, v in headers))


def by_flask(client: FlaskClient, headers: Headers, method: str = "GET") -> Heard:
    """Ask Flask for the profile, by the same name and from the same ip."""
    answer = client.open(
        "/profile",
        method=method,
        headers=[("Host", "localhost:5000"), *headers],
        environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
    )
    return Heard(answer.status_code, [(k.lower(), v) for k, v in answer.headers], answer.get_data())


def told(heard: Heard) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer but the id of its request and what only ends its connection."""
    left = {"x-request-id", "connection", "content-length"}
    return heard.status, sorted(h for h in heard.headers if h[0] not in left), heard.body


@pytest.mark.usefixtures("moving_clock")
def test_both_say_the_same(service: Service) -> None:
    """Decision 14: two ways to a profile, one answer: status, headers and body."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    edge, client = edge_of(service), service.app.test_client(use_cookies=False)
    seen = set()
    for case, method in itertools.product(CASES, ["GET", "HEAD"]):
        headers = CASES[case](cookie.value)
        mine = by_the_edge(edge, headers, method)
        assert told(mine) == told(by_flask(client, headers, method)), (case, method)
        assert len([name for name, _ in mine.headers if name == "x-request-id"]) == 1
        seen.add(mine.status)
    assert seen == {200, 401}


def test_the_plain_ones_never_wake_flask(
    service: Service, monkeypatch: pytest.MonkeyPatch, moving_clock: Clock
) -> None:
    """Else the comparison would compare Flask with itself; and what is ended is seen at once."""
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    edge = edge_of(service)
    reached = without_flask(edge, monkeypatch)
    headers = [("Cookie", f"session_id={cookie.value}")]
    assert by_the_edge(edge, headers).status == 200
    moving_clock.forward(61)
    assert by_the_edge(edge, headers).status == 200
    assert client.delete("/sessions").status_code == 204
    assert by_the_edge(edge, headers).status == 401
    assert by_the_edge(edge, []).status == 401
    assert reached == []
    by_the_edge(edge, [*headers, ("Accept", "text/html")])
    assert reached == ["/profile"]
