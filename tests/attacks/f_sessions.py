"""F: what a cookie opens, and for how long."""

from __future__ import annotations

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Visitor
from tests.attacks.e_reset import spend, token_of
from tests.attacks.routes import closed
from tests.attacks.target import Person, Target, TargetFails
from tests.races import race

DAY = 86400
NEW_PASSWORD = "douze hiboux dans la grange"


#: What a browser says of a form that stands on the site itself.
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


def with_cookie(target: Target, secret: str) -> Visitor:
    """Give a browser that holds this secret, however it came there."""
    return Visitor(target, cookies={"session_id": secret}, headers=dict(OWN_PAGE))


@attack("F01", "A planted cookie becomes the victim's session.", wins="broken:F01_keeps_the_secret")
def a_planted_cookie(target: Target) -> Outcome:
    """Put a cookie into the victim's browser, wait for the sign-in, and show the same cookie."""
    attacker, victim = target.person(), target.person()
    own = attacker.sign_in().cookies["session_id"]
    for planted in ("chosen-by-the-attacker", "A" * 43, own):
        browser = with_cookie(target, planted)
        victim.try_password(victim.password, browser)
        if browser.cookies["session_id"] == planted:
            return Won("the sign-in kept the planted cookie")
        if with_cookie(target, planted).get("/profile").ok:
            return Won("the planted cookie is still a session after the sign-in")
    return Refused("every sign-in made a new secret, and the session it stood over ended")


@attack("F03", "A copied cookie survives the sign-out.", wins="broken:F03_only_the_cookie")
def replay_after_signing_out(target: Target) -> Outcome:
    """Copy the cookie, let the victim sign out, and show the copy on every closed path."""
    browser = target.person().sign_in()
    copied = browser.cookies["session_id"]
    browser.delete("/sessions")
    tried = closed(target)
    for route in tried:
        reply = with_cookie(target, copied).request(route.method, route.at("x"))
        if reply.status != 401:
            return Won(f"{route.method} {route.path} answers {reply.status} after the sign-out")
    return Refused(f"{len(tried)} closed paths and methods answered 401")


@attack(
    "F05",
    "Anyone who is disabled or deleted stays signed in.",
    wins=("broken:F05_disabled_stays", "broken:F05_deleted_stays"),
)
def no_longer_welcome(target: Target) -> Outcome:
    """Sign in twice, be disabled, enabled and deleted, and keep using the cookies."""
    person = target.person()
    first, second = person.sign_in(), person.sign_in()
    target.cli("users", "disable", person.email)
    if first.get("/profile").ok or person.try_password(person.password).ok:
        return Won("a disabled person is served")
    target.cli("users", "enable", person.email)
    if second.get("/profile").ok:
        return Won("a session from before the account was disabled lives again")
    third = person.sign_in()
    target.cli("users", "delete", "--yes", person.email)
    if third.get("/profile").ok:
        return Won("a deleted person is served")
    person.register()
    if any(browser.get("/profile").ok for browser in (first, second, third)):
        return Won("the new account of this email inherits the sessions of the deleted one")
    return Refused("disabling and deleting ended every session, for good")


@attack("F08", "A stolen cookie works for ever.", wins="course", alone=True)
def a_session_without_an_end(target: Target) -> Outcome:
    """Keep one cookie in a drawer, use another every week, and ignore what `Expires` says."""
    used, unused = target.person().sign_in(), target.person().sign_in()
    for week in range(1, 6):
        target.clock_forward(7 * DAY)
        alive = used.get("/profile").ok
        if week == 3 and unused.get("/profile").ok:
            return Won("a cookie nobody used for three weeks opens the profile")
        if not alive:
            return Refused(f"used every week it ended in week {week}, unused before")
    return Won("a cookie used every week opens the profile after five")


@attack(
    "F08",
    "A clock that is set back lengthens a session by as much.",
    wins="broken:F08_believes_the_future",
    alone=True,
)
def a_session_of_tomorrow(target: Target) -> Outcome:
    """Sign in, let the clock be set back by a day, and do what takes a fresh sign-in."""
    browser = target.person().sign_in()
    target.clock_forward(-DAY)
    reply = browser.get("/profile")
    if reply.ok:
        return Won(f"a session that begins tomorrow is served, and fresh: {reply.json['fresh']}")
    target.clock_forward(DAY)
    if not browser.get("/profile").ok:
        return Refused("the session is over, also when the clock is right again")
    return Refused("the session is not believed until the clock is right again")


