"""G: return targets, where a link to us could send a visitor elsewhere."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, urljoin, urlsplit

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply
from tests.attacks.target import PASSPHRASE, Target, TargetFails

ELSEWHERE = (
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example",
    "\\/evil.example", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example",
    " //evil.example", "\t//evil.example", "https:evil.example", "http:///evil.example",
    "https://evil.example", "HTTPS://EVIL.EXAMPLE", "//evil.example@localhost",
    "//localhost@evil.example", "localhost.evil.example", "//localhost.evil.example",
    "/%09/evil.example", "/%2f/evil.example", "/%5cevil.example", "/..//evil.example",
    "/.//evil.example", "/profile//evil.example", "/profile/..//evil.example",
    "//evil%E3%80%82example", "//evil\u3002example", "//\u2460.example", "ftp://evil.example",
    "//[::1]@evil.example", "?//evil.example",
    "#//evil.example", "/sessions/new?next=//evil.example", ".evil.example", "@evil.example",
    ":evil.example", "%2F%2Fevil.example", "//evil.example/%2e%2e", "/;@evil.example", "",
)  # fmt: skip
SCRIPTS = (
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", " javascript:alert(1)",
    "\x01javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:msgbox(1)",
    '"><script>alert(1)</script>', "'-alert(1)-'",
)  # fmt: skip

#: An application to which people may go on, where the operator named it.
APP = "https://app.example.org"
#: Whatever begins as an origin of the list does, and leads elsewhere or is no plain URL.
NEARLY = [
    APP + rest
    for rest in (
        ".evil.example", "@evil.example", ":443@evil.example", ":444", "evil.example", "\\@evil",
        "\\.evil.example", "%2eevil.example", "\t.evil", "/\\evil", "/ x", "/\n", "/%", "/%zz",
        "/é", "#there", "/\x01", "/" + "a" * 2001, "/<b>", '/"', "\u3002evil.example",
    )
]  # fmt: skip


def signed_in_with(target: Target, wanted: str) -> Iterator[Reply]:
    """Come by a link that says where to go on, sign in by its form, and give both answers."""
    person = target.person()
    browser = target.visitor(Accept="text/html", Sec_Fetch_Site="same-origin")
    yield browser.get(f"/sessions/new?next={quote(wanted)}")
    form = {"email": person.email, "password": PASSPHRASE, "next": wanted}
    yield browser.request("POST", "/sessions", form=form)


def is_here(target: Target, location: str) -> bool:
    """Tell whether a browser that reads this Location stays (the URL standard)."""
    # Backslashes are slashes, and tabs are nothing.
    read = location.replace("\\", "/").replace("\t", "").strip()
    base = f"http://localhost:{target.port}/sessions"
    return urlsplit(urljoin(base, read))[:2] == ("http", f"localhost:{target.port}")


@attack(
    "G08",
    "A link to us sends the visitor on to another site.",
    wins=("broken:G08_goes_anywhere", "broken:G08_one_slash_is_enough"),
)
def sent_elsewhere(target: Target) -> Outcome:
    """Sign in through links with every spelling of another site that a browser might follow."""
    for wanted in ELSEWHERE:
        for reply in signed_in_with(target, wanted):
            location = reply.header("Location") or ""
            if not is_here(target, location):
                return Won(f"next={wanted!r} led to {location!r}")
            if reply.status >= 500:
                return Won(f"next={wanted!r} was answered {reply.status}")
    return Refused(f"{len(ELSEWHERE)} spellings, and nobody left this site")


@attack(
    "G08",
    "A cookie that another site planted sends the visitor on to it.",
    wins="broken:G08_trusts_its_own_cookie",
)
def sent_elsewhere_by_a_cookie(target: Target) -> Outcome:
    """Sign in with the cookie of the wanted page, which a sibling host had set before."""
    person = target.person()
    for wanted in (*ELSEWHERE, *SCRIPTS):
        browser = target.visitor(Accept="text/html", Sec_Fetch_Site="same-origin")
        kept = urlsafe_b64encode(wanted.encode()).decode()
        form = {"email": person.email, "password": PASSPHRASE}
        cookie = f"return_to={kept}"
        reply = browser.request("POST", "/sessions", form=form, cookie=cookie)
        location = reply.header("Location") or ""
        if not is_here(target, location):
            return Won(f"the cookie of {wanted!r} led to {location!r}")
    return Refused(f"{len(ELSEWHERE) + len(SCRIPTS)} cookies, and nobody left this site")


@attack(
    "G08",
    "Signing out, or code of an application, sends the visitor on to another site.",
    wins=("broken:G08_code_goes_anywhere", "broken:G08_out_and_away"),
    how="host",
)
def sent_elsewhere_by_code(target: Target) -> Outcome:
    """Open a view that leads on by `return_to`, and sign out, with every such spelling."""
    person = target.person()
    form = {"email": person.email, "password": PASSPHRASE}
    for wanted in (*ELSEWHERE, *SCRIPTS):
        browser = target.visitor(Accept="text/html", Sec_Fetch_Site="same-origin")
        browser.request("POST", "/sessions", form=form)
        for method, path in (("GET", "/go_on"), ("DELETE", "/sessions")):
            reply = browser.request(method, f"{path}?next={quote(wanted)}")
            location = reply.header("Location")
            if location is None:
                raise TargetFails(f"{method} {path} leads nowhere: {reply.status}")
            if not is_here(target, location):
                return Won(f"{method} {path}?next={wanted!r} led to {location!r}")
    return Refused(f"{len(ELSEWHERE) + len(SCRIPTS)} spellings, and nobody left this site")


@attack("G09", "A return target runs a script.", wins="broken:G08_goes_anywhere")
def a_script_to_go_on_to(target: Target) -> Outcome:
    """Sign in through links whose return target is a script, or markup for the page."""
    for wanted in SCRIPTS:
        for reply in signed_in_with(target, wanted):
            location = reply.header("Location") or ""
            if location and not location.startswith("/"):
                return Won(f"the browser was told to go on to {location!r}")
            if "<script>alert" in reply.text:
                return Won("the return target stands on the page as markup")
    return Refused(f"{len(SCRIPTS)} scripts, and none was followed or written down as one")


@attack(
    "G08",
    "A link to us sends the visitor on to a site whose name begins as one that is allowed.",
    wins="broken:G08_reads_the_beginning",
    settings={"return_origins": APP},
)
def sent_nearly_there(target: Target) -> Outcome:
    """Sign in through links that begin as the origin of the list, and lead elsewhere."""
    there = [*signed_in_with(target, APP + "/start")][1].header("Location")
    if there != APP + "/start":
        raise TargetFails(f"an origin that is named is refused: {there}")
    for wanted in NEARLY:
        for reply in signed_in_with(target, wanted):
            location = reply.header("Location") or ""
            if location and not location.startswith("/"):
                return Won(f"next={wanted!r} led to {location!r}")
    return Refused(f"{len(NEARLY)} beginnings, and nobody left for another site")


@attack(
    "G08",
    "A path of ours with a slash too many leads to the host that the request made up.",
    wins="broken:G08_the_router_redirects",
    how="host",
)
def sent_on_by_the_router(target: Target) -> Outcome:
    """Ask for pages and files of ours in spellings that a router corrects, under another name."""
    spellings = ("//sessions/new", "/sessions//new", "//bienvenue/static/bienvenue.css", "//")
    for path in spellings:
        reply = target.request("GET", path, headers={"Host": "evil.example"})
        if location := reply.header("Location"):
            return Won(f"{path} led to {location}")
    return Refused(f"{len(spellings)} spellings, and none was corrected")
