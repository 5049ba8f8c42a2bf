"""G: what another site can make a browser do, and what can be made of our headers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from urllib.parse import quote

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply, Visitor
from tests.attacks.target import PASSPHRASE, Target

EVIL = "https://evil.example"
NEW_PASSWORD = "le mot choisi par un autre"

#: How a request looks that another site caused: what browsers say of it, by age.
CROSS_SITE: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:1"},
    {"Referer": EVIL},
)


def token_of(page: Reply) -> str:
    """Read the form token out of a page, or nothing."""
    found = re.search(r'name="form_token" value="([^"]*)"', page.text)
    return found[1] if found else ""


@attack(
    "G01",
    "Another site signs the victim in to the attacker's account.",
    wins=("course", "broken:G01_null_is_no_browser"),
)
def signed_in_by_another_site(target: Target) -> Outcome:
    """Post the attacker's own email and password from another site, in the victim's browser."""
    attacker = target.person()
    for headers in CROSS_SITE:
        victim = target.visitor()
        victim.request("GET", "/sessions/new", headers={"Accept": "text/html"})
        form = {"email": attacker.email, "password": attacker.password}
        reply = victim.request("POST", "/sessions", form=form, headers=headers)
        if reply.ok or "session_id" in victim.cookies:
            return Won(f"{headers}: the victim is signed in as the attacker")
    if target.is_course:
        # It has no forms, so there is no token of one to steal.
        return Refused(f"{reply.status}, whatever the browser says")
    own = target.visitor()
    page = own.request("GET", "/sessions/new", headers={"Accept": "text/html"})
    stolen = form | {"form_token": token_of(page)}
    for headers in ({}, {"Origin": "null"}):
        if victim.request("POST", "/sessions", form=stolen, headers=headers).ok:
            return Won("the attacker's form token is good in the victim's browser")
    return Refused(f"{reply.status} {reply.json['code']}, whatever the browser says")


@attack(
    "G02",
    "Another site signs the victim out, or changes the password.",
    wins=("course", "broken:G02_forms_without_a_token"),
)
def acting_for_the_victim(target: Target) -> Outcome:
    """The victim is signed in, and comes upon a page with a form that sends itself here."""
    for headers in CROSS_SITE:
        victim = target.person()
        browser = victim.sign_in()
        change = {"old_password": victim.password, "new_password": NEW_PASSWORD}
        for method, path, form in (
            ("PUT", "/password", change),
            ("POST", "/password", change | {"_method": "PUT"}),
            ("POST", "/sessions", {"_method": "DELETE"}),
            ("POST", "/sessions", {"_method": "DELETE", "form_token": "A" * 43 + "="}),
            ("POST", "/sessions?which=all", {"_method": "DELETE"}),
            ("DELETE", "/sessions", {}),
        ):
            if "Referer" in headers and method != "POST":
                continue  # an old browser without the other two headers asks before a DELETE
            browser.request(method, path, form=form, headers=headers)
            if not browser.get("/profile").ok:
                return Won(f"{method} {path} {form} with {headers} ended the victim's session")
        if victim.try_password(NEW_PASSWORD).ok:
            return Won("the password is the one that another site chose")
    return Refused("the victim is signed in still, with the password they had")


@attack(
    "G07", "A page of another site may read our answers.", wins="broken:G07_reflects_the_origin"
)
def reading_across_sites(target: Target) -> Outcome:
    """Ask with the Origin of another site, and look for leave to read the answer."""
    browser = target.person().sign_in()
    here = f"localhost:{target.port}"
    origins = (
        EVIL,
        "null",
        f"http://{here}.evil.example",
        f"http://evil{here}",
        "http://localhost",
    )
    paths = ("/profile", "/sessions", "/", "/nowhere", "/openapi.json")
    for origin, path, method in itertools.product(origins, paths, ("GET", "OPTIONS")):
        asked = {"Origin": origin, "Access-Control-Request-Method": "DELETE"}
        reply = browser.request(method, path, headers=asked)
        leave = reply.header("Access-Control-Allow-Origin")
        if leave in {origin, "*"}:
            return Won(f"{method} {path} lets {leave} read the answer")
    return Refused("no answer carries Access-Control-Allow-Origin")


@attack("G11", "A line break in the input adds a header to the answer.", wins="broken:G11_names_it")
def a_header_of_ones_own(target: Target) -> Outcome:
    """Put line breaks into everything that could find its way into a header."""
    browser = target.person().sign_in()
    tried = 0
    for breaks in ("\r\n", "\n", "\r", "\u2028", "\x0b", "\x85", "\u560d\u560a"):
        text = f"x{breaks}Injected: yes{breaks}{breaks}body"
        for reply in everywhere(browser, text):
            tried += 1
            if reply.header("Injected") is not None or "Injected" in str(reply.cookies):
                return Won(f"{text!r} made a header of the attacker's")
            if reply.status >= 500:
                return Won(f"{text!r} reached a header and was answered {reply.status}")
    return Refused(f"{tried} requests, and no answer had a line of the attacker's in its headers")


def everywhere(browser: Visitor, text: str) -> Iterator[Reply]:
    """Send a text in every part of a request, as a program and as a browser."""
    quoted = quote(text, safe="")
    account = {"email": "a@example.org", "password": PASSPHRASE}
    for accept in ("application/json", "text/html"):
        headers = {"Accept": accept, "Sec-Fetch-Site": "same-origin"}
        for path in (f"/{quoted}", f"/sessions/{quoted}", f"/static/{quoted}", f"//{quoted}/"):
            yield browser.request("GET", path, headers=headers)
            yield browser.request("DELETE", path, headers=headers)
        for query in (f"which={quoted}", f"{quoted}=1", f"next={quoted}"):
            yield browser.request("GET", f"/sessions/new?{query}", headers=headers)
            yield browser.request("DELETE", f"/sessions?{query}", headers=headers)
        for field in ("email", "password", "_method", text):
            sent = account | {field: text}
            yield browser.request("POST", "/users", form=sent, headers=headers)
            yield browser.request("POST", "/sessions", json=sent, headers=headers)
