"""What a visitor sends costs work in proportion to its length, whatever it is made of.

Python's work is counted, in lines; what runs below Python, as regular expressions and the
normalisation of Unicode do, shows in the time of the processor, which is compared generously.
"""

from __future__ import annotations

import sys
import time
import unicodedata
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from bienvenue import normalize
from bienvenue.app import all_pages
from bienvenue.wsgi_bridge import call
from tests.conftest import Service
from tests.thorough import often
from tests.web.browser import HTML

SHORT, LONG = 2_000, 16_000
#: How much more the long one may cost than its length says, and what any request may cost.
LINES, SECONDS = 2_000, 0.02

HEADERS = (
    *("Accept", "Accept-Language", "Cookie", "User-Agent", "X-Forwarded-For", "Origin", "Range"),
    *("Sec-Fetch-Site", "Content-Type", "If-None-Match", "Host", "X-Request-Id", "Referer"),
)
#: Pieces that parsers stop at, go back from, or take apart.
PIECES = (
    *("a", " ", ",", ";", "=", '"', "\\", "%", "/", "(", ":", "[", "-", ".", "@", "&", "+", "\t"),
    *("a=1;", "a/b;q=0.1,", '"a', '="', "*/*,", "1.", "xn--", "&a=", "a;", "q=1,", "1,", ", ,"),
    *(
        "text/html,",
        "fr-",
        "fr,",
        'W/"a",',
        "bytes=0-1,",
        "::",
        "%2f",
        "../",
        "LinuxCrKey",
        "e9\xe9",
    ),
)
#: The same for texts of forms and JSON.
TEXTS = (*PIECES, "\u0301", "\u0323\u0301", "\u0f73", "\u0345", "\ufdfa", "ß", "İ", "e\u0301", "가")


def cost(service: Service, method: str, path: str, **sent: Any) -> tuple[int, float]:
    """Send a request; give the lines of Python it took, and the seconds when nothing counts."""
    lines = 0

    def count(_frame: FrameType, what: str, _about: object) -> Any:
        nonlocal lines
        lines += what == "line"
        return count

    # The test client itself would read a Host of xn--, and fail.
    first, *others = (EnvironBuilder(path, method=method, **sent).get_environ() for _ in "abc")
    before = sys.gettrace()
    sys.settrace(count)
    try:
        call(service.app, first)
    finally:
        sys.settrace(before)
    took = []
    for each in others:
        begun = time.thread_time()
        status, _, said = call(service.app, each)
        took.append(time.thread_time() - begun)
        assert status < 500, said
    # On a busy machine a processor's caches are another's: the least is what the work takes.
    return lines, min(took)


def grows(service: Service, method: str, path: str, make: Any, piece: str) -> str | None:
    """Send a piece again and again; say so when a long one costs more than its length."""
    (lines, seconds), (more, longer) = (
        cost(service, method, path, **make((piece * size)[:size])) for size in (SHORT, LONG)
    )
    times = LONG / SHORT
    # The second look is for whatever else the machine did.
    if longer > times * 2 * seconds + SECONDS:
        longer = min(longer, cost(service, method, path, **make((piece * LONG)[:LONG]))[1])
    if more > times * lines + LINES or longer > times * 2 * seconds + SECONDS:
        return f"{method} {path} {piece!r}: {lines} to {more} lines, {seconds} to {longer} s"
    return None


def header(name: str) -> Any:
    """Give what sends a text as a header, as a browser that shows pages."""
    if name == "Host":
        return lambda text: {"headers": HTML, "environ_overrides": {"HTTP_HOST": text}}
    return lambda text: {"headers": HTML | {name: text.strip("\t ") or "a"}}


def field(kind: str, name: str, needed: dict[str, str]) -> Any:
    """Give what sends a text as a field, beside what else its page needs."""
    return lambda text: {kind: needed | {name: text}}


def fields(service: Service) -> list[tuple[str, str, str, dict[str, str]]]:
    """Give method, path and name of every field of every page, and what else the page needs."""
    return [
        (page.method, page.path.replace("<uid>", "x").replace("<name>", "x"), name, needed)
        for page in all_pages(service.auth)
        for name in page.accepts.model_fields
        for needed in [dict.fromkeys(page.accepts.model_fields, "someone@example.org")]
    ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.thorough
def test_no_header_costs_more_than_its_length(service: Service, name: str) -> None:
    """On a page that reads all of them, and on the answer to a file."""
    for path in ("/sessions/new", "/bienvenue/brand.css"):
        wrong = [grows(service, "GET", path, header(name), piece) for piece in PIECES]
        assert [one for one in wrong if one] == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_neither_path_nor_query_costs_more_than_its_length(service: Service) -> None:
    """Below a page with a part that varies, and where nothing is."""
    quoted = (",", ";", "=", "/", "%2f", "%00", "%ff", "&", "&a", "&a=1", "+", "a/", "//", "next=&")
    for path in ("/sessions/", "/nothing", "/sessions/new?", "/reset_password?token="):
        for piece in quoted:
            costs = [
                cost(service, "GET", path + (piece * size)[:size], headers=HTML)
                for size in (SHORT, LONG)
            ]
            (lines, seconds), (more, longer) = costs
            assert more <= LONG / SHORT * lines + LINES, (path, piece)
            assert longer <= LONG / SHORT * 2 * seconds + SECONDS, (path, piece)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.thorough
def test_no_field_costs_more_than_its_length(service: Service) -> None:
    """Of any page, in JSON and in a form."""
    wrong = [
        grows(service, method, path, field(kind, name, needed), piece)
        for method, path, name, needed in fields(service)
        for kind in ("json", "data")
        for piece in TEXTS
    ]
    assert [one for one in wrong if one] == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.thorough
@settings(
    max_examples=often(50, 150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(HEADERS),
    piece=st.text(st.sampled_from(sorted(set("".join(PIECES)) - {"\t"})), min_size=1, max_size=8),
)
def test_no_mixture_costs_more_than_its_length(service: Service, name: str, piece: str) -> None:
    """Pieces that no one thought of."""
    assert grows(service, "GET", "/sessions/new", header(name), piece) is None


@pytest.mark.parametrize("text", ["\u0301", "\u0323\u0301", "\u0f73", "\uff9e\u0f71", "\u0344"])
def test_marks_without_end_are_malformed(text: str) -> None:
    """Thirty in a row are the most that Unicode's own format for streams has (UAX #15, 13)."""
    marks = (text * normalize.MOST_MARKS)[: normalize.MOST_MARKS]
    for right in (f"a{marks}", f"{marks}a{marks}", "e\u0301" * 2000, "각" * 2000):
        assert normalize.text(right, "password") == right
    with pytest.raises(normalize.MalformedText):
        normalize.text(f"a{marks}{text[0]}", "password")


def test_every_mark_counts() -> None:
    """Whatever decomposes into a mark first is one, though its own class may be 0."""
    for code in range(sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000:
            first = unicodedata.normalize("NFKD", chr(code))[0]
            if unicodedata.combining(first):
                endless = chr(code) * (normalize.MOST_MARKS + 1)
                with pytest.raises(normalize.MalformedText):
                    normalize.text(endless, "x")