@attack(
    "F10", "One person ends the session of another.", wins="broken:F10_anybodys_session_by_its_uid"
)
def ending_a_strangers_session(target: Target) -> Outcome:
    """Take the public name of the victim's session, and delete it as themselves."""
    victim, attacker = target.person().sign_in(), target.person().sign_in()
    device = victim.get("/sessions").json["sessions"][0]["uid"]
    reply = attacker.delete(f"/sessions/{device}")
    if not victim.get("/profile").ok:
        return Won(f"the answer was {reply.status}, and the victim is signed out")
    return Refused(f"{reply.status} {reply.json['code']}")


@attack("F10", "One person's list shows the devices of another.", wins="broken:F10_everybodys_list")
def listing_a_strangers_devices(target: Target) -> Outcome:
    """Sign in, ask for the list of devices in every way one can name someone, and count."""
    victim, attacker = target.person().sign_in(), target.person().sign_in()
    me = victim.get("/profile").json
    for query in ("", f"?uid={me['uid']}", f"?user={me['email']}", "?user_id=1", "?which=all"):
        shown = attacker.get(f"/sessions{query}").text
        if me["session"]["uid"] in shown:
            return Won(f"GET /sessions{query} shows the session of {me['email']}")
    return Refused("the list held the attacker's own device, whatever was asked")


@attack(
    "F11",
    "A stolen cookie survives the change of the password.",
    wins=("course", "broken:F11_keeps_the_secret", "broken:F11_others_stay"),
)
def the_password_changed_and_the_thief_stayed(target: Target) -> Outcome:
    """Copy the cookies of two browsers; the victim notices, and changes the password in one."""
    victim = target.person()
    browser, other = victim.sign_in(), victim.sign_in()
    stolen = [browser.cookies["session_id"], other.cookies["session_id"]]
    change_password(victim, browser)
    opened = [with_cookie(target, secret).get("/profile").ok for secret in stolen]
    if any(opened):
        return Won(f"{sum(opened)} of 2 copied cookies open the profile after the change")
    if target.is_course:
        return Refused("no copied cookie opens the profile after the change")
    return Refused("the change gave this browser a new secret and ended the other session")


@attack(
    "F11",
    "A stolen cookie survives signing out all other devices.",
    wins="broken:F11_others_out_keeps_the_secret",
)
def the_others_signed_out_and_the_thief_stayed(target: Target) -> Outcome:
    """Copy a browser's cookie; the victim notices, and signs out all other devices."""
    browser = target.person().sign_in()
    stolen = browser.cookies["session_id"]
    reply = browser.delete("/sessions?which=others")
    if not reply.ok or not browser.get("/profile").ok:
        raise TargetFails(f"the other devices were not signed out: {reply.text}")
    if with_cookie(target, stolen).get("/profile").ok:
        return Won("the copied cookie opens the profile afterwards")
    return Refused("this browser got a new secret, and the copied cookie opens nothing")


def change_password(person: Person, browser: Visitor) -> None:
    """Set a new password: with the old one, or by the token where there is only that."""
    form = {"old_password": person.password, "new_password": NEW_PASSWORD}
    if browser.put("/password", **form).status == 404:
        spend(person, token_of(person), NEW_PASSWORD)
    person.password = NEW_PASSWORD


@attack(
    "F16",
    "Fifty sign-ins at once pass the cap on sessions.",
    wins="broken:F16_counts_before_it_opens",
    settings={"session_cap": "5"},
)
def more_sessions_than_the_cap(target: Target) -> Outcome:
    """Sign in fifty times in the same moment where five are allowed, and count who is in."""
    person = target.person()
    browsers = [target.visitor() for _ in range(50)]
    replies = race(lambda n: person.try_password(person.password, browsers[n]))
    alive = sum(browser.get("/profile").ok for browser in browsers)
    evidence = f"{sum(reply.ok for reply in replies)} signed in, {alive} of them are still in"
    return Refused(evidence) if 1 <= alive <= 5 else Won(evidence)


@attack(
    "F18", "In a shared browser the second user reaches the account of the first.", wins="course"
)
def two_people_in_one_browser(target: Target) -> Outcome:
    """The first leaves without signing out; the second signs in, and finds the old cookie."""
    first, second = target.person(), target.person()
    browser = with_cookie(target, left := first.sign_in().cookies["session_id"])
    target.request("DELETE", "/sessions")  # a sign-out that lost its cookie on the way
    second.try_password(second.password, browser)
    if browser.get("/profile").json["email"] != second.email:
        return Won("the second person signed in and is the first")
    both = f"session_id={left}; session_id={browser.cookies['session_id']}"
    if target.request("GET", "/profile", cookie=both).ok:
        return Won("of two cookies at once, one was chosen")
    if with_cookie(target, left).get("/profile").ok:
        return Won("the cookie the first person left behind still opens the account")
    browser.delete("/sessions")
    if browser.get("/profile").ok:
        return Won("the second person signed out and the browser is somebody's")
    return Refused("signing in ended the session that stood in the browser")
