"""G: what stands on our pages, and what other sites can make of them."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply, Visitor
from tests.attacks.g_cross_site import token_of
from tests.attacks.target import Target

PAGE = {"Accept": "text/html"}
PATHS = (
    "/",
    "/users/new",
    "/sessions/new",
    "/reset_password",
    "/preferences",
    "/password",
    "/profile",
    "/sessions",
    "/activity",
    "/nowhere",
)
SCRIPT = "<script>alert(1)</script>"
PICTURE = "\"'><img src=x onerror=alert(2)>"
#: Where an attribute of HTML makes a browser fetch something.
FETCHES = {
    ("link", "href"),
    ("script", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("iframe", "src"),
    ("object", "data"),
    ("embed", "src"),
    ("video", "src"),
    ("audio", "src"),
    ("source", "src"),
    ("input", "src"),
    ("form", "action"),
    ("base", "href"),
}


def shown(browser: Visitor) -> Iterator[tuple[str, Reply]]:
    """Open every page, and one that is not there, and one that is refused."""
    for path in PATHS:
        yield path, browser.request("GET", path, headers=PAGE)
    refused = {"email": "a@example.org", "password": "x"}
    yield "/users", browser.request("POST", "/users", form=refused, headers=PAGE)


def answered(browser: Visitor, path: str, form: dict[str, str]) -> tuple[str, Reply]:
    """Send a form as a page does, and open the page that the answer leads to."""
    headers = PAGE | {"Sec-Fetch-Site": "same-origin"}
    reply = browser.request("POST", path, form=form, headers=headers)
    leads_to = reply.header("Location")
    return path, reply if leads_to is None else browser.request("GET", leads_to, headers=PAGE)


@attack(
    "G04",
    "A form token taken before signing in works after it.",
    wins="broken:G04_any_cookie",
)
def a_token_from_before(target: Target) -> Outcome:
    """Plant a form cookie whose token is known, wait for the victim to sign in, and use it.

    The browser is an old one that does not say where a form stands.
    """
    victim = target.person()
    attacker = target.visitor()
    token = token_of(attacker.request("GET", "/sessions/new", headers=PAGE))
    browser = victim.sign_in()
    browser.cookies |= attacker.cookies
    form = {"_method": "DELETE", "form_token": token}
    reply = browser.request("POST", "/sessions", form=form)
    if not browser.get("/profile").ok:
        return Won("a token from before signed the victim out")
    return Refused(f"{reply.status} {reply.json['code']}, and the victim is signed in still")


@attack(
    "G12",
    "Another site frames a page and catches the click.",
    wins=("course", "broken:G12_may_be_framed"),
)
def framed(target: Target) -> Outcome:
    """Look for a page that a browser would show in a frame of another site."""
    browser = target.person().sign_in()
    for path, reply in shown(browser):
        policy = reply.header("Content-Security-Policy") or ""
        old = (reply.header("X-Frame-Options") or "").upper()
        if "frame-ancestors 'none'" not in policy or old != "DENY":
            return Won(f"{path} may stand in a frame: {policy!r}, {old!r}")
    return Refused("every page forbids to be framed, to old browsers too")


@attack(
    "G16",
    "A stored name runs as a script on a page.",
    wins="broken:G16_typed_as_it_is",
    settings={"service_name": PICTURE},
)
def a_name_that_runs(target: Target) -> Outcome:
    """Put markup into every name that pages show again: the device's, the service's, the email."""
    person = target.person()
    stranger = target.visitor(user_agent=SCRIPT)
    person.try_password(person.password, stranger)
    browser = person.sign_in()
    pages = list(shown(browser)) + list(shown(stranger))
    for email in (f"{SCRIPT}@example.org", PICTURE):
        typed = {"email": email, "password": person.password}
        pages += [answered(browser, path, typed) for path in ("/users", "/sessions")]
        pages.append(answered(browser, "/reset_password", {"email": email}))
    for name in ("/bienvenue/icon", "/bienvenue/brand.css"):
        pages.append((name, browser.get(name)))
    if not any("alert(1)" in reply.text for _, reply in pages):
        return Refused("no page shows a name that was given")
    for path, reply in pages:
        for markup in ("<script>alert", "<img src=x"):
            if markup in reply.text:
                return Won(f"{path} has {markup} as it was given")
    return Refused(f"{len(pages)} pages show the names as text")


class _Loads(HTMLParser):
    """Notes what a page fetches, and what would run or look without being fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in FETCHES:
                self.urls.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"<{tag} {name}>")
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.inline.append(f"<{tag}>")


@attack(
    "G17",
    "A page loads something from elsewhere.",
    wins="broken:G17_a_font_from_elsewhere",
)
def from_elsewhere(target: Target) -> Outcome:
    """Follow all that every page fetches, and read the policy that says what it may."""
    browser = target.person().sign_in()
    here = f"http://localhost:{target.port}"
    files: set[str] = set()
    for path, reply in shown(browser):
        policy = reply.header("Content-Security-Policy") or ""
        rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
        allowed = {source for sources in rules.values() for source in sources.split()}
        if rules.get("default-src") != "'none'" or not allowed <= {"'none'", "'self'"}:
            return Won(f"{path} may load from elsewhere: {policy!r}")
        page = _Loads()
        page.feed(reply.text)
        if page.inline:
            return Won(f"{path} has {page.inline[0]} written into it")
        for url in (urljoin(here + path, found) for found in page.urls):
            if not url.startswith(here + "/"):
                return Won(f"{path} loads {url}")
            files.add(urlsplit(url).path)
    styles = [path for path in files if path.endswith(".css")]
    for path in styles:
        text = browser.get(path).text
        if "url(" in text or "@import" in text:
            return Won(f"{path} loads something more")
    if not styles:
        return Won("no page has a style sheet that could be read")
    return Refused(f"every page loads {len(files)} paths of its own site and nothing else")
