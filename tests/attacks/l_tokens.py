"""L: what an access token opens, and what is taken for one."""

from __future__ import annotations

import zlib

from tests.attacks.attack import Outcome, Refused, Won, attack
from tests.attacks.client import Reply, Visitor
from tests.attacks.e_reset import spend, token_of
from tests.attacks.routes import METHODS, routes
from tests.attacks.target import Target, TargetFails

EVIL = "https://evil.example"
SCOPES = {"access_token_scopes": "read=Read your notes"}
NEW_PASSWORD = "douze hiboux dans la grange"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def made(browser: Visitor, scopes: str = "*") -> dict[str, str]:
    """Make a token, as its owner does."""
    reply = browser.request("POST", "/access_tokens", json={"name": "ci", "scopes": scopes})
    if reply.status != 201:
        raise TargetFails(f"a token was to be made: {reply.status} {reply.text}")
    found: dict[str, str] = reply.json
    return found


def bearing(target: Target, token: str, method: str, path: str, **headers: str) -> Reply:
    """Send a request with a token and no cookie."""
    return target.request(method, path, headers={"Authorization": f"Bearer {token}", **headers})


def checked(body: str) -> str:
    """Write the checksum behind the text of a token; anyone can compute it."""
    number = zlib.crc32(body.encode())
    return body + "".join(DIGITS[number // 62**n % 62] for n in range(5, -1, -1))


@attack(
    "L05",
    "A token that is forged with the right checksum is believed.",
    wins="broken:L05_believes_the_checksum",
)
def a_forged_token(target: Target) -> Outcome:
    """Know the beginning of a token, as a log that cuts it shows it, and make up the rest."""
    token = made(target.person().sign_in())["access_token"]
    tried = [checked(token[:known] + "A" * (46 - known)) for known in (0, 3, 7, 11, 15, 45)]
    tried[0] = checked("bv_" + "0" * 43)
    for forged in tried:
        if forged != token and bearing(target, forged, "GET", "/profile").ok:
            return Won(f"{forged[:11]}… with a right checksum opens the profile")
    return Refused(f"{len(tried)} forged tokens, each with a right checksum, opened nothing")


@attack(
    "L05",
    "A token makes itself more rights.",
    wins=("broken:L05_makes_tokens", "broken:L05_any_page"),
)
def more_rights(target: Target) -> Outcome:
    """Send everything that changes an account with a token of full access; look what it became."""
    person = target.person()
    browser = person.sign_in()
    token = made(browser)["access_token"]
    fields = {
        "/access_tokens": {"name": "more", "scopes": "*"},
        "/password": {"old_password": person.password, "new_password": NEW_PASSWORD},
        "/email": {"new_email": f"thief-{person.email}"},
        "/notification_email": {"notification_email": f"thief-{person.email}"},
        "/reauthentication": {"password": person.password},
    }
    tried = 0
    for route in routes(target):
        if route.method in {"GET", "HEAD"} or route.path.startswith(("/reset_password", "/users")):
            continue
        if route.path in {"/sessions", "/preferences"} and route.method != "DELETE":
            continue
        tried += 1
        reply = target.request(
            route.method,
            route.at("x"),
            json=fields.get(route.path, {}),
            headers={"Authorization": f"Bearer {token}"},
        )
        if reply.ok:
            return Won(f"{route.method} {route.path} answers {reply.status} to a token")
    if not browser.get("/profile").ok or not person.try_password(person.password).ok:
        return Won("the owner is no longer signed in")
    return Refused(f"{tried} ways to change an account, and a token was refused by each")


@attack(
    "L05",
    "A token in an address opens what its header does.",
    wins="broken:L05_reads_the_query",
)
def a_token_in_the_address(target: Target) -> Outcome:
    """Put the token where logs, referrers and histories keep it."""
    token = made(target.person().sign_in())["access_token"]
    for name in ("access_token", "token", "bearer", "authorization", "api_key"):
        for path in ("/profile", "/sessions"):
            if target.get(f"{path}?{name}={token}").ok:
                return Won(f"{path}?{name}=… is answered")
    return Refused("no parameter of an address is read as a token")


@attack(
    "L05",
    "A header that looks like a token lets another site use the cookie beside it.",
    wins="broken:L05_beside_a_cookie",
)
def a_token_beside_a_cookie(target: Target) -> Outcome:
    """Send the victim's cookie from another site, and a bearer for which form tokens are waived."""
    victim = target.person().sign_in()
    token = made(victim)
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
    own = made(target.person().sign_in())["access_token"]
    for bearer in ("x", "", "bv_" + "0" * 49, own):
        sent = {**foreign, "Authorization": f"Bearer {bearer}"}
        reply = victim.request("DELETE", f"/access_tokens/{token['uid']}", headers=sent)
        if reply.ok:
            return Won("another site revoked a token of the victim with their cookie")
        read = victim.request("GET", "/profile", headers=sent)
        if read.ok:
            return Won("a bearer that is wrong has the rights of the cookie")
    return Refused("a bearer beside a cookie has the rights of neither")


@attack(
    "L05",
    "A revoked token is still answered by a process that saw it before.",
    wins="broken:L05_remembers_the_revoked",
    how="shipped",
)
def a_token_that_was_revoked(target: Target) -> Outcome:
    """Use it, let its owner revoke it, and use it again, at the edge and behind it."""
    browser = target.person().sign_in()
    token = made(browser)
    secret = token["access_token"]
    paths = ("/profile", "/sessions")
    for path in paths:
        if not bearing(target, secret, "GET", path).ok:
            raise TargetFails(f"{path} was to be read")
    browser.delete(f"/access_tokens/{token['uid']}")
    for path in paths:
        if bearing(target, secret, "GET", path).ok:
            return Won(f"{path} answers a token that was revoked")
    return Refused("at the next request it was no token")


@attack(
    "L05",
    "A token opens pages of a scope that it has not.",
    wins="broken:L05_scopes_not_asked",
    settings=SCOPES,
)
def a_scope_that_it_has_not(target: Target) -> Outcome:
    """Have a token for the application's own views, and read what the account's pages show."""
    token = made(target.person().sign_in(), "read")["access_token"]
    for path in ("/sessions", "/activity", "/notification_email", "/access_tokens", "/verify"):
        for method in METHODS:
            if bearing(target, token, method, path).ok:
                return Won(f"{method} {path} answers a token without its scope")
    return Refused("the token was told which scope it lacks")


@attack(
    "L05",
    "A view whose guard names no scope is open to a token of any scope.",
    wins="broken:L05_views_without_scopes",
    settings=SCOPES,
    how="host",
)
def a_view_without_scopes(target: Target) -> Outcome:
    """Have a token of one scope, and ask for a view that its author has not marked."""
    browser = target.person().sign_in()
    token = made(browser, "read")["access_token"]
    if not browser.get("/shelf").ok:
        raise TargetFails("the shelf was to be open to a session")
    reply = bearing(target, token, "GET", "/shelf")
    if reply.ok:
        return Won(f"the view answers {reply.text}")
    return Refused(f"it is closed: {reply.json['code']}")


@attack(
    "L04",
    "The uid of a token is enough to revoke it.",
    wins="broken:L04_anybodys_token_by_its_uid",
)
def a_token_of_another(target: Target) -> Outcome:
    """Take the public name of the victim's token, and delete it by a session and by a token."""
    token = made(target.person().sign_in())
    attacker = target.person().sign_in()
    own = made(attacker)["access_token"]
    attacker.delete(f"/access_tokens/{token['uid']}")
    bearing(target, own, "DELETE", f"/access_tokens/{token['uid']}")
    if not bearing(target, token["access_token"], "GET", "/profile").ok:
        return Won("the victim's token is gone")
    return Refused("only its owner, or itself, ends a token")


@attack(
    "E13",
    "A token that a thief made survives the reset and the change of the password.",
    wins="broken:E13_tokens_stay",
)
def a_token_after_the_reset(target: Target) -> Outcome:
    """Make a token while signed in with a stolen password, and let the owner take the account."""
    person = target.person()
    first = made(person.sign_in())["access_token"]
    reply = spend(person, token_of(person), NEW_PASSWORD)
    if not reply.ok:
        raise TargetFails(f"the reset was to succeed: {reply.status}")
    if bearing(target, first, "GET", "/profile").ok:
        return Won("the token works after the reset")
    person.password = NEW_PASSWORD
    browser = person.sign_in()
    second = made(browser)["access_token"]
    browser.put("/password", old_password=NEW_PASSWORD, new_password="treize loutres au soleil")
    if bearing(target, second, "GET", "/profile").ok:
        return Won("the token works after the change of the password")
    return Refused("both ended every token")


@attack(
    "G07",
    "An origin that looks like a listed one reads the answers.",
    wins="broken:G07_begins_alike",
    settings={"cors_origins": "https://app.example.org"},
)
def an_origin_that_looks_alike(target: Target) -> Outcome:
    """Ask as sites whose names begin or end like the one that the operator listed."""
    listed = "https://app.example.org"
    token = made(target.person().sign_in())["access_token"]
    alike = (
        f"{listed}.evil.example",
        f"{listed}:8443",
        f"{listed}@evil.example",
        "https://evilapp.example.org",
        "http://app.example.org",
        "https://example.org",
        "null",
    )
    for origin in alike:
        for method in ("GET", "OPTIONS"):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            reply = bearing(target, token, method, "/profile", **asked)
            if reply.header("Access-Control-Allow-Origin") is not None:
                return Won(f"{origin} may read the answer")
            if reply.header("Access-Control-Allow-Credentials") is not None:
                return Won("cookies may travel")
    return Refused(f"{len(alike)} origins that look alike may read nothing")


@attack(
    "L05",
    "A token of few scopes passes for its owner at an application behind a proxy.",
    wins="broken:L05_verify_asks_no_scope",
    settings=SCOPES,
)
def a_token_at_a_proxy(target: Target) -> Outcome:
    """Let a proxy ask whose request it has, which bears a token that reads notes."""
    token = made(target.person().sign_in(), "read")["access_token"]
    if not bearing(target, token, "GET", "/verify?scope=read").ok:
        raise TargetFails("the token does not open what it is for")
    for query in ("", "?scope=", "?scope=write", "?scope=*"):
        reply = bearing(target, token, "GET", f"/verify{query}")
        if reply.ok or reply.header("Remote-User"):
            return Won(f"/verify{query} names its owner")
    return Refused("a proxy hears who it is where it asks for a scope that the token has")
