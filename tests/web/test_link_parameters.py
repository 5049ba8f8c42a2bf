"""Links as mail programs and those who count clicks send them: what they add is not read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from bienvenue import tokens
from bienvenue.app import all_pages
from bienvenue.features.account_closure import operations
from bienvenue.web import body
from bienvenue.web.page import Page
from tests.conftest import Service
from tests.web.browser import HTML

TOKEN = tokens.new()

#: What is added to the query of a link (metabrainz/metabrainz.org#625, fontello/fontello#692).
ADDED = [
    "&utm_source=x",
    "&",
    "&&",
    "&gclid",
    "&utm=a&utm=b",
    "&%ff=1",
    "&x=%ff",
    "&x=%zz",
    "&=",
    "&==",
    "&\xff\xfe",
    "&x[]=1&x[]=2",
    "&x=" + "y" * 4000,
    "&" + "&".join(f"x{n}={n}" for n in range(200)),
    ";x=1",
    "&;x=1",
    "&Token=x",
    "&%00=1",
]


def linked(service: Service) -> Iterator[Page]:
    """Give every page that a link of an email opens, at former paths too."""
    yield from (page for page in all_pages(service.auth) if page.link is not None)


def queried(service: Service) -> Iterator[tuple[str, str]]:
    """Give the path and each parameter of every page that one opens with parameters."""
    for page in all_pages(service.auth):
        if page.method == "GET" and not page.any_host:
            yield from ((page.path, name) for name in page.query.model_fields)


def test_a_link_works_whatever_it_gathered(service: Service) -> None:
    """Before its token or after it: the token is in the cookie, and the address is short again."""
    client = service.client()
    assert len({page.path for page in linked(service)}) >= 7
    for page in linked(service):
        for path in (page.path, *page.formerly):
            for added in ADDED:
                queries = [f"token={TOKEN}{added}"]
                queries += [f"{added[1:]}&token={TOKEN}"] if added.startswith("&") else []
                for query in queries:
                    answer = client.get(path, query_string=query, headers=HTML)
                    assert answer.status_code == 303, (path, query)
                    assert answer.headers["Location"] == page.redirect_to
                    kept = client.get_cookie(f"{page.link}_token")
                    assert kept is not None, (path, query)
                    assert kept.value == TOKEN, (path, query)
                    client.delete_cookie(f"{page.link}_token")


def test_every_page_ignores_what_it_does_not_name(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is what it is without; also where a page has parameters of its own."""
    client = service.signed_in()
    # So many downloads of all data would be refused.
    monkeypatch.setattr(operations, "EXPORTS", 1000)
    paths = {page.path for page in all_pages(service.auth) if page.method == "GET"}
    for path in sorted(path for path in paths if "<" not in path):
        plain = client.get(path, headers=HTML).status_code
        for added in ADDED:
            assert client.get(path, query_string=added[1:], headers=HTML).status_code == plain, (
                path,
                added,
            )


def test_a_parameter_of_a_page_twice_is_refused(service: Service) -> None:
    """Two readers could use different ones; however its name is spelt."""
    client = service.signed_in()
    own = list(queried(service))
    own += [(page.path, "token") for page in linked(service)]
    assert {name for _, name in own} >= {"next", "token"}
    for path, name in own:
        spelt = f"%{ord(name[0]):02x}{name[1:]}"
        for query in (f"{name}=a&{name}=a", f"{name}=a&x=1&{spelt}=b", f"{name}&{name}"):
            answer = client.get(path, query_string=query)
            assert (answer.status_code, answer.get_json()["code"]) == (400, "duplicate_field")
            assert answer.get_json()["field"] == name
        answer = client.get(path, query_string=f"{name}=%ff")
        assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_body")


def test_a_parameter_is_read_as_forms_write_it(service: Service) -> None:
    """A blank as a plus, all else percent-encoded, and a bare name as an empty value."""
    client = service.client()
    for query, found in [
        ("next=/a+b%2Bc%26%C3%A9", "/a b+c&é"),
        ("%6eext=/a", "/a"),
        ("next=a=b", "a=b"),
        ("next", ""),
        ("x", None),
    ]:
        assert client.get("/sessions/new", query_string=query).get_json()["next"] == found, query


@given(before=st.binary(max_size=60), after=st.binary(max_size=60))
@settings(deadline=None)
def test_no_bytes_around_a_token_break_its_link(before: bytes, after: bytes) -> None:
    """Whatever stands there, unless it is the token's own name again."""
    query = before + b"&token=" + TOKEN.encode() + b"&" + after
    asked = Request({"QUERY_STRING": query.decode("latin-1")})
    assert body.link_values(asked, {"token"}) == {"token": TOKEN}
