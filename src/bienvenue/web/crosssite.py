"""Requests that another site made a browser send, and the form token.

Unsafe requests: if Sec-Fetch-Site is present it decides; else Origin, if present, must be ours;
with neither it is no browser and passes, except a form that bears a cookie of ours, which needs
the form token (ASVS 3.5.1; NIST SP 800-63B-4 section 5.1).
"""

import base64
from collections.abc import Iterable
from urllib.parse import urlsplit

from flask import Request

from bienvenue import purposes, tokens
from bienvenue.feature import Refusal
from bienvenue.keys import KeyRing
from bienvenue.settings import Settings
from bienvenue.web import body, cookies

SAFE = {"GET", "HEAD", "OPTIONS"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


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
    """The form is ours, and was shown before its person signed in or out."""

    status = 403
    code = "out_of_date"
    heading = "This page is out of date"
    message = "This page was out of date. Open it again; nothing was changed."


class UnknownHost(Refusal):
    """The Host header names a host that is not the base URL's."""

    status = 400
    code = "unknown_host"
    message = "This service does not answer under this name; BIENVENUE_BASE_URL says which."


def refuse_host(request: Request, settings: Settings) -> None:
    """Raise UnknownHost unless the request names our host.

    A page of another name that resolves to our ip would otherwise count as the same site (DNS
    rebinding).
    """
    try:
        parts = urlsplit(f"//{request.headers.get('Host', '')}")
        asked = None if "@" in parts.netloc or parts.port == 0 else parts.hostname
    except ValueError:
        raise UnknownHost from None
    if asked not in hosts(settings):
        raise UnknownHost


def refuse(
    request: Request, settings: Settings, links: Iterable[str], *, token_valid: bool
) -> None:
    """Raise CrossSite for an unsafe request that another site caused.

    `links` are the cookies that hold the tokens of letters' links.
    """
    if request.method in SAFE:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site == "none":
        passes = True
    elif site is not None or "Origin" in request.headers:
        passes = is_ours(request, settings)
    else:
        is_form = request.method == "POST" and request.mimetype != body.JSON
        passes = token_valid or not (is_form and cookies.bears_any(request, settings, links))
    if not passes:
        raise CrossSite


def is_ours(request: Request, settings: Settings) -> bool:
    """Tell whether a browser says that a page of ours caused the request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("Origin") in _origins(settings)


def form_token(keys: KeyRing, cookie: str) -> str:
    """Make the token a form of ours carries, bound to a cookie of the browser it was shown in."""
    return base64.urlsafe_b64encode(
        keys.mac(purposes.FORM_TOKEN, tokens.digest(purposes.FORM_COOKIE, cookie))
    ).decode()


def valid(keys: KeyRing, token: object, carried: list[str]) -> bool:
    """Tell whether a form token was made for one of the cookies the browser sent."""
    if not isinstance(token, str):
        return False
    try:
        mac = base64.urlsafe_b64decode(token.encode("ascii"))
    except ValueError:
        return False
    return any(
        keys.verify(purposes.FORM_TOKEN, tokens.digest(purposes.FORM_COOKIE, cookie), mac)
        for cookie in carried
    )


def hosts(settings: Settings) -> set[str]:
    """Give the names this service answers under."""
    host = str(urlsplit(settings.base_url).hostname)
    return _LOOPBACK if host in _LOOPBACK else {host}


def _origins(settings: Settings) -> set[str]:
    base = urlsplit(settings.base_url)
    port = f":{base.port}" if base.port else ""
    return {f"{base.scheme}://{f'[{h}]' if ':' in h else h}{port}" for h in hosts(settings)}
