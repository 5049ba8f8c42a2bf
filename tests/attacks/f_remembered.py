"""F: what a browser or a cache remembers of someone."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.b_enumeration import WRONG
from tests.attacks.c_guessing import ACCOUNT, DEFAULTS, known_device
from tests.attacks.client import Reply, Visitor
from tests.attacks.g_cross_site import token_of
from tests.attacks.target import Target, TargetFails

PAGES = ("/", "/profile", "/sessions", "/activity", "/sessions/new", "/users/new")


@attack(
    "F09",
    "A remembered device is still known after the password changed.",
    wins="broken:F09_devices_stay",
    settings=DEFAULTS,
)
def a_device_outlives_the_password(target: Target) -> Outcome:
    """Copy the cookie of a known device; the owner changes the password; guess from the copy."""
    person = target.person()
    copied = dict(known_device(person).cookies)
    stranger = target.stranger()
    browser = person.sign_in()
    new = f"{person.password}, et encore une"
    browser.put("/password", old_password=person.password, new_password=new)
    with target.clock_stopped():
        for _ in range(ACCOUNT + 1):
            person.try_password(WRONG, stranger)
        thief = target.stranger()
        thief.cookies = copied
        reply = person.try_password(WRONG, thief)
    if reply.status != 429:
        return Won(f"the copied device still has its own guesses: {reply.status}")
    return Refused("the copied device is a stranger like any other")


@attack(
    "F14",
    "Where a host pushed its context, every visitor is the user who signed in first.",
    wins="broken:F14_kept_in_g",
    how="host",
)
def kept_longer_than_a_request(target: Target) -> Outcome:
    """Ask for a guarded view of the host after someone else did: signed in, as another, as no one.

    Pages whose forms send a token are asked for too: each visitor has a cookie of their own.
    """
    alice, bob, stranger = target.person(), target.person(), target.visitor()
    browser, other = alice.sign_in(), bob.sign_in()
    if browser.get("/shelf").json != {"shelf of": alice.email}:
        raise TargetFails("the view of the host does not know who is signed in")
    for path in ("/shelf", "/profile"):
        reply = stranger.get(path)
        if reply.ok:
            return Won(f"{path} is open without a cookie, and says {reply.text.strip()}")
    if other.get("/shelf").json != {"shelf of": bob.email}:
        return Won("somebody who is signed in is somebody else")
    if alice.email not in browser.get("/shelf").text:
        return Won("the first one is somebody else by now")
    browser.delete("/sessions")
    if browser.get("/shelf").ok:
        return Won("a session that has ended is remembered")
    page = {"Accept": "text/html"}
    visitors = [target.visitor(**page), target.visitor(**page)]
    named = {visitor.get("/sessions/new").cookie("form_id") for visitor in visitors}
    if None in named or len(named) != len(visitors):
        return Won("two visitors have one form")
    return Refused("each request is whose its cookie says, and nobody's without one")


@dataclass
class Cache:
    """A shared cache that keeps whatever it may (RFC 9111 section 3), and a minute if unsure."""

    kept: dict[tuple[str, str], Reply] = field(default_factory=dict)

    def get(self, visitor: Visitor, path: str, accept: str) -> Reply:
        """Ask through it: what it holds it gives to everybody, unless Vary names the cookie."""
        found = self.kept.get((path, accept))
        if found is not None:
            return found
        reply = visitor.request("GET", path, headers={"Accept": accept})
        control = (reply.header("Cache-Control") or "").lower()
        varies = (reply.header("Vary") or "").lower()
        forbidden = any(word in control for word in ("no-store", "private", "no-cache"))
        if not forbidden and "cookie" not in varies and varies != "*":
            self.kept[path, accept] = reply
        return reply


@attack("F12", "A cache gives one person's page to the next.", wins="course")
def a_page_out_of_a_cache(target: Target) -> Outcome:
    """Stand a cache in front; someone signed in reads every page, then an attacker does."""
    person, cache = target.person(), Cache()
    browser, stranger = person.sign_in(), target.visitor()
    read = 0
    for path in PAGES:
        for accept in ("*/*", "text/html"):
            mine, theirs = (cache.get(one, path, accept) for one in (browser, stranger))
            read += mine.ok
            if person.email in theirs.text:
                return Won(f"a stranger reads {path} of somebody else")
            if mine.cookies and (path, accept) in cache.kept:
                return Won(f"the cache keeps the cookies that {path} sets")
    if not read:
        return Won("nothing was read at all")
    return Refused(f"{read} pages were read through a cache, and it kept none of a person's")


@attack(
    "F18",
    "The next person at the same browser finds what the one before typed.",
    wins="broken:F18_drafts_of_others",
)
def a_form_of_the_one_before(target: Target) -> Outcome:
    """One person's session ends while they type; another signs in there and opens the same form."""
    alice, bob, typed = target.person(), target.person(), "typed-by-alice@example.org"
    page = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    browser = alice.sign_in()
    form = {"_method": "PUT", "new_email": typed}
    form["form_token"] = token_of(browser.request("GET", "/email", headers=page))
    browser.delete("/sessions")
    browser.request("POST", "/email", form=form, headers=page)
    if "draft" not in browser.cookies:
        raise TargetFails("the service keeps nothing of what was typed")
    bob.try_password(bob.password, browser)
    reply = browser.request("GET", "/email", headers=page)
    if typed in reply.text:
        return Won("what Alice typed stands in Bob's form")
    mine = {"email": alice.email, "password": alice.password}
    browser.request("POST", "/sessions", json=mine)
    if typed not in browser.request("GET", "/email", headers=page).text:
        raise TargetFails("Alice does not find what she typed")
    return Refused("the form is Bob's own, and Alice finds what she typed")
