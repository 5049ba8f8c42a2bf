"""Requests that another site made a browser send, and the form token.

Unsafe requests: if Sec-Fetch-Site is present it decides; else Origin, if present, must be ours, or
`null` with a valid form token; with neither it is no browser and passes, except a form that bears a
cookie of ours, which needs the form token (ASVS 3.5.1; NIST SP 800-63B-4 section 5.1).
"""

import base64
import functools
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from flask import Request

from bienvenue import purposes, tokens
from bienvenue.errors import Refusal
from bienvenue.key_ring import KeyRing
from bienvenue.settings import Settings
from bienvenue.web import body, cookies

SAFE = {"GET", "HEAD", "OPTIONS"}
#: The cookies a form token may be bound to, in order.
_BOUND = (cookies.SESSION, cookies.FORM)
#: Where the environment of a request keeps the secret of the session that its view opened, None for
#: a session that it ended, behind the settings of the service.
OPENED = "bienvenue.opened"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_HOST = re.compile(
    r"(?:(?P<name>[a-z0-9._-]+)|\[(?P<six>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{0,5}))?",
    re.ASCII | re.IGNORECASE,
)
_PORTS = range(1, 2**16)


class CrossSite(Refusal):
    """Another site made the browser send this."""

    status = 403
    code = "cross_site"
    heading = "This page is out of date"
    message = (
        "This request came from another site, or from a page that is out of date. "
        "Open the page here and try again."
    )


class OutOfDate(Refusal):
    """The form is ours, and was shown before the browser signed in or out."""

    status = 403
    code = "out_of_date"
    heading = "This page is out of date"
    message = "This page was out of date, and nothing was changed. Reload it and try again."


class UnknownHost(Refusal):
    """The Host header names a host that is not the base URL's."""

    status = 400
    code = "unknown_host"
    message = (
        "This service doesn't answer to this host name. BIENVENUE_BASE_URL sets the right one."
    )


class Hosts:
    """The host names under which a service answers; the dispatcher and the edge share them.

    A page of another name that resolves to our ip would otherwise count as the same site (DNS
    rebinding). Only the Host header counts: servers drop the host of an absolute request target.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the name of the base URL; all names of the loopback interface count as one."""
        host = _name(str(urlsplit(settings.base_url).hostname))
        self.names = frozenset(_LOOPBACK if host in _LOOPBACK else {host})

    def hold(self, header: str) -> bool:
        """Tell whether a Host header names this service, on whatever port."""
        return _host_name(header) in self.names

    def refuse(self, request: Request) -> None:
        """Raise UnknownHost unless the request names this service."""
        if not self.hold(request.headers.get("Host", "")):
            raise UnknownHost


@functools.lru_cache(1000)
def _host_name(header: str) -> str | None:
    """Return the host of a Host header (RFC 9110 section 7.2), or None when it has none.

    It is strict: what two readers could take for two hosts, as `localhost#`, is none.
    """
    found = _HOST.fullmatch(header)
    if found is None or int(found["port"] or 1) not in _PORTS:
        return None
    try:
        six = found["six"] and str(ipaddress.IPv6Address(found["six"]))
    except ValueError:
        return None
    return six or _name(found["name"])


def _name(host: str) -> str:
    """Return a host name as all of its spellings: a final dot says that it is whole (RFC 1034)."""
    return host.lower().removesuffix(".")


def refuse(
    request: Request, settings: Settings, links: Iterable[str], *, token_valid: bool
) -> None:
    """Raise CrossSite for an unsafe request that another site caused.

    `links` are the cookies that hold the tokens of emailed links.
    """
    if request.method in SAFE:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site == "none":
        passes = True
    elif site is None and origin == "null":
        # A page of ours sends this where its policy is no-referrer, and so does any page in a
        # sandbox (Fetch, "append a request Origin header"): only the form token tells them apart.
        passes = token_valid
    elif site is not None or origin is not None:
        passes = is_ours(request, settings)
    else:
        is_form = request.method == "POST" and request.mimetype != body.JSON
        passes = token_valid or not (is_form and cookies.bears_any(request, settings, links))
    if not passes:
        raise CrossSite


def is_ours(request: Request, settings: Settings) -> bool:
    """Tell whether the headers of a browser say that a page of ours caused the request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("Origin") in _origins(settings)


def form_token(keys: KeyRing, cookie: str, owner: str = "") -> str:
    """Return the token of a form, bound to a cookie of the browser that is shown the form.

    `owner` says who is shown it (`form_drafts.owner`), and stands behind a dot.
    """
    token = base64.urlsafe_b64encode(
        keys.mac(purposes.FORM_TOKEN, tokens.digest(purposes.FORM_COOKIE, cookie))
    ).decode()
    return f"{token}.{owner}" if owner else token


def owner_of(token: object) -> str:
    """Return who was shown the form of a token, "" for a visitor; nothing of it is verified."""
    return token.partition(".")[2] if isinstance(token, str) else ""


def valid(keys: KeyRing, token: object, bound: list[str]) -> bool:
    """Tell whether a form token is bound to one of these cookies of a browser."""
    if not isinstance(token, str):
        return False
    try:
        mac = base64.urlsafe_b64decode(token.partition(".")[0].encode("ascii"))
    except ValueError:
        return False
    return any(
        keys.verify(purposes.FORM_TOKEN, tokens.digest(purposes.FORM_COOKIE, cookie), mac)
        for cookie in bound
    )


def bound_cookies(request: Request, settings: Settings) -> list[str]:
    """Return the cookie that form tokens of a browser are bound to, if it has one.

    Beside a session nothing else counts: an attacker may have planted the cookie to which a token
    from before signing in is bound.
    """
    found = [cookies.read(request, name, settings) for name in _BOUND]
    opened: tuple[Settings, str | None] | None = request.environ.get(OPENED)
    if opened is not None and opened[0] is settings:
        found = [opened[1]]
    return [cookie for cookie in found if cookie is not None][:1]


def _origins(settings: Settings) -> set[str]:
    base = urlsplit(settings.base_url)
    port = f":{base.port}" if base.port else ""
    return {
        f"{base.scheme}://{spelt}{port}"
        for name in Hosts(settings).names
        for spelt in ([f"[{name}]"] if ":" in name else [name, f"{name}."])
    }
